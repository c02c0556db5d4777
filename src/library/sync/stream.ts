/**
 * The lines of one sync. All are of one snapshot of the database, so that nothing refers to what was not
 * sent, and whoever asks another process gets the same.
 */
import type pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import type { Database } from '../../database/connect.ts'
import { startAnew, storeCheckpoints } from './checkpoints.ts'
import { bareLine } from './line.ts'
import { COMPLETE, REQUEST_TYPES, RESET, type RequestType } from './names.ts'
import { type Checkpoint, type Part, type Sync, uuidSql } from './parts.ts'
import { SYNC_TYPES } from './request-types.ts'

/** A device that has not been in step for so long starts anew: removals are kept for a day more. */
const RESET_AFTER_DAYS = 30

type Request = {
  userId: string
  sessionId: string
  types: readonly RequestType[]
  /** The device keeps nothing. */
  reset: boolean
}

/**
 * The lines, in pieces of any length; each line ends with a line feed. A connection of the pool is held until
 * the end: whoever stops early must `return()` it. Memory does not grow with the number of lines.
 */
export async function* syncStream(
  { db, pool }: { db: Database; pool: pg.Pool },
  { userId, sessionId, types, reset }: Request,
): AsyncGenerator<string | Buffer> {
  if (reset) await startAnew(db, sessionId)
  const client = await pool.connect()
  let isOver = false
  try {
    // Before the snapshot; it writes, which a read-only transaction may not.
    const { bound, now } = await askOne<{ bound: string; now: string }>(
      client,
      'select sync_bound() as bound, sync_floor(sync_tick()) as now',
    )
    await client.query('begin isolation level repeatable read, read only')
    await client.query(
      "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; set local timezone = 'UTC'",
    )
    const checkpoints = await checkpointsOf(client, sessionId)
    if (checkpoints === null || (await isTooOld(client, checkpoints, now)))
      yield bareLine(RESET, `${RESET}|reset`)
    else {
      const sync: Sync = {
        userId,
        bound,
        checkpoints,
        query: async <Row>(statement: string) => (await client.query(statement)).rows as Row[],
        store: (type, id, extra) => storeCheckpoints(db, sessionId, [{ type, id, extra }]),
      }
      for (const type of REQUEST_TYPES) {
        if (!types.includes(type)) continue
        for await (const part of SYNC_TYPES[type](sync)) yield* linesOf(client, part)
      }
      yield bareLine(COMPLETE, `${COMPLETE}|${bound}`)
    }
    await client.query('commit')
    isOver = true
  } finally {
    // Cut short, it may be in the middle of a COPY: only the end of the connection ends that.
    client.release(!isOver)
  }
}

/** JSON has no control characters, so that no line needs quotes, and each comes as it is. */
const AS_IT_IS = String.raw`(format csv, delimiter E'\x02', quote E'\x01')`

async function* linesOf(client: pg.PoolClient, part: Part): AsyncGenerator<string | Buffer> {
  if ('line' in part) {
    yield part.line
    return
  }
  let before = part.before
  const copy = client.query(copyTo(`copy (${part.select}) to stdout ${AS_IT_IS}`))
  for await (const piece of copy) {
    if (before !== undefined) yield before
    before = undefined
    yield piece as Buffer
  }
}

/** Null: the session must start anew. */
async function checkpointsOf(
  client: pg.PoolClient,
  sessionId: string,
): Promise<ReadonlyMap<string, Checkpoint> | null> {
  const { rows } = await client.query<{ type: string | null } & Checkpoint>(
    `select type, id, extra, begun_id as "begunId" from sync_session left join sync_checkpoint using (session_id)
     where session_id = $1`,
    [sessionId],
  )
  if (rows.length === 0) return null
  return new Map(rows.flatMap(({ type, ...checkpoint }) => (type === null ? [] : [[type, checkpoint]])))
}

/**
 * Removals that the device has not heard of may be forgotten, or it has heard of what this database has not
 * come to. A device that was never in step counts from its first acknowledgement.
 */
async function isTooOld(
  client: pg.PoolClient,
  checkpoints: ReadonlyMap<string, Checkpoint>,
  now: string,
): Promise<boolean> {
  const all = [...checkpoints.values()]
  if (all.length === 0) return false
  const begun = all.map(({ begunId }) => begunId).reduce((first, id) => (id < first ? id : first))
  const complete = checkpoints.get(COMPLETE)
  const { isOld } = await askOne<{ isOld: boolean }>(
    client,
    `select ${uuidSql(complete?.id ?? begun)} < coalesce(pruned_until, sync_floor(0))
       or ${complete === undefined ? 'false' : `sync_time(${uuidSql(complete.id)}) < now() - interval '${RESET_AFTER_DAYS} days'`}
       as "isOld" from sync_state`,
  )
  return isOld || all.some(({ id }) => id > now)
}

async function askOne<Row extends pg.QueryResultRow>(client: pg.PoolClient, statement: string): Promise<Row> {
  const { rows } = await client.query<Row>(statement)
  return rows[0]!
}
