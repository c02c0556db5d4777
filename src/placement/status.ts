/** The four answers: is everything safe, where is it, are the places healthy; what is happening is the queue's to tell. */
import { sql } from 'kysely'
import type { BrowserReach, ProbeFinding, ProbeReport } from '../storage/backend.ts'
import { reachesIn } from './browser-reach.ts'
import { type CacheUse, cacheUse } from './cache-store.ts'
import { currentDrills } from './drill.ts'
import { type Moving, movingFiles } from './moving.ts'
import type { Location, Placement } from './placement.ts'
import { openChanges, type ProbeChange } from './probe-changes.ts'

export type Amount = { count: number; bytes: number }

export type LocationStatus = {
  id: string
  kind: 'disk' | 's3' | 'memory'
  label: string
  isDemonstration: boolean
  health: 'healthy' | 'unhealthy' | 'unknown'
  error: string | null
  /** Since when it is healthy or unhealthy. */
  healthChangedAt: string | null
  /** The drill that blocks it now. */
  drill: { startedAt: string; endsAt: string } | null
  lastProbeAt: string | null
  latencyMs: number | null
  /** The oldest proof among its verified replicas. */
  oldestProofAt: string | null
  objects: Amount
  freeBytes: number | null
  totalBytes: number | null
  findings: ProbeFinding[]
  /** What the last probes found different from those before, until it is acknowledged or a probe finds nothing new. */
  changes: ProbeChange[]
  /** What pages found out, the newest first: one result for each origin. */
  browserReach: BrowserReach[]
}

/**
 * Originals by where their verified replicas are. `total` is the sum of the other five: an original is `inFlight` when it
 * is only local and a replica of it is being written elsewhere, `atRisk` when it has no verified replica at all.
 */
export type StorageStatus = {
  originals: {
    total: Amount
    localOnly: Amount
    both: Amount
    offloaded: Amount
    atRisk: Amount
    inFlight: Amount
  }
  locations: LocationStatus[]
  /** Empty: everything is where it belongs. */
  moving: Moving[]
  /** Of what was read from a bucket, never counted as a copy; null where there is none. */
  cache: CacheUse | null
}

type Place = 'localOnly' | 'both' | 'offloaded' | 'atRisk' | 'inFlight'

export async function storageStatus(placement: Placement): Promise<StorageStatus> {
  const [originals, locations, moving] = await Promise.all([
    originalsByPlace(placement),
    locationStatuses(placement),
    movingFiles(placement),
  ])
  return { originals, locations, moving, cache: placement.cache && cacheUse(placement.cache) }
}

async function originalsByPlace(placement: Placement): Promise<StorageStatus['originals']> {
  const diskIds = [...placement.locations.values()].filter(({ kind }) => kind === 'disk').map(({ id }) => id)
  const { rows } = await sql<{ place: Place; count: number; bytes: number }>`
    select place, count(*)::bigint as count, coalesce(sum(size), 0)::bigint as bytes from (
      select o.size,
        case
          when coalesce(bool_or(r.state = 'verified' and r.location_id = any(${diskIds}::text[])), false) then case
            when bool_or(r.state = 'verified' and r.location_id <> all(${diskIds}::text[])) then 'both'
            when bool_or(r.state = 'writing') then 'inFlight'
            else 'localOnly' end
          when coalesce(bool_or(r.state = 'verified'), false) then 'offloaded'
          else 'atRisk'
        end as place
      from stored_object o left join replica r on r.object_id = o.id
      where o.kind = 'original' and o.state = 'live' and o.is_linked
      group by o.id
    ) placed group by place`.execute(placement.db)
  const none = (): Amount => ({ count: 0, bytes: 0 })
  const result = {
    total: none(),
    localOnly: none(),
    both: none(),
    offloaded: none(),
    atRisk: none(),
    inFlight: none(),
  }
  for (const row of rows) {
    result[row.place] = { count: Number(row.count), bytes: Number(row.bytes) }
    result.total.count += Number(row.count)
    result.total.bytes += Number(row.bytes)
  }
  return result
}

async function locationStatuses(placement: Placement): Promise<LocationStatus[]> {
  const [rows, drills, held, changes] = await Promise.all([
    placement.db.selectFrom('location').selectAll().execute(),
    currentDrills(placement.db),
    placement.db
      .selectFrom('replica as r')
      .innerJoin('stored_object as o', 'o.id', 'r.object_id')
      .where('r.state', '=', 'verified')
      .groupBy('r.location_id')
      .select(({ fn }) => [
        'r.location_id',
        fn.countAll<number>().as('count'),
        sql<number>`coalesce(sum(o.size), 0)::bigint`.as('bytes'),
        fn.min('r.verified_at').as('oldest'),
      ])
      .execute(),
    openChanges(placement.db),
  ])
  const statuses: LocationStatus[] = []
  for (const location of placement.locations.values()) {
    const row = rows.find(({ id }) => id === location.id)
    const drill = drills.find(({ locationId }) => locationId === location.id)
    const holds = held.find(({ location_id }) => location_id === location.id)
    const report = row?.probe as ProbeReport | null | undefined
    statuses.push({
      id: location.id,
      kind: location.kind,
      label: location.label,
      isDemonstration: location.isDemonstration,
      health: row?.is_healthy == null ? 'unknown' : row.is_healthy ? 'healthy' : 'unhealthy',
      error: row?.health_error ?? null,
      healthChangedAt: row?.health_changed_at?.toISOString() ?? null,
      drill: drill ? { startedAt: drill.startedAt.toISOString(), endsAt: drill.endsAt.toISOString() } : null,
      lastProbeAt: row?.probed_at?.toISOString() ?? null,
      latencyMs: report?.latencyMs ?? null,
      oldestProofAt: holds?.oldest ? new Date(holds.oldest).toISOString() : null,
      objects: { count: Number(holds?.count ?? 0), bytes: Number(holds?.bytes ?? 0) },
      ...(await spaceOf(location)),
      findings: report?.findings ?? [],
      changes: changes.get(location.id) ?? [],
      browserReach: reachesIn(row?.probe ?? null),
    })
  }
  return statuses
}

async function spaceOf(location: Location): Promise<{ freeBytes: number | null; totalBytes: number | null }> {
  try {
    const space = await location.backend.localFiles?.space()
    return space ?? { freeBytes: null, totalBytes: null }
  } catch {
    return { freeBytes: null, totalBytes: null } // a mount that is gone; the location's health says so
  }
}
