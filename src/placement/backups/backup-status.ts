/** How the backups stand, for people. */
import { loadInstallation } from '../../database/backups/installation.ts'
import { readKeyFile } from '../../database/backups/key-file.ts'
import type { Placement } from '../placement.ts'
import { knownBackups } from './backup-rows.ts'

/** Times are ISO 8601. */
export type BackupStatus = {
  /** 0: none are made by themselves. */
  everyHours: number
  /** The newest one that is verified anywhere. */
  newest: {
    takenAt: string
    size: number
    at: { location: string; label: string; verifiedAt: string }[]
  } | null
  /** How many are verified. */
  count: number
  /** The newest verified one is older than two intervals. */
  isLate: boolean
  /**
   * `isMade`: there is one. `isConfirmed`: somebody said that it is written down. `isHere`: its file lies in
   * the data folder of the process that was asked.
   */
  key: { isMade: boolean; isConfirmed: boolean; isHere: boolean }
}

/** Null where this process makes no backups. */
export async function backupStatus(placement: Placement): Promise<BackupStatus | null> {
  const { db, backups, locations } = placement
  if (backups === null) return null
  const [known, installation, identity] = await Promise.all([
    knownBackups(db),
    loadInstallation(db),
    readKeyFile(backups.keyFile),
  ])
  const verified = known.filter(({ at }) => at.length > 0)
  const newest = verified[0] ?? null
  const since = newest?.takenAt ?? installation.createdAt
  const ageMs = placement.now().getTime() - since.getTime()
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
    count: verified.length,
    isLate: backups.everyMs > 0 && ageMs > 2 * backups.everyMs,
    key: {
      isMade: installation.recipient !== null,
      isConfirmed: installation.keyConfirmedAt !== null,
      isHere: identity !== null,
    },
  }
}
