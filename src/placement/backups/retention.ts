/**
 * Which backups are kept. Decided by their order and by the calendar of their own times, and never by what
 * the clock shows now: a clock that jumps can't make backups old.
 */
import { sql } from 'kysely'
import type { BackupKeep } from '../backup-settings.ts'
import { loadObject } from '../ledger/replicas.ts'
import { markForPurge } from '../lifecycle/purge.ts'
import { confirmLocation, knowNoOtherLedger, lookAtLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { checkByHead } from '../replica-io/verify.ts'
import { isSafe, type KnownBackup, ownBackups } from './backup-rows.ts'
import { requireBackups } from './recipient.ts'

const DAY_MS = 24 * 3_600_000

/** So many of those that are not safe are kept in any case: while no place answers, they are all there is. */
const MIN_UNSAFE = 3

/** `at`: where it is verified. `isSafe`: at enough of the places where it belongs. */
export type RetainedBackup = { id: string; number: number; takenAt: Date; isSafe: boolean; at: string[] }
/** `for`: what stands for it. */
type Replaced = { id: string; for: string }

/**
 * Those that are one too many. Of the safe ones, the newest of each of the last so many days, weeks and
 * months that have one are kept; so the newest of all is, in any case.
 */
export function expendableSafe(backups: readonly RetainedBackup[], keep: BackupKeep): string[] {
  const safe = backups.filter(({ isSafe }) => isSafe).sort(newestFirst)
  const kept = keptOf(safe, keep)
  return safe.filter(({ id }) => !kept.has(id)).map(({ id }) => id)
}

/**
 * Of those that are not safe, each that its days, weeks and months would not keep beside the newer ones
 * that are at least as safe, which are verified wherever it is, and somewhere: the disk would fill while a
 * bucket refuses them. By the calendar, and not all but the newest, since a place that is asked for from
 * now on makes none of the older ones safe before it has its copy.
 */
export function expendableUnsafe(backups: readonly RetainedBackup[], keep: BackupKeep): Replaced[] {
  const sorted = [...backups].sort(newestFirst)
  return sorted.flatMap((one, index) => {
    if (one.isSafe) return []
    const asSafe = sorted.slice(0, index).filter((newer) => isAsSafe(newer, one))
    const newest = asSafe[0]
    if (newest === undefined || asSafe.length < MIN_UNSAFE) return []
    return keptOf([...asSafe, one], keep).has(one.id) ? [] : [{ id: one.id, for: newest.id }]
  })
}

const newestFirst = (a: RetainedBackup, b: RetainedBackup) => b.number - a.number

function isAsSafe(newer: RetainedBackup, one: RetainedBackup): boolean {
  return newer.isSafe || (newer.at.length > 0 && one.at.every((place) => newer.at.includes(place)))
}

/** Of these, the newest first: the first one, and the first of each period that counts. */
function keptOf(backups: readonly RetainedBackup[], keep: BackupKeep): Set<string> {
  const kept = new Set(backups.slice(0, 1).map(({ id }) => id))
  for (const [periodOf, count] of [
    [dayOf, keep.daily],
    [weekOf, keep.weekly],
    [monthOf, keep.monthly],
  ] as const) {
    const periods = new Set<number>()
    for (const { id, takenAt } of backups) {
      const period = periodOf(takenAt)
      if (periods.has(period) || periods.size >= count) continue
      periods.add(period)
      kept.add(id)
    }
  }
  return kept
}

const dayOf = (time: Date) => Math.floor(time.getTime() / DAY_MS)
/** From Monday on; the first of January 1970 was a Thursday. */
const weekOf = (time: Date) => Math.floor((dayOf(time) + 3) / 7)
const monthOf = (time: Date) => time.getUTCFullYear() * 12 + time.getUTCMonth()

/**
 * Has the backups removed that are one too many, by the same purge as anything else. None while a place that
 * holds one may have another ledger, or while the one that stands for them can't be seen where it is said to
 * be. @returns how many
 */
export async function applyRetention(placement: Placement): Promise<number> {
  return (await removeSafe(placement)) + (await removeUnsafe(placement))
}

async function removeSafe(placement: Placement): Promise<number> {
  const { keep } = requireBackups(placement)
  const known = await ownBackups(placement.db)
  if (expendableSafe(toRetained(placement, known), keep).length === 0) return 0
  if (!(await knowNoOtherLedger(placement))) return 0
  const newest = known.find((backup) => isSafe(placement, backup))
  if (newest === undefined || !(await isThere(placement, newest, placement.policy['database-backup'])))
    return 0
  return remove(placement, (backups) => expendableSafe(backups, keep))
}

/** They are many where a place is away, so only the places are asked where they and their successors lie. */
async function removeUnsafe(placement: Placement): Promise<number> {
  const { keep } = requireBackups(placement)
  const known = new Map((await ownBackups(placement.db)).map((backup) => [backup.objectId, backup]))
  const mayGo = new Set<string>()
  const seen = new Map<string, boolean>()
  for (const { id, for: newer } of expendableUnsafe(toRetained(placement, [...known.values()]), keep)) {
    const { at, elsewhere } = known.get(id)!
    let isAway = false
    for (const place of [...at.map(({ locationId }) => locationId), ...elsewhere]) {
      if (!seen.has(place)) seen.set(place, await isConfirmed(placement, place))
      isAway ||= !seen.get(place)
    }
    if (isAway) continue
    const places = known.get(newer)!.at.map(({ locationId }) => locationId)
    if (!seen.has(newer)) seen.set(newer, await isThere(placement, known.get(newer)!, places))
    if (seen.get(newer)) mayGo.add(id)
  }
  if (mayGo.size === 0) return 0
  return remove(placement, (backups) =>
    expendableUnsafe(backups, keep)
      .map(({ id }) => id)
      .filter((id) => mayGo.has(id)),
  )
}

async function isConfirmed(placement: Placement, id: string): Promise<boolean> {
  const location = placement.locations.get(id)
  if (location === undefined) return false
  try {
    await (location.isReadOnly ? lookAtLocation : confirmLocation)(placement, location)
    return true
  } catch (error) {
    placement.log.info(
      { location: id, error: (error as Error).message },
      'a place could not be confirmed: no backup that lies there is removed',
    )
    return false
  }
}

function remove(
  placement: Placement,
  choose: (backups: readonly RetainedBackup[]) => string[],
): Promise<number> {
  return placement.db.transaction().execute(async (tx) => {
    // Nobody may find one of them bad between the decision and the mark.
    await sql`select from stored_object where kind = 'database-backup' order by id for update`.execute(tx)
    const ids = choose(toRetained(placement, await ownBackups(tx)))
    await markForPurge(tx, ids, 'replaced')
    return ids.length
  })
}

function toRetained(placement: Placement, backups: readonly KnownBackup[]): RetainedBackup[] {
  return backups.map((backup) => ({
    id: backup.objectId,
    number: backup.number,
    takenAt: backup.takenAt,
    isSafe: isSafe(placement, backup),
    at: backup.at.map(({ locationId }) => locationId),
  }))
}

/** One that others may be given up for is asked for now, at each of these places where it counts. */
async function isThere(
  placement: Placement,
  { objectId }: KnownBackup,
  places: readonly string[],
): Promise<boolean> {
  const loaded = await loadObject(placement.db, objectId)
  if (loaded === null) return false
  for (const replica of loaded.replicas) {
    if (!places.includes(replica.locationId) || replica.state !== 'verified') continue
    const check = await checkByHead(placement, loaded.object, replica)
    // A place that says nothing of the content says at least that something is there.
    if (check.answer === 'same' || (check.answer === 'unknown' && !check.couldNotAsk)) continue
    placement.log.warn(
      { objectId: replica.objectId, location: replica.locationId, reason: check.reason },
      'a new backup is not seen where it should be: no older one is removed for it',
    )
    return false
  }
  return true
}
