/** How the backups stand, for people. */
import { loadInstallation } from '../../database/backups/installation.ts'
import type { Placement } from '../placement.ts'
import { isSafe, knownBackups } from './backup-rows.ts'
import { CLOCK_SLACK_MS } from './due.ts'
import { type KeyFileState, stateOfKeyFile } from './recipient.ts'

/** Times are ISO 8601. */
export type BackupStatus = {
  /** 0: none are made by themselves. */
  everyHours: number
  /** The newest one that is verified where backups belong, at as many places as is asked for. */
  newest: {
    takenAt: string
    size: number
    at: { location: string; label: string; verifiedAt: string }[]
  } | null
  /** A newer one that is not there yet. `at`: where it is verified. */
  waiting: { takenAt: string; at: string[]; isLocalOnly: boolean; missingAt: string[] } | null
  /** How many are verified where they belong. */
  count: number
  /** Found at a location, and newer than the one that this database was restored from: they are only kept. */
  ofAnotherLine: number
  /** Of the newest verified one whose time has come; of the installation where there is none. */
  goodSince: string
  /** The newest verified one is older than two intervals. */
  isLate: boolean
  /**
   * `isMade`: there is one. `isConfirmed`: somebody said that it is written down. `file`: how its file stands
   * in the data folder of the process that was asked.
   */
  key: { isMade: boolean; isConfirmed: boolean; file: KeyFileState }
}

/** Null where this process makes no backups. */
export async function backupStatus(placement: Placement): Promise<BackupStatus | null> {
  const { db, backups, locations, policy } = placement
  if (backups === null) return null
  const [known, installation] = await Promise.all([knownBackups(db), loadInstallation(db)])
  const own = known.filter(({ isOfAnotherLine }) => !isOfAnotherLine)
  const safe = own.filter((backup) => isSafe(placement, backup))
  const newest = safe[0] ?? null
  const waiting = own[0] !== undefined && own[0] !== newest ? own[0] : null
  const now = placement.now().getTime()
  // One whose time has not come tells of a clock that was ahead, and not of when it was made.
  const since =
    safe.find(({ takenAt }) => takenAt.getTime() <= now + CLOCK_SLACK_MS)?.takenAt ?? installation.createdAt
  return {
    everyHours: backups.everyMs / 3_600_000,
    newest: newest && {
      takenAt: newest.takenAt.toISOString(),
      size: newest.size,
      at: newest.at.map(({ locationId, verifiedAt }) => ({
        location: locationId,
        label: locations.get(locationId)?.label ?? locationId,
        verifiedAt: verifiedAt.toISOString(),
      })),
    },
    waiting: waiting && {
      takenAt: waiting.takenAt.toISOString(),
      at: waiting.at.map(({ locationId }) => locationId),
      isLocalOnly: waiting.at.every(({ locationId }) => locationId === placement.local.id),
      missingAt: policy['database-backup'].filter(
        (home) => !waiting.at.some(({ locationId }) => locationId === home),
      ),
    },
    count: safe.length,
    ofAnotherLine: known.length - own.length,
    goodSince: since.toISOString(),
    isLate: backups.everyMs > 0 && now - since.getTime() > 2 * backups.everyMs,
    key: {
      isMade: installation.recipient !== null,
      isConfirmed: installation.keyConfirmedAt !== null,
      file: await stateOfKeyFile(backups.keyFile, installation.recipient),
    },
  }
}
