/**
 * When locations were in trouble, as events: one row and two lines in the log for each, however many files
 * waited and however many processes noticed.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'

export type Outage = {
  location: string
  /** ISO 8601. */
  startedAt: string
  /** Null: it lasts. */
  endedAt: string | null
  /** What was wrong when it began. */
  cause: string
  isDrill: boolean
  /** Jobs that had waited for its end; of one that lasts, 0. */
  waited: number
}

const KEPT_DAYS = 30
const MOST_TOLD = 20

/** A location is in trouble from now on. One that was already changes nothing. */
export async function beginOutage(
  { db, log }: Pick<Placement, 'db' | 'log'>,
  { id, label }: Pick<Location, 'id' | 'label'>,
  { cause, isDrill }: { cause: string; isDrill: boolean },
): Promise<void> {
  const begun = await db
    .insertInto('outage')
    .values({ location_id: id, cause, is_drill: isDrill })
    .onConflict((conflict) => conflict.column('location_id').where('ended_at', 'is', null).doNothing())
    .returning('id')
    .executeTakeFirst()
  // Each process that obeys a drill reports it (outages.ts), because the command that began it may be over.
  if (begun !== undefined && !isDrill)
    log.warn({ location: id, cause }, `an outage begins: ${label} (${cause})`)
}

/** It is well again. */
export async function endOutage(
  { db, log }: Pick<Placement, 'db' | 'log'>,
  { id, label }: Pick<Location, 'id' | 'label'>,
  waited: number,
): Promise<void> {
  const ended = await db
    .updateTable('outage')
    .set({ ended_at: sql<Date>`greatest(now(), began_at)`, waited })
    .where('location_id', '=', id)
    .where('ended_at', 'is', null)
    .returning(sql<number>`extract(epoch from ended_at - began_at)::float8`.as('seconds'))
    .executeTakeFirst()
  if (ended === undefined) return
  const seconds = Math.round(ended.seconds)
  const what = waited === 0 ? '' : `; ${waited} jobs that waited for it go on now`
  log.info({ location: id, seconds, waited }, `an outage is over: ${label}, after ${seconds} s${what}`)
  // Not counted by a clock that jumps: what is forgotten here is worth nothing to anybody.
  await sql`
    delete from outage where ended_at < now() - ${KEPT_DAYS} * interval '1 day'
      and lived_since(ended_at) > ${KEPT_DAYS} * interval '1 day'`.execute(db)
}

/** The last ones, the newest first. */
export async function recentOutages(db: Queryable): Promise<Outage[]> {
  const rows = await db
    .selectFrom('outage')
    .selectAll()
    .orderBy('began_at', 'desc')
    .orderBy('id', 'desc')
    .limit(MOST_TOLD)
    .execute()
  return rows.map((row) => ({
    location: row.location_id,
    startedAt: row.began_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
    cause: row.cause,
    isDrill: row.is_drill,
    waited: row.waited,
  }))
}
