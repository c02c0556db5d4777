/** What a session has acknowledged, and whether it may go on from there. */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { AppError } from '../../errors.ts'
import { isUuid } from '../../uuid.ts'
import type { Actor } from '../access.ts'
import { ACK, LINE_TYPES, RESET } from './names.ts'

const COMPLETE_BACKFILL = 'complete'

type Ack = { type: string; id: string; extra: string | null }

/** The session of the actor. @throws AppError forbidden: it is by a session that devices are told apart */
export function sessionOf({ sessionId }: Pick<Actor, 'sessionId'>): string {
  if (sessionId === null) throw new AppError('forbidden', 'Sync endpoints cannot be used with API keys')
  return sessionId
}

/**
 * Acknowledges lines: the next stream goes on behind them. Of several of a type the last counts, even if it
 * is older. `SyncResetV1|reset` says that the device has thrown away all that it had; what else is in the
 * list is void. An id that this database has not come to yet is of another state of it, so that the device
 * must start anew.
 * @param acks `type|id` or `type|id|extra`, as the lines have them
 * @throws AppError invalid, and nothing is stored
 */
export async function acknowledge(db: Database, sessionId: string, acks: readonly string[]): Promise<void> {
  const parsed = acks.map(parseAck)
  if (parsed.some(({ type }) => type === RESET)) return startAnew(db, sessionId)
  const last = [...new Map(parsed.map((ack) => [ack.type, ack])).values()].filter(({ type }) => type !== ACK)
  if (last.length === 0) return
  await db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ now: string }>`select sync_id() as now`.execute(tx)
    if (last.some(({ id }) => id > rows[0]!.now)) await requireReset(tx, sessionId)
    else await storeCheckpoints(tx, sessionId, last)
  })
}

/**
 * Nothing is stored for a session that must start anew: what it says is of what it has still to throw away.
 */
export async function storeCheckpoints(
  db: Queryable,
  sessionId: string,
  acks: readonly Ack[],
): Promise<void> {
  await sql`
    insert into sync_checkpoint (session_id, type, id, extra)
    select session.session_id, ack.type, ack.id, ack.extra
    from (select session_id from sync_session where session_id = ${sessionId}::uuid for key share) as session,
      unnest(${acks.map(({ type }) => type)}::text[], ${uuidArray(acks.map(({ id }) => id))}::uuid[],
        ${acks.map(({ extra }) => extra)}::text[]) as ack (type, id, extra)
    order by ack.type
    on conflict (session_id, type) do update set id = excluded.id, extra = excluded.extra`.execute(db)
}

/** All of the session, as `GET /sync/ack` has them. */
export async function listAcks(db: Database, sessionId: string): Promise<{ type: string; ack: string }[]> {
  const rows = await db
    .selectFrom('sync_checkpoint')
    .select(['type', 'id', 'extra'])
    .where('session_id', '=', sessionId)
    .orderBy('type')
    .execute()
  return rows.map(({ type, id, extra }) => ({
    type,
    ack: [type, id, extra].filter((one) => one !== null).join('|'),
  }))
}

/** Null: all of them. The lines are sent again. */
export async function deleteAcks(
  db: Database,
  sessionId: string,
  types: readonly string[] | null,
): Promise<void> {
  await db
    .deleteFrom('sync_checkpoint')
    .where('session_id', '=', sessionId)
    .$if(types !== null, (query) => query.where(sql<boolean>`type = any(${types}::text[])`))
    .execute()
}

/** The device keeps nothing: it may go on, from the beginning. */
export async function startAnew(db: Database, sessionId: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await requireReset(tx, sessionId)
    await sql`insert into sync_session (session_id)
      select id from session where id = ${sessionId}::uuid for key share on conflict do nothing`.execute(tx)
  })
}

/** The next stream tells the device to throw away what it has. */
export async function requireReset(db: Queryable | Tx, sessionId: string): Promise<void> {
  await db.deleteFrom('sync_session').where('session_id', '=', sessionId).execute()
}

/**
 * The next stream of each device tells it to throw away what it has: after the machine, or the database, was
 * put back to an older state in a way that the server cannot notice.
 */
export async function requireResetOfAll(db: Database): Promise<void> {
  await db.deleteFrom('sync_session').execute()
}

/** Of a session of the user's. @throws AppError invalid where it is not theirs */
export async function setPendingReset(
  db: Database,
  { userId }: Pick<Actor, 'userId'>,
  sessionId: string,
  isPending: boolean,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const session = await tx
      .selectFrom('session')
      .select('id')
      .where('id', '=', sessionId)
      .where('user_id', '=', userId)
      .forKeyShare()
      .executeTakeFirst()
    if (session === undefined) throw new AppError('invalid', 'Not found or no session.update access')
    if (isPending) await requireReset(tx, sessionId)
    else await sql`insert into sync_session values (${sessionId}::uuid) on conflict do nothing`.execute(tx)
  })
}

const KNOWN: ReadonlySet<string> = new Set(LINE_TYPES)

function parseAck(text: string): Ack {
  const [type = '', id = '', extra = null] = text.split('|')
  if (!KNOWN.has(type)) throw new AppError('invalid', `Invalid ack type: ${type.slice(0, 100)}`)
  if (type === RESET) return { type, id, extra: null }
  if (isUuid(id) && (extra === null || extra === COMPLETE_BACKFILL || isUuid(extra)))
    return { type, id: id.toLowerCase(), extra: extra?.toLowerCase() ?? null }
  throw new AppError('invalid', `acks: ${type} has no id that this server gave; send back the ack of a line`)
}
