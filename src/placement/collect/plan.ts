/**
 * What lies at a location that nothing names, what would become of it, and what an administrator has to type
 * so that it does. Nothing is changed by asking.
 */
import { createHash } from 'node:crypto'
import { type Selectable, sql } from 'kysely'
import { isClockInDoubt } from '../../database/clock.ts'
import type { Schema } from '../../database/schema.ts'
import type { Amount } from '../ledger/objects.ts'
import { showsEnough } from '../listing/listing-runs.ts'
import type { Location } from '../location.ts'
import { loadCounter } from '../locations/counter/record.ts'
import type { Placement } from '../placement.ts'
import { adoptionOf } from '../takeover/adoption.ts'
import { COMPARED_KINDS, lacksACopySql } from './copies-that-count.ts'
import { judgingOf, type KeptReason, ROW_HASH, reasonSql } from './judge.ts'

/** More than this share of the location's files, or this many, need the stronger confirmation. */
const STRONG_SHARE = 0.1
const STRONG_COUNT = 10_000

/**
 * Why nothing may be given up at a location now. `read-only`: it is only read. `conflict`,
 * `adoption`: another ledger has used it, or it is just taken over. `never-listed`, `being-listed`: it is not
 * known what lies there. `unsound`: its last listing did not show its own marker, or the place was another
 * one. `half-missing`: that listing left out most of what the ledger knows to be there. `clock`: the clock
 * has jumped, and what is old is not known.
 */
export type Refusal =
  | 'read-only'
  | 'conflict'
  | 'adoption'
  | 'never-listed'
  | 'being-listed'
  | 'unsound'
  | 'half-missing'
  | 'clock'

/**
 * `becomes`: `collected`; `compared`: its size is that of a file that lacks a copy that can be relied on, so
 * it is read first, and becomes that copy where it is the same; `kept`, for `reason`. `oldest`: ISO 8601, as
 * the location says.
 */
export type PlanGroup = Amount & {
  kind: string
  what: 'file' | 'upload'
  becomes: 'collected' | 'compared' | 'kept'
  reason: KeptReason | null
  oldest: string
}

export type CollectionPlan = {
  locationId: string
  label: string
  /** When its last whole listing began; null: there was none. */
  listedAt: string | null
  refusal: Refusal | null
  /** Copies that were found missing or changed, and of these the ones without another verified copy. */
  rowsWithoutBytes: Amount & { withoutCopy: number }
  groups: PlanGroup[]
  /** Names that are none of ours: counted, never collected. */
  foreign: Amount
  /** Why unfinished uploads are not known; null: they are, or there can be none. */
  uploadsError: string | null
  /** What may be given up; null: nothing, or `refusal`. */
  collect: Collectable | null
}

/** `confirm`: to be typed. `isStrong`: it is much, so that the location's name is part of that. */
export type Collectable = {
  planId: string
  files: number
  uploads: number
  bytes: number
  confirm: string
  isStrong: boolean
}

export async function planCollection(placement: Placement, location: Location): Promise<CollectionPlan> {
  const { db } = placement
  const listing = await lastListing(placement, location.id)
  const judging = await judgingOf(placement, location.id)
  const { rows } = await sql<Omit<PlanGroup, 'becomes'> & { isCompared: boolean; hash: string }>`
    with lacking as materialized (
      select o.size from stored_object o
      where o.size in (select size from stray where location_id = ${location.id}) and ${lacksACopySql(placement)}),
    judged as (
      select s.*, ${reasonSql(placement, judging)} as reason,
        s.upload_id = '' and s.kind = any(${COMPARED_KINDS}::text[])
          and s.size in (select size from lacking) as is_compared
      from stray s where s.location_id = ${location.id})
    select s.kind, case when s.upload_id = '' then 'file' else 'upload' end as what, s.reason,
      s.is_compared and s.reason is null as "isCompared", count(*)::float8 as count,
      coalesce(sum(s.size), 0)::float8 as bytes, min(s.last_modified) as oldest,
      sum(${ROW_HASH})::text as hash
    from judged s group by 1, 2, 3, 4 order by 2, 1, 3 nulls first, 4`.execute(db)
  const refusal = await refusalOf(placement, location, listing)
  const groups = rows.map(({ isCompared, hash: _, ...row }): PlanGroup => {
    const oldest = new Date(row.oldest).toISOString()
    return { ...row, oldest, becomes: row.reason !== null ? 'kept' : isCompared ? 'compared' : 'collected' }
  })
  const free = rows.filter(({ reason }) => reason === null)
  const amountOf = (what: PlanGroup['what']) =>
    free.reduce((sum, row) => sum + (row.what === what ? row.count : 0), 0)
  const totals = {
    files: amountOf('file'),
    uploads: amountOf('upload'),
    bytes: free.reduce((sum, { bytes }) => sum + bytes, 0),
    hash: free.reduce((sum, { hash }) => sum + BigInt(hash), 0n).toString(),
  }
  return {
    locationId: location.id,
    label: location.label,
    listedAt: listing.finished?.begun_at.toISOString() ?? null,
    refusal,
    rowsWithoutBytes: await withoutBytes(placement, location.id),
    groups,
    foreign: { count: listing.finished?.foreign_count ?? 0, bytes: listing.finished?.foreign_bytes ?? 0 },
    uploadsError: listing.finished?.uploads_error ?? null,
    collect:
      refusal !== null || free.length === 0 ? null : collectableOf(location.id, listing.finished!, totals),
  }
}

