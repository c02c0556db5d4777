import { type RawBuilder, type Selectable, sql } from 'kysely'
import { compileOnce } from '../database/compile-once.ts'
import type { Database, Queryable, Tx } from '../database/connect.ts'
import { publish } from '../database/events.ts'
import type { Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import type { Actor, Holder } from './access.ts'
import { hashToken, makeToken } from './tokens.ts'

/** The device a session runs on, as the client names it; '' where it does not. */
export type Device = { deviceType: string; deviceOS: string; appVersion: string | null }

/** Immich's `SessionResponseDto`. */
export type SessionView = {
  id: string
  createdAt: string
  updatedAt: string
  expiresAt?: string
  current: boolean
  deviceType: string
  deviceOS: string
  appVersion: string | null
  isPendingSyncReset: boolean
}

/** The user who holds a session token that is known and has not expired, unless deleted. */
export function sessionHolder(db: Queryable, tokenHash: RawBuilder<Buffer>) {
  return db
    .selectFrom('session')
    .innerJoin('app_user', 'app_user.id', 'session.user_id')
    .where('session.token_hash', '=', tokenHash)
    .where('app_user.deleted_at', 'is', null)
    .where((eb) =>
      eb.or([eb('session.expires_at', 'is', null), eb('session.expires_at', '>', sql<Date>`now()`)]),
    )
    .select([
      'app_user.id as userId',
      'app_user.email',
      'app_user.name',
      'app_user.is_admin as isAdmin',
      'session.id as credentialId',
      sql<string[] | null>`null::text[]`.as('permissions'),
      sql<boolean>`session.updated_at < now() - interval '1 minute'`.as('isStale'),
    ])
}

const holderOfToken = compileOnce<{ tokenHash: Buffer }, Holder>((db, value) =>
  sessionHolder(db, value('tokenHash')),
)

/** Who holds this session token: null for an unknown or expired one, or where its user is deleted. */
export async function findActorBySessionToken(db: Database, token: string): Promise<Actor | null> {
  const [holder] = await holderOfToken(db, { tokenHash: hashToken(token) })
  return holder === undefined ? null : actorOfSession(db, holder)
}

/**
 * `updated_at` (last seen) is written at most once a minute, so that a page full of thumbnails costs no write each.
 */
export async function actorOfSession(db: Database, holder: Holder): Promise<Actor> {
  const { userId, email, name, isAdmin, credentialId: sessionId } = holder
  if (holder.isStale) {
    await db.updateTable('session').set({ updated_at: sql`now()` }).where('id', '=', sessionId).execute()
  }
  return { userId, email, name, isAdmin, sessionId, apiKey: null }
}

/** Starts a session. The token is in the answer and nowhere else. `lifetimeMs` null: it does not expire by itself. */
export async function startSession(
  db: Database | Tx,
  userId: string,
  device: Device,
  lifetimeMs: number | null = null,
): Promise<{ token: string; session: Selectable<Schema['session']> }> {
  const token = makeToken()
  const session = await db
    .insertInto('session')
    .values({
      user_id: userId,
      token_hash: hashToken(token),
      device_type: device.deviceType,
      device_os: device.deviceOS,
      app_version: device.appVersion,
      expires_at: lifetimeMs === null ? null : sql<Date>`now() + ${lifetimeMs / 1000} * interval '1 second'`,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  return { token, session }
}

/** Ends one session of the user; whoever listens on it is told. False if there is no such session of theirs. */
export async function endSession(db: Database, userId: string, sessionId: string): Promise<boolean> {
  const ended = await endWhere(db, userId, (query) => query.where('id', '=', sessionId))
  return ended.length > 0
}

/** Ends every session of the user except the given one (null: all of them). */
export async function endOtherSessions(
  db: Database | Tx,
  userId: string,
  keepSessionId: string | null,
): Promise<void> {
  await endWhere(db, userId, (query) => (keepSessionId ? query.where('id', '<>', keepSessionId) : query))
}

/** The user's sessions that have not expired, last used first. */
export async function listSessions(db: Database, actor: Actor): Promise<SessionView[]> {
  const rows = await db
    .selectFrom('session')
    .selectAll()
    .where('user_id', '=', actor.userId)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]))
    .orderBy('updated_at', 'desc')
    .orderBy('id')
    .execute()
  return rows.map((row) => describeSession(row, actor.sessionId))
}

/** When the session ends by itself; null: it does not. */
export async function sessionExpiry(db: Database, sessionId: string): Promise<Date | null> {
  const row = await db
    .selectFrom('session')
    .select('expires_at')
    .where('id', '=', sessionId)
    .executeTakeFirst()
  return row?.expires_at ?? null
}

/** Ends a session that the actor names by id. @throws AppError invalid if it is not theirs. */
export async function endOwnSession(db: Database, actor: Actor, sessionId: string): Promise<void> {
  if (!(await endSession(db, actor.userId, sessionId))) {
    throw new AppError('invalid', 'Not found or no session.delete access')
  }
}

/** A session row as clients see it. */
export function describeSession(
  row: Selectable<Schema['session']>,
  currentSessionId: string | null,
): SessionView {
  return {
    id: row.id,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    ...(row.expires_at && { expiresAt: row.expires_at.toISOString() }),
    current: row.id === currentSessionId,
    deviceType: row.device_type,
    deviceOS: row.device_os,
    appVersion: row.app_version,
    isPendingSyncReset: false,
  }
}

type SessionDelete = ReturnType<typeof deleteOfUser>

function deleteOfUser(tx: Database | Tx, userId: string) {
  return tx.deleteFrom('session').where('user_id', '=', userId).returning('id')
}

/** Deletes and announces in one transaction: nobody hears of an end that did not happen. */
async function endWhere(
  db: Database | Tx,
  userId: string,
  narrow: (query: SessionDelete) => SessionDelete,
): Promise<string[]> {
  const end = async (tx: Tx) => {
    const rows = await narrow(deleteOfUser(tx, userId)).execute()
    for (const { id } of rows) await publish(tx, { type: 'session-deleted', sessionId: id })
    return rows.map((row) => row.id)
  }
  return db.isTransaction ? end(db as Tx) : db.transaction().execute(end)
}
