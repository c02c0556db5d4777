/**
 * Deleted users. One can be restored for `DELETE_DELAY_MS`, with all that they have; then, or at once where
 * an administrator wants that, their removal begins, which nobody takes back, and `server/remove-users.ts`
 * carries it out. `removal_begun_at` and a trigger (0025-user-removals.sql) draw that line.
 */
import { sql } from 'kysely'
import { NOW_AS_SEEN } from '../../database/clock.ts'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { markForPurge } from '../../placement/lifecycle/purge.ts'
import { advanceWhereDue, noteAdvanceDue } from '../../placement/locations/due-advance.ts'
import type { Placement } from '../../placement/placement.ts'
import { enqueue } from '../../queue/enqueue.ts'
import type { Actor } from '../access.ts'
import { endOtherSessions } from '../credentials/sessions.ts'
import { getUserForAdmin, lockForAdministration, noSuchUser } from './administration.ts'
import { lockUsers, type OwnUserView } from './users.ts'

/** How long a deleted user can be restored. */
export const DELETE_DELAY_MS = 7 * 24 * 3_600_000

/**
 * Deletes a user: their sessions end, their keys are refused, nobody sees their albums any more. `force`:
 * their removal begins with the next sweep, which is asked for now, also of one who is deleted already.
 * @throws AppError forbidden for oneself; invalid where there is no such user
 */
export async function deleteUserFor(
  db: Database,
  actor: Actor,
  id: string,
  { force }: { force: boolean },
): Promise<OwnUserView> {
  if (id === actor.userId) throw new AppError('forbidden', 'Cannot delete your own account')
  return db.transaction().execute(async (tx) => {
    await lockForAdministration(tx, actor)
    return markDeleted(tx, id, { force })
  })
}

/** From the command line. @throws AppError invalid: no such user, or the only administrator */
export async function deleteUser(db: Database, id: string): Promise<OwnUserView> {
  return db.transaction().execute(async (tx) => {
    await lockUsers(tx)
    return markDeleted(tx, id, { force: false })
  })
}

async function markDeleted(tx: Tx, id: string, { force }: { force: boolean }): Promise<OwnUserView> {
  // The stronger lock: an upload that is being committed holds the weaker one.
  const user = await tx
    .selectFrom('app_user')
    .select(['is_admin', 'deleted_at'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  if (user === undefined || (user.deleted_at !== null && !force)) throw noSuchUser()
  if (user.deleted_at === null && user.is_admin) await requireAnotherAdministrator(tx, id)
  await tx
    .updateTable('app_user')
    .set({
      deleted_at: sql`coalesce(deleted_at, ${NOW_AS_SEEN})`,
      ...(force && { removal_begun_at: sql`coalesce(removal_begun_at, now())` }),
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .execute()
  await endOtherSessions(tx, id, null)
  if (force) await enqueue(tx, 'sweep-library', {})
  return getUserForAdmin(tx, id)
}

async function requireAnotherAdministrator(tx: Tx, id: string): Promise<void> {
  const other = await tx
    .selectFrom('app_user')
    .select('id')
    .where('id', '<>', id)
    .where('is_admin', '=', true)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (other === undefined) throw new AppError('invalid', 'The only administrator can not be deleted')
}

/**
 * Brings a deleted user back, with all that they have; they log in anew.
 * @throws AppError invalid: no such user, or their removal has begun
 */
export async function restoreUserFor(
  { db, placement }: { db: Database; placement: Placement },
  actor: Actor,
  id: string,
): Promise<OwnUserView> {
  const user = await db.transaction().execute(async (tx) => {
    await lockForAdministration(tx, actor)
    return markRestored(tx, id)
  })
  await advanceWhereDue(placement)
  return user
}

/**
 * From the command line. That an older snapshot of this database would go on counting the days shows at the
 * places when the server looks at them next.
 */
export async function restoreUser(db: Database, id: string): Promise<OwnUserView> {
  return db.transaction().execute(async (tx) => {
    await lockUsers(tx)
    return markRestored(tx, id)
  })
}

async function markRestored(tx: Tx, id: string): Promise<OwnUserView> {
  const user = await tx
    .selectFrom('app_user')
    .select('removal_begun_at')
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  if (user === undefined) throw noSuchUser()
  if (user.removal_begun_at !== null)
    throw new AppError('invalid', 'The user is being removed and can not be restored')
  const restored = await tx
    .updateTable('app_user')
    .set({ deleted_at: null, updated_at: sql`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is not', null)
    .executeTakeFirst()
  const view = await getUserForAdmin(tx, id)
  if (restored.numUpdatedRows > 0n) await noteAdvanceDue(tx)
  return view
}

/**
 * Every deleted user who can still be restored gets the whole delay anew. For a restored database: somebody
 * may have taken the deletion back after the backup.
 */
export async function restartDeleteDelay(db: Database): Promise<void> {
  await db
    .updateTable('app_user')
    .set({ deleted_at: NOW_AS_SEEN, updated_at: sql`now()` })
    .where('deleted_at', 'is not', null)
    .where('removal_begun_at', 'is', null)
    .execute()
}

/** Not counting times that nobody has seen pass: a clock that is a week ahead must not remove anybody. */
const IS_OVER = sql<boolean>`(deleted_at < now() - ${DELETE_DELAY_MS} * interval '1 millisecond'
  and lived_since(deleted_at) > ${DELETE_DELAY_MS} * interval '1 millisecond')`

/** Begins the removal of those whose time is over. */
export async function beginRemovals(db: Database): Promise<void> {
  await db
    .updateTable('app_user')
    .set({ removal_begun_at: sql`now()`, updated_at: sql`now()` })
    .where('removal_begun_at', 'is', null)
    .where(IS_OVER)
    .execute()
}

/** Those whose removal has begun. */
export async function findUsersToRemove(db: Queryable): Promise<string[]> {
  const rows = await db
    .selectFrom('app_user')
    .select('id')
    .where('removal_begun_at', 'is not', null)
    .orderBy('removal_begun_at')
    .execute()
  return rows.map(({ id }) => id)
}

/**
 * Until the transaction is over nothing can come to belong to the user: what is asked about them then holds.
 * False where they are not being removed, or are gone.
 */
export async function holdRemoval(tx: Tx, id: string): Promise<boolean> {
  const row = await tx
    .selectFrom('app_user')
    .select('id')
    .where('id', '=', id)
    .where('removal_begun_at', 'is not', null)
    .forUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/** The end of the row, with picture, sessions, keys and memberships. All else of the user must be gone. */
export async function forgetUser(tx: Tx, id: string): Promise<void> {
  const user = await tx
    .deleteFrom('app_user')
    .where('id', '=', id)
    .returning('profile_image_object_id as picture')
    .executeTakeFirstOrThrow()
  if (user.picture !== null) await markForPurge(tx, [user.picture], 'user')
}
