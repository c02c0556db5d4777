/**
 * The four answers: is everything safe, where is it, are the places healthy; what is happening is the queue's
 * to tell.
 */
import { sql } from 'kysely'
import type { BrowserReach, ProbeFinding, ProbeReport } from '../../storage/probe-report.ts'
import { type BackupStatus, backupStatus } from '../backups/backup-status.ts'
import { type CacheUse, cacheUse } from '../cache/store.ts'
import { belongingSql, unansweredFiles } from '../ledger/belonging-rows.ts'
import type { Amount } from '../ledger/objects.ts'
import { type PendingMove, pendingMoves } from '../ledger/pending-moves.ts'
import { isDoubtedSql } from '../ledger/replicas.ts'
import { type ListingStatus, listingStatuses } from '../listing/listing-runs.ts'
import { type Location, readOnlyIds } from '../location.ts'
import { reachesIn } from '../locations/browser-reach.ts'
import { currentDrills } from '../locations/drill.ts'
import { openChanges, type ProbeChange } from '../locations/probe-changes.ts'
import type { Placement } from '../placement.ts'
import { type ScrubStatus, scrubStatuses } from '../scrub/scrub-passes.ts'
import { type LedgerStatus, ledgerStatuses } from '../takeover/ledger-status.ts'
import { type DrainStatus, drainStatuses } from './drain-status.ts'
import { type LateCopies, lateCopies } from './late-copies.ts'
import { type LockStatus, lockStatus } from './lock-status.ts'
import { type MachineLoss, machineLoss } from './machine-loss.ts'

export type LocationStatus = {
  id: string
  kind: 'disk' | 's3' | 'memory'
  label: string
  isDemonstration: boolean
  /** The media location, where uploads arrive. */
  isLocal: boolean
  /** Something belongs there by the configuration. */
  isUsed: boolean
  /** It is read, and nothing is written or removed there. */
  isReadOnly: boolean
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
  /** What was last listed there; null: nothing yet. */
  listing: ListingStatus | null
  /** What was read there again and compared. */
  scrub: ScrubStatus
  /** Whether it is this ledger's alone, and what is done about it where it is not. */
  ledger: LedgerStatus
  /** Of a bucket where files are locked against removal; else null. */
  lock: LockStatus | null
  objects: Amount
  /**
   * Of these: they belong elsewhere, and go when enough copies are there. At the media location, uploads that
   * wait for their first copy are among them.
   */
  leaving: Amount
  /** Files that somebody has deleted, and that stay there as long as it is read-only. */
  leftThere: Amount
  /** How far its emptying has come; null: it is not being emptied. */
  drain: DrainStatus | null
  /** Of these: their ETag is another one than when they were proven, and they wait to be read. */
  doubted: Amount
  freeBytes: number | null
  totalBytes: number | null
  findings: ProbeFinding[]
  /**
   * What the last probes found different from those before, until it is acknowledged or a probe finds nothing
   * new.
   */
  changes: ProbeChange[]
  /** What pages found out, the newest first: one result for each origin. */
  browserReach: BrowserReach[]
}

/**
 * Originals by where their verified replicas are. `total` is the sum of the other five: an original is
 * `inFlight` when it is only local and a replica of it is being written elsewhere, `atRisk` when it has no
 * verified replica at all.
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
  /**
   * Originals by how many verified copies they have where originals belong; `required`: so many must be there
   * before another copy is given up. `late`: fewer than required for longer than normal work explains.
   */
  copies: {
    wanted: number
    required: number
    byNumber: ({ copies: number } & Amount)[]
    late: LateCopies
  }
  /** Originals whose only verified copies are at locations that the configuration names no more. */
  notConfigured: Amount
  locations: LocationStatus[]
  /** Empty: everything is where it belongs. */
  moving: PendingMove[]
  /** Stay where they are until somebody has answered a change of `storage.locations` by a campaign. */
  unanswered: Amount
  /**
   * Files that belong to no photo and are not removed, for their upload may have been acknowledged: see
   * `unlinked.ts`.
   */
  kept: Amount
  /** Of what was read from a bucket, never counted as a copy; null where there is none. */
  cache: CacheUse | null
  machineLoss: MachineLoss
  /** Of the database; null where this process makes none. */
  backups: BackupStatus | null
}

type Place = 'localOnly' | 'both' | 'offloaded' | 'atRisk' | 'inFlight'

