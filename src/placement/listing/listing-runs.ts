/** The rows of listings: begun, gone on with, finished. One process at a time is at each. */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Placement } from '../placement.ts'
import { takeSightings } from './strays.ts'

/** A holder that has not written down its progress for so long is taken for dead. */
const LEASE_MS = 5 * 60_000
/** Listings of a location that are kept. */
const KEPT = 30

export type ListingRun = { id: number; holder: string; begunAt: Date; afterKey: string }

/**
 * What one stretch of a listing found. `foreign`: of what is unknown, names that are none of ours.
 * `expected`: copies that the ledger counts on there; `found`: of these, those that were listed.
 */
export type ListingCounts = {
  listed: { count: number; bytes: number }
  unknown: { count: number; bytes: number }
  foreign: { count: number; bytes: number }
  expected: number
  found: number
  missing: number
  different: number
}

export function noCounts(): ListingCounts {
  const none = () => ({ count: 0, bytes: 0 })
  const nothing = { expected: 0, found: 0, missing: 0, different: 0 }
  return { listed: none(), unknown: none(), foreign: none(), ...nothing }
}

export function addCounts(total: ListingCounts, more: ListingCounts): void {
  for (const name of ['listed', 'unknown', 'foreign'] as const) {
    total[name].count += more[name].count
    total[name].bytes += more[name].bytes
  }
  for (const name of ['expected', 'found', 'missing', 'different'] as const) total[name] += more[name]
}

/**
 * The listing of a location that is due, begun or gone on with; null where none is, or another process is at
 * it. `isNow`: one is wanted whenever the last one was.
 */
export async function claimListing(
  { db, settings }: Placement,
  locationId: string,
  { isNow }: { isNow: boolean },
): Promise<ListingRun | null> {
  await sql`
    insert into location_listing (location_id)
    select id from location where id = ${locationId} and (${isNow} or not exists (
      select from location_listing where location_id = ${locationId}
        and begun_at > now() - ${settings.listingIntervalMs} * interval '1 millisecond'))
    on conflict (location_id) where finished_at is null do nothing`.execute(db)
  const holder = randomUUID()
  const { rows } = await sql<ListingRun>`
    update location_listing set holder = ${holder}, lease_expires_at = now() + ${LEASE_MS} * interval '1 millisecond'
    where location_id = ${locationId} and finished_at is null and coalesce(lease_expires_at < now(), true)
    returning id, holder, begun_at as "begunAt", after_key as "afterKey"`.execute(db)
  return rows[0] ?? null
}

