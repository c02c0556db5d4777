/**
 * Which backups are kept. Decided by their order and by the calendar of their own times, and never by what
 * the clock shows now: a clock that jumps can't make backups old.
 */
import { sql } from 'kysely'
import type { BackupKeep } from '../backup-settings.ts'
import { loadObject } from '../ledger/replicas.ts'
import { markForPurge } from '../lifecycle/purge.ts'
import { knowNoOtherLedger } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { checkByHead } from '../replica-io/verify.ts'
import { type KnownBackup, knownBackups } from './backup-rows.ts'
import { requireBackups } from './recipient.ts'

const DAY_MS = 24 * 3_600_000

/** `isSafe`: verified where it belongs, at enough places. */
export type RetainedBackup = { id: string; number: number; takenAt: Date; isSafe: boolean }

/**
 * Those that are one too many. Of the safe ones, the newest of each of the last so many days, weeks and
 * months that have one are kept; and the newest of all in any case, both by the order in which they were made
 * and by their times. Those that are not safe are never counted, nor named.
 */
export function expendable(backups: readonly RetainedBackup[], keep: BackupKeep): string[] {
  const safe = backups.filter(({ isSafe }) => isSafe).sort((a, b) => b.number - a.number)
  const kept = new Set<string>()
  const newest = safe[0]
  if (newest === undefined) return []
  kept.add(newest.id)
  kept.add(safe.reduce((a, b) => (b.takenAt.getTime() > a.takenAt.getTime() ? b : a)).id)
  for (const [periodOf, count] of [
    [dayOf, keep.daily],
    [weekOf, keep.weekly],
    [monthOf, keep.monthly],
  ] as const) {
    const periods = new Set<number>()
    for (const { id, takenAt } of safe) {
      const period = periodOf(takenAt)
      if (periods.has(period) || periods.size >= count) continue
      periods.add(period)
      kept.add(id)
    }
  }
  return safe.filter(({ id }) => !kept.has(id)).map(({ id }) => id)
}

const dayOf = (time: Date) => Math.floor(time.getTime() / DAY_MS)
/** From Monday on; the first of January 1970 was a Thursday. */
const weekOf = (time: Date) => Math.floor((dayOf(time) + 3) / 7)
const monthOf = (time: Date) => time.getUTCFullYear() * 12 + time.getUTCMonth()

/**
 * Has the backups removed that are one too many, by the same purge as anything else. None while a place may
 * have another ledger, or while the newest one can't be seen where it belongs. @returns how many
 */
export async function applyRetention(placement: Placement): Promise<number> {
  const { keep } = requireBackups(placement)
  const before = retained(placement, await knownBackups(placement.db))
  if (expendable(before, keep).length === 0) return 0
  if (!(await knowNoOtherLedger(placement))) return 0
  if (!(await isNewestThere(placement))) return 0
  return placement.db.transaction().execute(async (tx) => {
    // Nobody may find one of them bad between the decision and the mark.
    await sql`select from stored_object where kind = 'database-backup' order by id for update`.execute(tx)
    const ids = expendable(retained(placement, await knownBackups(tx)), keep)
    await markForPurge(tx, ids, 'replaced')
    return ids.length
  })
}

function retained(placement: Placement, backups: readonly KnownBackup[]): RetainedBackup[] {
  return backups.map((backup) => ({
    id: backup.objectId,
    number: backup.number,
    takenAt: backup.takenAt,
    isSafe: isSafe(placement, backup),
  }))
}

/** Verified at as many of the places where backups belong as is asked for. */
function isSafe(
  { policy, minCopies }: Pick<Placement, 'policy' | 'minCopies'>,
  { at }: KnownBackup,
): boolean {
  const home = at.filter(({ locationId }) => policy['database-backup'].includes(locationId))
  return home.length >= Math.max(1, minCopies['database-backup'])
}

/** The one that all others may be given up for is asked for now, at each place where it counts. */
async function isNewestThere(placement: Placement): Promise<boolean> {
  const newest = (await knownBackups(placement.db)).find((backup) => isSafe(placement, backup))
  const loaded = newest && (await loadObject(placement.db, newest.objectId))
  if (!loaded) return false
  const homes = placement.policy['database-backup']
  for (const replica of loaded.replicas) {
    if (!homes.includes(replica.locationId) || replica.state !== 'verified') continue
    const check = await checkByHead(placement, loaded.object, replica)
    // A place that says nothing of the content says at least that something is there.
    if (check.answer === 'same' || (check.answer === 'unknown' && !check.couldNotAsk)) continue
    placement.log.warn(
      { objectId: replica.objectId, location: replica.locationId, reason: check.reason },
      'the newest backup is not seen where it belongs: no older one is removed',
    )
    return false
  }
  return true
}