export async function storageStatus(placement: Placement): Promise<StorageStatus> {
  const [{ originals, byNumber, notConfigured }, loss, locations, moving, unanswered, kept, backups] =
    await Promise.all([
      originalsByPlace(placement),
      machineLoss(placement),
      locationStatuses(placement),
      pendingMoves(placement),
      unansweredFiles(placement.db),
      keptFiles(placement),
      backupStatus(placement),
    ])
  const required = placement.minCopies.original
  const hasFewer = byNumber.some(({ copies }) => copies < required)
  const late = hasFewer ? await lateCopies(placement) : { count: 0, bytes: 0, since: null }
  const copies = { wanted: placement.policy.original.length, required, byNumber, late }
  const cache = placement.cache && cacheUse(placement.cache)
  return {
    originals,
    copies,
    notConfigured,
    machineLoss: loss,
    locations,
    moving,
    unanswered,
    kept,
    backups,
    cache,
  }
}

/**
 * Originals without any verified copy that have a replica which was found bad: what `atRisk` counts, but for
 * those that never had a copy. Costs nothing while there are none.
 */
export async function countLost({ db }: Pick<Placement, 'db'>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(distinct o.id)::int as count from replica r join stored_object o on o.id = r.object_id
    where r.state = 'suspect' and o.kind = 'original' and o.state = 'live' and o.is_linked
      and not exists (select from replica v where v.object_id = o.id and v.state = 'verified')`.execute(db)
  return rows[0]!.count
}

async function originalsByPlace(placement: Placement): Promise<{
  originals: StorageStatus['originals']
  byNumber: StorageStatus['copies']['byNumber']
  notConfigured: Amount
}> {
  const here = placement.local.id
  const configured = [...placement.locations.keys()]
  const { rows } = await sql<{
    place: Place
    copies: number
    isReachable: boolean
    count: number
    bytes: number
  }>`
    select place, copies::int as copies, is_reachable as "isReachable", count(*)::bigint as count, coalesce(sum(size), 0)::bigint as bytes from (
      select o.size,
        case
          when coalesce(bool_or(r.state = 'verified' and r.location_id = ${here}), false) then case
            when bool_or(r.state = 'verified' and r.location_id <> ${here}) then 'both'
            when bool_or(r.state = 'writing') then 'inFlight'
            else 'localOnly' end
          when coalesce(bool_or(r.state = 'verified'), false) then 'offloaded'
          else 'atRisk'
        end as place,
        count(*) filter (where r.state = 'verified'
          and r.location_id = any(belongs.wanted)) as copies,
        coalesce(bool_or(r.location_id = any(${configured}::text[])) filter (where r.state = 'verified'), true)
          as is_reachable
      from stored_object o ${belongingSql(placement)}
      left join replica r on r.object_id = o.id
      where o.kind = 'original' and o.state = 'live' and o.is_linked
      group by o.id
    ) placed group by place, copies, is_reachable`.execute(placement.db)
  const none = (): Amount => ({ count: 0, bytes: 0 })
  const result = {
    total: none(),
    localOnly: none(),
    both: none(),
    offloaded: none(),
    atRisk: none(),
    inFlight: none(),
  }
  const byNumber = new Map<number, Amount>()
  const notConfigured = none()
  for (const row of rows) {
    const amount = { count: Number(row.count), bytes: Number(row.bytes) }
    add(result[row.place], amount)
    add(result.total, amount)
    if (!row.isReachable) add(notConfigured, amount)
    const sum = byNumber.get(row.copies) ?? none()
    add(sum, amount)
    byNumber.set(row.copies, sum)
  }
  const numbers = [...byNumber].map(([copies, amount]) => ({ copies, ...amount }))
  return { originals: result, byNumber: numbers.sort((a, b) => a.copies - b.copies), notConfigured }
}

function add(sum: Amount, amount: Amount): void {
  sum.count += amount.count
  sum.bytes += amount.bytes
}

async function keptFiles({ db }: Placement): Promise<Amount> {
  const { rows } = await sql<Amount>`
    select count(*)::float8 as count, coalesce(sum(size), 0)::float8 as bytes from stored_object o
    where not is_linked and state = 'live' and kept_since is not null
      and exists (select from replica where object_id = o.id)`.execute(db)
  return rows[0]!
}

type Held = {
  locationId: string
  belongs: boolean
  count: number
  bytes: number
  oldest: Date | null
  doubtedCount: number
  doubtedBytes: number
}

/** Verified replicas at each location, those apart that do not belong there. */
async function heldAt(placement: Placement): Promise<Held[]> {
  const { rows } = await sql<Held>`
    select r.location_id as "locationId", r.location_id = any(belongs.wanted) as belongs, count(*) as count,
      coalesce(sum(o.size), 0)::bigint as bytes, min(r.verified_at) as oldest,
      count(*) filter (where ${isDoubtedSql(sql`r`)}) as "doubtedCount",
      coalesce(sum(o.size) filter (where ${isDoubtedSql(sql`r`)}), 0)::bigint as "doubtedBytes"
    from replica r join stored_object o on o.id = r.object_id
    ${belongingSql(placement)}
    where r.state = 'verified'
    group by 1, 2`.execute(placement.db)
  return rows
}

async function locationStatuses(placement: Placement): Promise<LocationStatus[]> {
  const [rows, drills, held, changes, listings, scrubs, ledgers, deleted, drains] = await Promise.all([
    placement.db.selectFrom('location').selectAll().execute(),
    currentDrills(placement.db),
    heldAt(placement),
    openChanges(placement.db),
    listingStatuses(placement),
    scrubStatuses(placement),
    ledgerStatuses(placement),
    deletedAtReadOnly(placement),
    drainStatuses(placement),
  ])
  const statuses: LocationStatus[] = []
  for (const location of placement.locations.values()) {
    const row = rows.find(({ id }) => id === location.id)
    const drill = drills.find(({ locationId }) => locationId === location.id)
    const holds = held.filter(({ locationId }) => locationId === location.id)
    const isReadOnly = location.isReadOnly === true
    const leaving = holds.filter(({ belongs }) => !isReadOnly && !belongs)
    const oldest = holds.flatMap((one) => one.oldest?.getTime() ?? []).sort((a, b) => a - b)[0]
    const report = row?.probe as ProbeReport | null | undefined
    statuses.push({
      id: location.id,
      kind: location.kind,
      label: location.label,
      isDemonstration: location.isDemonstration,
      isLocal: location.id === placement.local.id,
      isUsed: Object.values(placement.policy).some((ids) => ids.includes(location.id)),
      isReadOnly,
      health: row?.is_healthy == null ? 'unknown' : row.is_healthy ? 'healthy' : 'unhealthy',
      error: row?.health_error ?? null,
      healthChangedAt: row?.health_changed_at?.toISOString() ?? null,
      drill: drill ? { startedAt: drill.startedAt.toISOString(), endsAt: drill.endsAt.toISOString() } : null,
      lastProbeAt: row?.probed_at?.toISOString() ?? null,
      latencyMs: report?.latencyMs ?? null,
      oldestProofAt: oldest === undefined ? null : new Date(oldest).toISOString(),
      listing: listings.get(location.id) ?? null,
      scrub: scrubs.get(location.id)!,
      ledger: ledgers.get(location.id)!,
      lock: await lockStatus(placement, location),
      objects: sumOf(holds, ({ count, bytes }) => [count, bytes]),
      leaving: sumOf(leaving, ({ count, bytes }) => [count, bytes]),
      drain: drains.get(location.id) ?? null,
      leftThere: deleted.get(location.id) ?? { count: 0, bytes: 0 },
      doubted: sumOf(holds, (one) => [one.doubtedCount, one.doubtedBytes]),
      ...(await spaceOf(location)),
      findings: report?.findings ?? [],
      changes: changes.get(location.id) ?? [],
      browserReach: reachesIn(row?.probe ?? null),
    })
  }
  return statuses
}

/** By location: what a purge has left there. Costs nothing where no location is read-only. */
async function deletedAtReadOnly(placement: Placement): Promise<Map<string, Amount>> {
  const ids = readOnlyIds(placement)
  if (ids.length === 0) return new Map()
  const { rows } = await sql<Amount & { id: string }>`
    select r.location_id as id, count(*)::float8 as count, coalesce(sum(o.size), 0)::float8 as bytes
    from replica r join stored_object o on o.id = r.object_id
    where r.location_id = any(${ids}::text[]) and o.state = 'purging'
    group by r.location_id`.execute(placement.db)
  return new Map(rows.map(({ id, ...amount }) => [id, amount]))
}

function sumOf<Row>(rows: readonly Row[], amountOf: (row: Row) => [unknown, unknown]): Amount {
  const sum: Amount = { count: 0, bytes: 0 }
  for (const row of rows) {
    const [count, bytes] = amountOf(row)
    add(sum, { count: Number(count), bytes: Number(bytes) })
  }
  return sum
}

async function spaceOf(location: Location): Promise<{ freeBytes: number | null; totalBytes: number | null }> {
  try {
    const space = await location.space?.()
    return space ?? { freeBytes: null, totalBytes: null }
  } catch {
    return { freeBytes: null, totalBytes: null } // a mount that is gone; the location's health says so
  }
}
