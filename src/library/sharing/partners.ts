/** Partners: who shows all of their timeline to whom. Each direction is a row of its own. */
import { sql } from 'kysely'
import type { Database, Queryable } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { type Actor, noAccess } from '../access.ts'
import { describeUser, type UserView } from '../users/users.ts'

/** Immich's `PartnerResponseDto`: the other one. `inTimeline`: who is shown it wants it among their own. */
export type PartnerView = UserView & { inTimeline: boolean }
export type PartnerDirection = 'shared-by' | 'shared-with'

/** `shared-by`: to whom the actor shows theirs; `shared-with`: who shows theirs to the actor. By name. */
export async function listPartners(
  db: Database,
  actor: Actor,
  direction: PartnerDirection,
): Promise<PartnerView[]> {
  const [mine, theirs] =
    direction === 'shared-by'
      ? (['partner.shared_by_id', 'partner.shared_with_id'] as const)
      : (['partner.shared_with_id', 'partner.shared_by_id'] as const)
  const rows = await db
    .selectFrom('partner')
    .innerJoin('app_user', 'app_user.id', theirs)
    .selectAll('app_user')
    .select('partner.in_timeline')
    .where(mine, '=', actor.userId)
    .where('app_user.deleted_at', 'is', null)
    .orderBy('app_user.name')
    .orderBy('app_user.id')
    .execute()
  return rows.map((row) => ({ ...describeUser(row), inTimeline: row.in_timeline }))
}

/** The actor shows their timeline to that user. @throws AppError invalid: to themselves, nobody, or again */
export async function createPartner(db: Database, actor: Actor, sharedWithId: string): Promise<PartnerView> {
  if (sharedWithId === actor.userId) {
    throw new AppError('invalid', 'sharedWithId: you are your own partner already; name another user')
  }
  return db.transaction().execute(async (tx) => {
    const user = await tx
      .selectFrom('app_user')
      .selectAll()
      .where('id', '=', sharedWithId)
      .where('deleted_at', 'is', null)
      .forKeyShare()
      .executeTakeFirst()
    if (user === undefined) throw new AppError('invalid', 'User not found')
    const made = await tx
      .insertInto('partner')
      .values({ shared_by_id: actor.userId, shared_with_id: sharedWithId })
      .onConflict((conflict) => conflict.doNothing())
      .returning('in_timeline')
      .executeTakeFirst()
    if (made === undefined) throw new AppError('invalid', 'Partner already exists')
    return { ...describeUser(user), inTimeline: made.in_timeline }
  })
}

/**
 * Who is shown a timeline says whether it is in theirs. @throws AppError invalid unless that user shows it
 */
export async function updatePartner(
  db: Database,
  actor: Actor,
  sharedById: string,
  { inTimeline }: { inTimeline: boolean },
): Promise<PartnerView> {
  return db.transaction().execute(async (tx) => {
    const user = await findActiveUser(tx, sharedById)
    const changed = await tx
      .updateTable('partner')
      .set({ in_timeline: inTimeline, updated_at: sql`now()` })
      .where('shared_by_id', '=', sharedById)
      .where('shared_with_id', '=', actor.userId)
      .returning('in_timeline')
      .executeTakeFirst()
    if (user === undefined || changed === undefined) throw noAccess('partner.update')
    return { ...describeUser(user), inTimeline: changed.in_timeline }
  })
}

/** The actor no longer shows their timeline to that user. @throws AppError invalid where they do not */
export async function removePartner(db: Database, actor: Actor, sharedWithId: string): Promise<void> {
  const removed = await db
    .deleteFrom('partner')
    .where('shared_by_id', '=', actor.userId)
    .where('shared_with_id', '=', sharedWithId)
    .returning('shared_with_id')
    .executeTakeFirst()
  if (removed === undefined) throw new AppError('invalid', 'Partner not found')
}

async function findActiveUser(db: Queryable, id: string) {
  return db
    .selectFrom('app_user')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
}
