import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database, Queryable } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { compileOnce } from '../../database/statements/compile-once.ts'
import { AppError } from '../../errors.ts'
import type { Actor, Holder } from '../access.ts'
import { holdCredential, requireLogin } from './credentials.ts'
import { hashToken, makeToken } from './tokens.ts'

/** The device a session runs on, as the client names it; '' where it does not. */
export type Device = { deviceType: string; deviceOS: string; appVersion: string | null }

/** How long sessions last, in days. */
export type SessionLimits = {
  /** Without being used. */
  idleDays: number
  /** After the log-in. */
  maxDays: number
}

/** As Immich's server ends idle sessions, and as long as browsers keep a cookie. */
export const DEFAULT_SESSION_LIMITS: SessionLimits = { idleDays: 90, maxDays: 400 }

/** When a session ends by itself. `least` passes over null. */
const ENDS_AT = sql<Date>`least(session.expires_at, session.updated_at + session.idle_days * interval '1 day')`

/** Immich's `SessionResponseDto`. `updatedAt` is the last use. */
export type SessionView = {
  id: string
  createdAt: string
  updatedAt: string
  /** When it ends by itself if it is not used until then. */
  expiresAt: string
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
    .where(ENDS_AT, '>', sql<Date>`now()`)
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

/** Whether its device must throw away what it keeps and be sent everything. */
const IS_PENDING_RESET = sql<boolean>`not exists (select from sync_session where session_id = session.id)`

const holderOfToken = compileOnce<{ tokenHash: Buffer }, Holder>((db, value) =>
  sessionHolder(db, value('tokenHash')),
)

/** Who holds this session token: null for an unknown or expired one, or where its user is deleted. */
export async function findActorBySessionToken(db: Database, token: string): Promise<Actor | null> {
  const [holder] = await holderOfToken(db, { tokenHash: hashToken(token) })
  return holder === undefined ? null : actorOfSession(db, holder)
}

/**
 * `updated_at` (last seen) is written at most once a minute, so that a page full of thumbnails costs no write
 * each.
 */
export async function actorOfSession(db: Database, holder: Holder): Promise<Actor> {
  const { userId, email, name, isAdmin, credentialId: sessionId } = holder
  if (holder.isStale) {
    await db.updateTable('session').set({ updated_at: sql`now()` }).where('id', '=', sessionId).execute()
  }
  return { userId, email, name, isAdmin, sessionId, apiKey: null }
}

/**
 * Starts the session of a log-in. The token is in the answer and nowhere else.
 */
export async function startSession(
  db: Queryable,
  userId: string,
  device: Device,
  limits: SessionLimits,
): Promise<{ token: string }> {
  const token = makeToken()
  await db
    .insertInto('session')
    .values({
      ...sessionValues(userId, token, device),
      idle_days: limits.idleDays,
      expires_at: sql<Date>`now() + ${limits.maxDays} * interval '1 day'`,
    })
    .execute()
  return { token }
}

/**
 * Starts a session for a device that can't log in (Google Cast). It ends with the session that made it, and
 * makes no others.
 * @param lifetimeMs null: as long as the one that made it
 * @throws AppError invalid, in Immich's words, for an API key; forbidden for such a device
 */
export async function startDeviceSession(
  db: Database,
  actor: Actor,
  device: Device,
  lifetimeMs: number | null,
): Promise<{ token: string; session: SessionView }> {
  if (actor.sessionId === null)
    throw new AppError('invalid', 'This endpoint can only be used with a session token')
  const token = makeToken()
  const row = await db.transaction().execute(async (tx) => {
    await holdCredential(tx, actor)
    await requireLogin(tx, actor, 'make a session for a device')
    const wanted = sql<Date | null>`now() + ${lifetimeMs === null ? null : lifetimeMs / 1000}::float8 * interval '1 second'`
    return tx
      .insertInto('session')
      .values({
        ...sessionValues(actor.userId, token, device),
        parent_id: actor.sessionId,
        idle_days: sql<number>`(select idle_days from session where id = ${actor.sessionId})`,
        // `least` passes over null.
        expires_at: sql<Date>`least(${wanted}, (select expires_at from session where id = ${actor.sessionId}))`,
      })
      .returningAll()
      .returning([ENDS_AT.as('ends_at'), sql<boolean>`false`.as('is_pending_reset')])
      .executeTakeFirstOrThrow()
  })
  return { token, session: describeSession(row, null) }
}

/**
 * Ends one session of the user; a trigger tells whoever listens on it. False if there is no such session of
 * theirs.
 */
export async function endSession(db: Queryable, userId: string, sessionId: string): Promise<boolean> {
  const ended = await db
    .deleteFrom('session')
    .where('user_id', '=', userId)
    .where('id', '=', sessionId)
    .returning('id')
    .execute()
  return ended.length > 0
}

/** Ends every session of the user except the given one and the one that it depends on (null: all of them). */
export async function endOtherSessions(
  db: Queryable,
  userId: string,
  keepSessionId: string | null,
): Promise<void> {
  await db
    .deleteFrom('session')
    .where('user_id', '=', userId)
    .$if(keepSessionId !== null, (query) =>
      query
        .where('id', '<>', keepSessionId ?? '')
        .where(sql<boolean>`id is distinct from (select parent_id from session where id = ${keepSessionId})`),
    )
    .execute()
}

/** Ends the sessions whose time is over. Their number. */
export async function endExpiredSessions(db: Queryable): Promise<number> {
  const ended = await db
    .deleteFrom('session')
    .where(ENDS_AT, '<=', sql<Date>`now()`)
    // Whoever is out stays out, but a clock that was ahead for a while logs nobody out for good.
    .where(sql<boolean>`lived_since(${ENDS_AT}) > interval '1 day'`)
    .returning('id')
    .execute()
  return ended.length
}

/**
 * Makes the limits hold for the sessions that exist, at start: a shorter life at once, a longer one for new
 * log-ins.
 */
export async function applySessionLimits(db: Database, { idleDays, maxDays }: SessionLimits): Promise<void> {
  await sql`
    update session
    set idle_days = ${idleDays}, expires_at = least(expires_at, created_at + ${maxDays} * interval '1 day')
    where idle_days <> ${idleDays}
      or expires_at is null or expires_at > created_at + ${maxDays} * interval '1 day'`.execute(db)
}

/** The user's sessions that have not ended, last used first. */
export async function listSessions(
  db: Database,
  actor: Pick<Actor, 'userId' | 'sessionId'>,
): Promise<SessionView[]> {
  const rows = await shownSessions(db, actor).orderBy('updated_at', 'desc').orderBy('id').execute()
  return rows.map((row) => describeSession(row, actor.sessionId))
}

/** One of these. @throws AppError invalid if it is not theirs, or has ended */
export async function getSession(
  db: Database,
  actor: Pick<Actor, 'userId' | 'sessionId'>,
  id: string,
): Promise<SessionView> {
  const row = await shownSessions(db, actor).where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw new AppError('invalid', 'Not found or no session.update access')
  return describeSession(row, actor.sessionId)
}

function shownSessions(db: Database, { userId }: Pick<Actor, 'userId'>) {
  return db
    .selectFrom('session')
    .selectAll()
    .select([ENDS_AT.as('ends_at'), IS_PENDING_RESET.as('is_pending_reset')])
    .where('user_id', '=', userId)
    .where(ENDS_AT, '>', sql<Date>`now()`)
}

/** When the session ends by itself; null: it has ended. */
export async function sessionExpiry(db: Database, sessionId: string): Promise<Date | null> {
  const row = await db
    .selectFrom('session')
    .select(ENDS_AT.as('ends_at'))
    .where('id', '=', sessionId)
    .where(ENDS_AT, '>', sql<Date>`now()`)
    .executeTakeFirst()
  return row?.ends_at ?? null
}

/** Ends a session that the actor names by id. @throws AppError invalid if it is not theirs. */
export async function endOwnSession(db: Database, actor: Actor, sessionId: string): Promise<void> {
  if (!(await endSession(db, actor.userId, sessionId))) {
    throw new AppError('invalid', 'Not found or no authDevice.delete access')
  }
}

function sessionValues(userId: string, token: string, device: Device) {
  return {
    user_id: userId,
    token_hash: hashToken(token),
    device_type: device.deviceType,
    device_os: device.deviceOS,
    app_version: device.appVersion,
  }
}

function describeSession(
  row: Selectable<Schema['session']> & { ends_at: Date; is_pending_reset: boolean },
  currentSessionId: string | null,
): SessionView {
  return {
    id: row.id,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    expiresAt: row.ends_at.toISOString(),
    current: row.id === currentSessionId,
    deviceType: row.device_type,
    deviceOS: row.device_os,
    appVersion: row.app_version,
    isPendingSyncReset: row.is_pending_reset,
  }
}
