/** An administrator decides that files which belong to nothing go, and may take that back. */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { NOW_AS_SEEN } from '../../database/clock.ts'
import { AppError } from '../../errors.ts'
import { requireLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { judgingOf, ROW_HASH, reasonSql } from './judge.ts'
import { collectableOf, lastListing, refusalOf } from './plan.ts'

export type DecideOptions = {
  /** That of the plan that was shown. */
  planId: string
  /** What was typed: `confirm` of that plan. */
  confirm: string
  /** Who decides, for the history. */
  actor: string
}

/**
 * Writes the decision down, for exactly what was shown. Nothing is removed before its hold time has passed.
 * @returns its id
 * @throws AppError conflict where the plan is another one by now, or nothing may be given up there now;
 *   invalid where something else was typed
 */
export async function decideCollection(
  placement: Placement,
  locationId: string,
  { planId, confirm, actor }: DecideOptions,
): Promise<string> {
  const location = requireLocation(placement, locationId)
  const judging = await judgingOf(placement, locationId)
  const id = randomUUID()
  return placement.db.transaction().execute(async (tx) => {
    // Of two who decide at a time the second one finds its plan changed.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`collection ${locationId}`}, 0))`.execute(tx)
    const within = { ...placement, db: tx } as unknown as Placement
    const listing = await lastListing(within, locationId)
    const refusal = await refusalOf(within, location, listing)
    if (refusal !== null)
      throw new AppError('conflict', `nothing can be given up at ${locationId} now: ${refusal}`, {
        details: { refusal },
      })
    await tx
      .insertInto('collection')
      .values({
        ...{ id, location_id: locationId, actor, plan_id: planId, files: 0, uploads: 0, bytes: 0 },
        decided_at: NOW_AS_SEEN,
        collect_after: sql<Date>`${NOW_AS_SEEN} + ${placement.settings.collectHoldMs} * interval '1 millisecond'`,
      })
      .execute()
    const { rows } = await sql<{ files: number; uploads: number; bytes: number; hash: string | null }>`
      with chosen as (
        select s.* from stray s where s.location_id = ${locationId} and ${reasonSql(placement, judging)} is null),
      inserted as (
        insert into collection_item (collection_id, location_id, key, upload_id, kind, size, etag, last_modified)
        select ${id}, location_id, key, upload_id, kind, size, etag, last_modified from chosen)
      select count(*) filter (where s.upload_id = '')::float8 as files,
        count(*) filter (where s.upload_id <> '')::float8 as uploads,
        coalesce(sum(s.size), 0)::float8 as bytes, sum(${ROW_HASH})::text as hash
      from chosen s`.execute(tx)
    const { hash, ...totals } = rows[0]!
    const now = collectableOf(locationId, listing.finished!, { ...totals, hash: hash ?? '0' })
    if (now.planId !== planId)
      throw new AppError(
        'conflict',
        'what lies there has changed since the plan was made: look at it again',
        {
          details: { refusal: 'plan-changed' },
        },
      )
    if (confirm !== now.confirm) throw new AppError('invalid', `confirm: type exactly "${now.confirm}"`)
    await tx.updateTable('collection').set(totals).where('id', '=', id).execute()
    placement.log.warn(
      { location: locationId, collection: id, by: actor, ...totals },
      'files are to be given up',
    )
    return id
  })
}

/**
 * Takes a decision back: what is not removed yet stays. How many files and uploads that are.
 * @throws AppError not-found; conflict where nothing of it is left to be undone
 */
export async function undoCollection({ db, log }: Placement, id: string, actor: string): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const collection = await tx
      .selectFrom('collection')
      .select(['location_id', 'finished_at', 'undone_at'])
      .where('id', '=', id)
      .forUpdate()
      .executeTakeFirst()
    if (collection === undefined) throw new AppError('not-found', `there is no decision ${id}`)
    if (collection.undone_at !== null || collection.finished_at !== null)
      throw new AppError('conflict', 'this decision is carried out or undone already')
    await tx
      .updateTable('collection')
      .set({ undone_at: NOW_AS_SEEN, undone_by: actor })
      .where('id', '=', id)
      .execute()
    const { numUpdatedRows } = await tx
      .updateTable('collection_item')
      .set({ state: 'undone', reason: null, not_before: null })
      .where('collection_id', '=', id)
      .where('state', '=', 'held')
      .executeTakeFirst()
    log.warn({ location: collection.location_id, collection: id, by: actor }, 'a decision was undone')
    return Number(numUpdatedRows)
  })
}
