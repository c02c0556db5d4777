/** What administrators change of others' accounts. */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { Actor } from '../access.ts'
import { holdCredential, requireLogin } from '../credentials/credentials.ts'
import { hashPassword } from '../credentials/passwords.ts'
import { endOtherSessions } from '../credentials/sessions.ts'
import type { AvatarColor } from './avatar-colors.ts'
import { asksForOldOne } from './set-password.ts'
import {
  avatarColorOf,
  getOwnUser,
  listUsersForAdmin,
  lockUsers,
  normalizeEmail,
  normalizeStorageLabel,
  type OwnUserView,
  orEmailTaken,
  refuseTakenEmail,
  refuseTakenLabel,
} from './users.ts'

/** What is absent stays as it is. */
export type UserChange = {
  name?: string | undefined
  email?: string | undefined
  password?: string | undefined
  /** With a password and absent: true. */
  shouldChangePassword?: boolean | undefined
  isAdmin?: boolean | undefined
  /** Null: by the address. */
  avatarColor?: AvatarColor | null | undefined
  quotaBytes?: number | null | undefined
  storageLabel?: string | null | undefined
}

type Target = { id: string; email: string; is_admin: boolean }

/** One user, deleted or not. @throws AppError invalid, in Immich's words */
export async function getUserForAdmin(db: Queryable, id: string): Promise<OwnUserView> {
  const [user] = await listUsersForAdmin(db, { withDeleted: true, id })
  if (user === undefined) throw noSuchUser()
  return user
}

/**
 * Changes an account, not one that is deleted. With a new password all sessions of the user end, as when the
 * command line sets one.
 * @throws AppError invalid: no such user, address or label taken, one's own rights or password; forbidden for
 * an API key that would change what somebody logs in with, or who is an administrator
 */
export async function updateUserFor(
  db: Database,
  actor: Actor,
  id: string,
  change: UserChange,
): Promise<OwnUserView> {
  // Asked before the hash, which takes its time, and again under the lock.
  await requireRight(db, actor, await findTarget(db, id), change)
  const passwordHash = change.password === undefined ? null : await hashPassword(change.password)
  return db.transaction().execute(async (tx) => {
    await lockForAdministration(tx, actor)
    const target = await findTarget(tx, id)
    await requireRight(tx, actor, target, change)
    const { email = target.email } = change
    await refuseTakenEmail(tx, email, id)
    const storageLabel = change.storageLabel && normalizeStorageLabel(change.storageLabel)
    if (storageLabel) await refuseTakenLabel(tx, storageLabel, id)
    const shouldChangePassword = change.shouldChangePassword ?? (passwordHash === null ? undefined : true)
    const write = tx
      .updateTable('app_user')
      .set({
        email: normalizeEmail(email),
        ...(change.name !== undefined && { name: change.name }),
        ...(passwordHash !== null && { password_hash: passwordHash }),
        ...(shouldChangePassword !== undefined && { should_change_password: shouldChangePassword }),
        ...(change.isAdmin !== undefined && { is_admin: change.isAdmin }),
        ...(change.avatarColor !== undefined && { avatar_color: change.avatarColor ?? avatarColorOf(email) }),
        ...(change.quotaBytes !== undefined && { quota_bytes: change.quotaBytes }),
        ...(storageLabel !== undefined && { storage_label: storageLabel || null }),
        updated_at: sql`now()`,
      })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
    await orEmailTaken(write.execute())
    if (passwordHash !== null) await endOtherSessions(tx, id, null)
    return getOwnUser(tx, id)
  })
}

/**
 * To begin with where users are changed: one such change at a time, and the actor is an administrator until
 * it is committed. So of two administrators who take the rights of one another, or delete one another, one
 * comes too late, and one stays.
 * @throws AppError unauthenticated, forbidden where that has ended meanwhile
 */
export async function lockForAdministration(tx: Tx, actor: Actor): Promise<void> {
  await lockUsers(tx)
  if (!(await holdCredential(tx, actor)).isAdmin) throw new AppError('forbidden', 'Forbidden')
}

/** As Immich answers where there is no user of that id, or none in the state that is asked for. */
export function noSuchUser(): AppError {
  return new AppError('invalid', 'User not found')
}

async function findTarget(db: Queryable, id: string): Promise<Target> {
  const target = await db
    .selectFrom('app_user')
    .select(['id', 'email', 'is_admin'])
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (target === undefined) throw noSuchUser()
  return target
}

/**
 * Whoever sets somebody's password can log in as them, so an API key must not: it would become the way to
 * what other people keep, which it is not.
 */
async function requireRight(db: Queryable, actor: Actor, target: Target, change: UserChange): Promise<void> {
  const isOneself = target.id === actor.userId
  const changesRights = change.isAdmin !== undefined && change.isAdmin !== target.is_admin
  if (isOneself && changesRights)
    throw new AppError('invalid', 'Admin status can only be changed by another admin')
  if (isOneself && change.password !== undefined) throw asksForOldOne()
  if (changesRights) await requireLogin(db, actor, 'say who is an administrator')
  const changesEmail = change.email !== undefined && normalizeEmail(change.email) !== target.email
  if (changesEmail || change.password !== undefined)
    await requireLogin(db, actor, 'change what somebody logs in with')
}
