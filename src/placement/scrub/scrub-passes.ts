/** The rows of scrub passes: begun, gone on with, finished. One process at a time is at each. */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'
import { readPrice } from '../storage-prices.ts'

/** A holder that has not written down its progress for so long is taken for dead. */
export const LEASE_MS = 5 * 60_000
/** Passes of a location that are kept. */
const KEPT = 30

export type ScrubPass = { id: number; holder: string; begunAt: Date; afterObjectId: string }

/** What one stretch of a pass found. */
export type ScrubCounts = { read: { count: number; bytes: number }; wrong: number; unread: number }

export function noCounts(): ScrubCounts {
  return { read: { count: 0, bytes: 0 }, wrong: 0, unread: 0 }
}

export function addCounts(total: ScrubCounts, more: ScrubCounts): void {
  total.read.count += more.read.count
  total.read.bytes += more.read.bytes
  total.wrong += more.wrong
  total.unread += more.unread
}

/**
 * The pass of a location, begun or gone on with; null where none is due, or another process is at it.
 * `isNow`: one is wanted whenever the last one was.
 */
export async function claimPass(
  { db, settings }: Pick<Placement, 'db' | 'settings'>,
  locationId: string,
  { isNow }: { isNow: boolean },
): Promise<ScrubPass | null> {
  const interval = sql`${settings.scrubIntervalMs} * interval '1 millisecond'`
  // Of a time to come, the clock that wrote it was ahead.
  await sql`
    insert into location_scrub (location_id)
    select id from location where id = ${locationId} and (${isNow} or not exists (
      select from location_scrub where location_id = ${locationId}
        and begun_at between now() - ${interval} and now()))
    on conflict (location_id) where finished_at is null do nothing`.execute(db)
  const holder = randomUUID()
  // Whoever wants all of it read now does not mean what was read weeks ago.
  if (isNow)
    await sql`
      update location_scrub set begun_at = now(), after_object_id = default, read_count = 0, read_bytes = 0,
        wrong_count = 0, unread_count = 0
      where location_id = ${locationId} and finished_at is null and holder is null
        and begun_at < now() - interval '1 day'`.execute(db)
  const lease = sql`now() + ${LEASE_MS} * interval '1 millisecond'`
  // A lease that is longer than any was written by a clock that was ahead.
  const { rows } = await sql<ScrubPass>`
    update location_scrub set holder = ${holder}, lease_expires_at = ${lease}
    where location_id = ${locationId} and finished_at is null
      and coalesce(lease_expires_at < now() or lease_expires_at > ${lease}, true)
    returning id, holder, begun_at as "begunAt", after_object_id as "afterObjectId"`.execute(db)
  return rows[0] ?? null
}