type Listing = Selectable<Schema['location_listing']>
type LastListing = { finished: Listing | null; isUnderWay: boolean }
type Totals = { files: number; uploads: number; bytes: number; hash: string }

/** `planId` changes with the listing and with every file that is counted, so that an old plan is told. */
export function collectableOf(locationId: string, listing: Listing, totals: Totals): Collectable {
  const { files, uploads, bytes, hash } = totals
  const named = [locationId, listing.id, files, uploads, bytes, hash].join(' ')
  const count = files + uploads
  const isStrong = count > STRONG_COUNT || count > STRONG_SHARE * listing.listed_count
  return {
    planId: createHash('sha256').update(named).digest('hex').slice(0, 16),
    ...{ files, uploads, bytes, isStrong },
    confirm: confirmationOf({ files, uploads }) + (isStrong ? ` from ${locationId}` : ''),
  }
}

function confirmationOf({ files, uploads }: { files: number; uploads: number }): string {
  const parts = [
    files > 0 || uploads === 0 ? `${files} ${files === 1 ? 'file' : 'files'}` : [],
    uploads > 0 ? `${uploads} unfinished ${uploads === 1 ? 'upload' : 'uploads'}` : [],
  ].flat()
  return `collect ${parts.join(' and ')}`
}

export async function lastListing({ db }: Pick<Placement, 'db'>, locationId: string): Promise<LastListing> {
  const rows = await db
    .selectFrom('location_listing')
    .selectAll()
    .where('location_id', '=', locationId)
    .orderBy('id', 'desc')
    .limit(2)
    .execute()
  return {
    finished: rows.find(({ finished_at }) => finished_at !== null) ?? null,
    isUnderWay: rows.some(({ finished_at }) => finished_at === null),
  }
}

export async function refusalOf(
  placement: Placement,
  location: Location,
  { finished, isUnderWay }: LastListing,
): Promise<Refusal | null> {
  if (location.isReadOnly) return 'read-only'
  if ((await adoptionOf(placement, location.id))?.state === 'running') return 'adoption'
  if (((await loadCounter(placement, location.id))?.conflict ?? null) !== null) return 'conflict'
  if (isUnderWay) return 'being-listed'
  if (finished === null) return 'never-listed'
  if (!finished.is_sound) return 'unsound'
  if (!showsEnough(finished)) return 'half-missing'
  return (await isClockInDoubt(placement.db)) ? 'clock' : null
}

async function withoutBytes(
  { db }: Pick<Placement, 'db'>,
  locationId: string,
): Promise<Amount & { withoutCopy: number }> {
  const { rows } = await sql<Amount & { withoutCopy: number }>`
    select count(*)::float8 as count, coalesce(sum(o.size), 0)::float8 as bytes,
      count(*) filter (where not exists (select from replica v where v.object_id = o.id and v.state = 'verified'))::float8
        as "withoutCopy"
    from replica r join stored_object o on o.id = r.object_id
    where r.location_id = ${locationId} and r.state = 'suspect' and o.state = 'live'`.execute(db)
  return rows[0]!
}