/** False where another process took this one for dead. */
export async function saveProgress(
  { db }: Pick<Placement, 'db'>,
  { id, holder }: ListingRun,
  afterKey: string,
  found: ListingCounts,
): Promise<boolean> {
  const result = await db
    .updateTable('location_listing')
    .set(({ eb }) => ({
      after_key: afterKey,
      lease_expires_at: sql<Date>`now() + ${LEASE_MS} * interval '1 millisecond'`,
      listed_count: eb('listed_count', '+', found.listed.count),
      listed_bytes: eb('listed_bytes', '+', found.listed.bytes),
      unknown_count: eb('unknown_count', '+', found.unknown.count),
      unknown_bytes: eb('unknown_bytes', '+', found.unknown.bytes),
      foreign_count: eb('foreign_count', '+', found.foreign.count),
      foreign_bytes: eb('foreign_bytes', '+', found.foreign.bytes),
      expected_count: eb('expected_count', '+', found.expected),
      found_count: eb('found_count', '+', found.found),
      missing_count: eb('missing_count', '+', found.missing),
      different_count: eb('different_count', '+', found.different),
      error: null,
    }))
    .where('id', '=', id)
    .where('holder', '=', holder)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** It goes on later, here or elsewhere; `error` says why it stopped. */
export async function releaseListing(
  { db }: Pick<Placement, 'db'>,
  { id, holder }: ListingRun,
  error: string | null,
): Promise<void> {
  await db
    .updateTable('location_listing')
    .set({ holder: null, lease_expires_at: null, error })
    .where('id', '=', id)
    .where('holder', '=', holder)
    .execute()
}

/** What it lists can't be believed to be what the place holds, whatever is found later. */
export async function noteUnsound({ db }: Pick<Placement, 'db'>, { id, holder }: ListingRun): Promise<void> {
  await db
    .updateTable('location_listing')
    .set({ is_sound: false })
    .where('id', '=', id)
    .where('holder', '=', holder)
    .execute()
}

/**
 * False where another process took this one for dead. `uploadsError`: why unfinished uploads are not known.
 */
export async function finishListing(
  { db }: Pick<Placement, 'db'>,
  { id, holder }: ListingRun,
  { locationId, uploadsError }: { locationId: string; uploadsError: string | null },
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const row = await tx
      .updateTable('location_listing')
      .set({
        finished_at: sql<Date>`now()`,
        holder: null,
        lease_expires_at: null,
        error: null,
        uploads_error: uploadsError,
      })
      .where('id', '=', id)
      .where('holder', '=', holder)
      .returning(['is_sound', 'expected_count', 'found_count'])
      .executeTakeFirst()
    if (row === undefined) return false
    await takeSightings(tx, locationId, row.is_sound && showsEnough(row))
    await sql`
      delete from location_listing where id in (
        select id from location_listing where location_id = ${locationId} and finished_at is not null
        order by finished_at desc offset ${KEPT})`.execute(tx)
    return true
  })
}

/** A listing that leaves out most of what is known to be there is one of something else. */
export function showsEnough(row: { expected_count: number; found_count: number }): boolean {
  return row.found_count * 2 >= row.expected_count
}

export type ListingStatus = {
  /**
   * When the last whole listing began: all that counts as a copy was seen there at that time, or was proven
   * later.
   */
  seenAt: string | null
  finishedAt: string | null
  listed: { count: number; bytes: number }
  /**
   * Listed, and the ledger knows nothing of it. Removed by a decision of an administrator alone (`collect/`).
   */
  unknown: { count: number; bytes: number }
  missing: number
  different: number
  /** The one that is under way or was cut: begun when, how far, and why it stopped. */
  underWay: { begunAt: string; count: number; error: string | null } | null
}

/** By location: the last finished listing, and the one under way. */
export async function listingStatuses({ db }: Pick<Placement, 'db'>): Promise<Map<string, ListingStatus>> {
  const rows = await db
    .selectFrom('location_listing')
    .selectAll()
    .where(({ or, eb }) =>
      or([
        eb('finished_at', 'is', null),
        eb('id', 'in', (inner) =>
          inner
            .selectFrom('location_listing')
            .distinctOn('location_id')
            .select('id')
            .where('finished_at', 'is not', null)
            .orderBy('location_id')
            .orderBy('finished_at', 'desc'),
        ),
      ]),
    )
    .execute()
  const statuses = new Map<string, ListingStatus>()
  for (const [locationId, runs] of Map.groupBy(rows, (row) => row.location_id)) {
    const last = runs.find((row) => row.finished_at !== null)
    const now = runs.find((row) => row.finished_at === null)
    statuses.set(locationId, {
      seenAt: last?.begun_at.toISOString() ?? null,
      finishedAt: last?.finished_at?.toISOString() ?? null,
      listed: { count: last?.listed_count ?? 0, bytes: last?.listed_bytes ?? 0 },
      unknown: { count: last?.unknown_count ?? 0, bytes: last?.unknown_bytes ?? 0 },
      missing: last?.missing_count ?? 0,
      different: last?.different_count ?? 0,
      underWay: now
        ? { begunAt: now.begun_at.toISOString(), count: now.listed_count, error: now.error }
        : null,
    })
  }
  return statuses
}