/** False where another process took this one for dead. */
export async function saveProgress(
  { db }: Pick<Placement, 'db'>,
  { id, holder }: ScrubPass,
  afterObjectId: string,
  found: ScrubCounts,
): Promise<boolean> {
  const result = await db
    .updateTable('location_scrub')
    .set(({ eb }) => ({
      after_object_id: afterObjectId,
      lease_expires_at: sql<Date>`now() + ${LEASE_MS} * interval '1 millisecond'`,
      read_count: eb('read_count', '+', found.read.count),
      read_bytes: eb('read_bytes', '+', found.read.bytes),
      wrong_count: eb('wrong_count', '+', found.wrong),
      unread_count: eb('unread_count', '+', found.unread),
      error: null,
    }))
    .where('id', '=', id)
    .where('holder', '=', holder)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** Someone is at it for longer: a large file is being read. */
export async function renewLease({ db }: Pick<Placement, 'db'>, { id, holder }: ScrubPass): Promise<void> {
  await db
    .updateTable('location_scrub')
    .set({ lease_expires_at: sql<Date>`now() + ${LEASE_MS} * interval '1 millisecond'` })
    .where('id', '=', id)
    .where('holder', '=', holder)
    .execute()
}

/** It goes on later, here or elsewhere; `error` says why it stopped. */
export async function releasePass(
  { db }: Pick<Placement, 'db'>,
  { id, holder }: ScrubPass,
  error: string | null,
): Promise<void> {
  await db
    .updateTable('location_scrub')
    .set({ holder: null, lease_expires_at: null, error })
    .where('id', '=', id)
    .where('holder', '=', holder)
    .execute()
}

/** A pass that met nothing says nothing of what comes after it, and is forgotten. */
export async function finishPass(
  { db }: Pick<Placement, 'db'>,
  { id, holder }: ScrubPass,
  locationId: string,
): Promise<void> {
  await db
    .updateTable('location_scrub')
    .set({ finished_at: sql<Date>`now()`, holder: null, lease_expires_at: null, error: null })
    .where('id', '=', id)
    .where('holder', '=', holder)
    .execute()
  await sql`
    delete from location_scrub where id = ${id} and read_count + wrong_count + unread_count = 0`.execute(db)
  await sql`
    delete from location_scrub where id in (
      select id from location_scrub where location_id = ${locationId} and finished_at is not null
      order by finished_at desc offset ${KEPT})`.execute(db)
}

export type ScrubStatus = {
  /** Bytes a month that are read there; 0: none. */
  monthlyBytes: number
  /** What reading there may cost each month besides; null: no limit. */
  monthlyMoney: { amount: number; currency: string } | null
  /**
   * When the last whole pass began: what was there then, and could be read, was right at that time or later.
   */
  readSince: string | null
  /** Of the last whole pass and the one under way: replicas that were found wrong. */
  wrong: number
  /** Of the last whole pass: what could not be read. */
  unread: number
  /** The pass under way: how far it has come, and why it stopped. */
  underWay: { begunAt: string; count: number; bytes: number; error: string | null } | null
}

/** By location: the last finished pass, and the one under way. */
export async function scrubStatuses(placement: Placement): Promise<Map<string, ScrubStatus>> {
  const rows = await placement.db
    .selectFrom('location_scrub')
    .selectAll()
    .where(({ or, eb }) =>
      or([
        eb('finished_at', 'is', null),
        eb('id', 'in', (inner) =>
          inner
            .selectFrom('location_scrub')
            .distinctOn('location_id')
            .select('id')
            .where('finished_at', 'is not', null)
            .orderBy('location_id')
            .orderBy('finished_at', 'desc'),
        ),
      ]),
    )
    .execute()
  const statuses = new Map<string, ScrubStatus>()
  for (const location of placement.locations.values()) {
    const own = rows.filter((row) => row.location_id === location.id)
    const done = own.find((row) => row.finished_at !== null)
    const now = own.find((row) => row.finished_at === null)
    statuses.set(location.id, {
      monthlyBytes: monthlyBytesOf(placement, location),
      monthlyMoney: monthlyMoneyOf(placement, location),
      readSince: done?.begun_at.toISOString() ?? null,
      wrong: Number(done?.wrong_count ?? 0) + Number(now?.wrong_count ?? 0),
      unread: Number(done?.unread_count ?? 0),
      underWay: now
        ? {
            begunAt: now.begun_at.toISOString(),
            count: Number(now.read_count),
            bytes: Number(now.read_bytes),
            error: now.error,
          }
        : null,
    })
  }
  return statuses
}

/** What its owner lets be read there each month. */
export function monthlyBytesOf(
  { settings }: Pick<Placement, 'settings'>,
  { kind, scrub }: Pick<Location, 'kind' | 'scrub'>,
): number {
  if (scrub?.bytes != null) return scrub.bytes
  return kind === 'disk' ? settings.scrubDiskBytes : settings.scrubBucketBytes
}

/** What its owner lets reading there cost each month, where that is limited. */
function monthlyMoneyOf(
  { prices }: Pick<Placement, 'prices'>,
  location: Location,
): ScrubStatus['monthlyMoney'] {
  const amount = location.scrub?.money ?? null
  const price = readPrice(prices, location, { storageClass: null, bytes: 0 })
  return amount === null ? null : { amount, currency: price?.currency ?? '' }
}

/**
 * How many bytes of the budget an object takes: its own, or more where what it costs is a larger part of the
 * month's money than they are of its bytes. Infinite where its price is not known and money is limited.
 */
export function chargeOf(
  placement: Pick<Placement, 'prices' | 'settings'>,
  location: Location,
  { size, storageClass }: { size: number; storageClass: string | null },
): number {
  const money = location.scrub?.money ?? null
  if (money === null) return size
  const price = readPrice(placement.prices, location, { storageClass, bytes: size })
  if (price === null) return Number.POSITIVE_INFINITY
  return Math.max(size, (price.amount / money) * monthlyBytesOf(placement, location))
}
