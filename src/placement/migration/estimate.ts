/** What a campaign would move, and about what that takes; asks no location. */
import { sql } from 'kysely'
import { attestsTo } from '../../storage/attests-to.ts'
import { belongingSql } from '../ledger/belonging-rows.ts'
import type { Location } from '../location.ts'
import { requireLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { keepPrice, type Price, putPrice, readPrice } from '../storage-prices.ts'
import { requirePossible } from './actions.ts'
import { shareOfDay } from './campaign-hours.ts'
import type { Campaign, CampaignPlan } from './campaign-rows.ts'
import { isSelected, type Reach } from './selection.ts'

export type Estimate = {
  count: number
  bytes: number
  /** What is read, and where; an object is read once for each place that lacks it. */
  reads: { locationId: string; count: number; bytes: number; requests: number; price: Price | null }[]
  /** What is put, and where; `readBackBytes`: to prove it, where the place attests to nothing. */
  puts: {
    locationId: string
    count: number
    bytes: number
    requests: number
    readBackBytes: number
    price: Price | null
  }[]
  /** What keeping these objects costs a month. Null: no price is known there, or it is a disk. */
  monthlyBefore: { locationId: string; price: Price | null }[]
  monthlyAfter: { locationId: string; price: Price | null }[]
  /** Room on disks that they go to. */
  space: { locationId: string; neededBytes: number; freeBytes: number; isEnough: boolean }[]
  /** By what a rehearsal on this way has measured, with the campaign's limits; null: none was made yet. */
  seconds: number | null
  measured: { bytes: number; milliseconds: number } | null
}

type Row = {
  locationId: string
  storageClass: string | null
  count: number
  bytes: number
  isSource: boolean
}

/** @throws AppError as `requirePossible` */
export async function estimateCampaign(
  placement: Placement,
  plan: CampaignPlan & Partial<Pick<Campaign, 'id' | 'createdAt'>>,
  reach: Reach,
): Promise<Estimate> {
  requirePossible(placement, plan)
  const { rows } = await sql<{ count: number; bytes: number; held: Row[] | null; lacking: Row[] | null }>`
    with chosen as materialized (
      select o.id, o.size from stored_object o ${belongingSql(placement)}
      where ${isSelected(plan, reach)} and o.created_at <= ${plan.createdAt ?? sql`now()`}),
    held as (
      select r.location_id as "locationId", r.storage_class as "storageClass", count(*)::float8 as count,
        sum(c.size)::float8 as bytes
      from chosen c join replica r on r.object_id = c.id and r.state = 'verified' group by 1, 2),
    lacking as (
      select t.id as "locationId", count(*)::float8 as count, sum(c.size)::float8 as bytes
      from chosen c cross join unnest(${[...plan.toIds]}::text[]) as t (id)
      where not exists (select from replica r where r.object_id = c.id and r.location_id = t.id and r.state = 'verified')
      group by 1)
    select count(*)::float8 as count, coalesce(sum(size), 0)::float8 as bytes,
      (select jsonb_agg(held) from held) as held, (select jsonb_agg(lacking) from lacking) as lacking
    from chosen`.execute(placement.db)
  const { count, bytes, held, lacking } = rows[0]!
  const measured = await measuredOn(placement, plan)
  const putBytes = (lacking ?? []).reduce((sum, one) => sum + one.bytes, 0)
  return {
    count,
    bytes,
    reads: readsOf(placement, held ?? [], lacking ?? [], count),
    puts: plan.toIds.map((id) =>
      putsAt(
        placement,
        id,
        lacking?.find(({ locationId }) => locationId === id),
      ),
    ),
    monthlyBefore: (held ?? []).map((one) => ({
      locationId: one.locationId,
      price: priceKept(placement, one),
    })),
    monthlyAfter: monthlyAfter(placement, plan, held ?? [], { count, bytes }),
    space: await spaceNeeded(placement, lacking ?? []),
    seconds: secondsFor(putBytes, plan, measured),
    measured,
  }
}

/** As `replicateObject` chooses them: a disk before a bucket. */
function readsOf(
  placement: Placement,
  held: readonly Row[],
  lacking: readonly Row[],
  all: number,
): Estimate['reads'] {
  const needed = lacking.reduce((sum, { count }) => sum + count, 0)
  if (needed === 0 || all === 0) return []
  const sources = held.filter(({ locationId }) => placement.locations.has(locationId))
  const disk = sources.find(({ locationId }) => placement.locations.get(locationId)?.kind === 'disk')
  const first = disk && disk.count >= all ? [disk] : sources
  // Where several hold it, each counts for its share.
  const total = first.reduce((sum, { count }) => sum + count, 0)
  const neededBytes = lacking.reduce((sum, { bytes }) => sum + bytes, 0)
  return first.map(({ locationId, storageClass, count }) => {
    const share = count / total
    const bytes = Math.round(neededBytes * share)
    const requests = Math.round(needed * share)
    const location = placement.locations.get(locationId)!
    const one =
      location.kind === 'disk'
        ? null
        : readPrice(placement.prices, location, {
            storageClass,
            bytes: requests === 0 ? 0 : bytes / requests,
          })
    const price = one && { ...one, amount: one.amount * requests }
    return { locationId, count: requests, bytes, requests, price }
  })
}

function putsAt(
  placement: Placement,
  locationId: string,
  lacking: Row | undefined,
): Estimate['puts'][number] {
  const { count, bytes } = lacking ?? { count: 0, bytes: 0 }
  const location = requireLocation(placement, locationId)
  const partBytes = location.backend.features.multipart?.partBytes
  const wholeBytes = location.backend.multipart?.wholeBytes ?? Number.POSITIVE_INFINITY
  const average = count === 0 ? 0 : bytes / count
  // Larger ones go in parts, with one request to begin and one to end.
  const each = average > wholeBytes && partBytes ? Math.ceil(average / partBytes) + 2 : 1
  const puts = Math.round(count * each)
  const isAttested = attestsTo(location.backend, average > wholeBytes)
  const price = location.kind === 'disk' ? null : putPrice(placement.prices, location, { count: puts })
  return { locationId, count, bytes, requests: puts + count, readBackBytes: isAttested ? 0 : bytes, price }
}

function priceKept(
  { prices, locations }: Placement,
  { locationId, storageClass, count, bytes }: Row,
): Price | null {
  const location = locations.get(locationId)
  if (!location || location.kind === 'disk') return null
  return keepPrice(prices, location, { storageClass, count, bytes })
}

function monthlyAfter(
  placement: Placement,
  { fromIds, toIds }: CampaignPlan,
  held: readonly Row[],
  all: { count: number; bytes: number },
): Estimate['monthlyAfter'] {
  const stay = held.filter(({ locationId }) => !fromIds.includes(locationId) && !toIds.includes(locationId))
  const to = toIds.map((locationId) => ({ locationId, storageClass: null, isSource: false, ...all }))
  return [...to, ...stay].map((one) => ({ locationId: one.locationId, price: priceKept(placement, one) }))
}

async function spaceNeeded({ locations }: Placement, lacking: readonly Row[]): Promise<Estimate['space']> {
  const disks = lacking.flatMap(({ locationId, bytes }) => {
    const location = locations.get(locationId)
    return location?.space
      ? [{ location: location as Location & Required<Pick<Location, 'space'>>, bytes }]
      : []
  })
  return Promise.all(
    disks.map(async ({ location, bytes }) => {
      const { freeBytes } = await location.space()
      return { locationId: location.id, neededBytes: bytes, freeBytes, isEnough: freeBytes > bytes }
    }),
  )
}

/** The last rehearsal on the same way. */
async function measuredOn(
  { db }: Placement,
  { fromIds, toIds }: CampaignPlan,
): Promise<Estimate['measured']> {
  const { rows } = await sql<{ bytes: number; milliseconds: number }>`
    select sample_bytes::float8 as bytes, sample_ms::float8 as milliseconds from campaign
    where from_ids = ${[...fromIds]}::text[] and to_ids = ${[...toIds]}::text[] and sample_ms > 0
    order by phase_since desc limit 1`.execute(db)
  return rows[0] ?? null
}

/** With so many workers, and no faster than the limit, in the hours of the day that it may use. */
export function secondsFor(
  bytes: number,
  { workers, bytesPerSecond, hours }: Pick<CampaignPlan, 'workers' | 'bytesPerSecond' | 'hours'>,
  measured: Estimate['measured'],
): number | null {
  if (measured === null || measured.bytes === 0) return null
  const rate = (measured.bytes / measured.milliseconds) * 1_000 * workers
  const limited = bytesPerSecond === null ? rate : Math.min(rate, bytesPerSecond)
  return Math.ceil(bytes / limited / shareOfDay(hours))
}
