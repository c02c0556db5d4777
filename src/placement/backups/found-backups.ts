/** Backups as a location lists them: for who has lost the ledger. Nothing is written at the location. */
import type { BackupHeader } from '../../database/backups/format.ts'
import { readHeader } from '../../database/backups/read-backup.ts'
import { unseal } from '../../database/backups/seal.ts'
import { AppError } from '../../errors.ts'
import type { ObjectKey } from '../../storage/backend.ts'
import { backupsPrefix, partsOfBackupKey, timeInKey } from '../keys.ts'
import type { Location } from '../location.ts'
import { readReplica } from '../replica-io/read-replica.ts'

export type FoundBackup = {
  key: ObjectKey
  installation: string
  /** By its name: what the clock of the database showed. */
  takenAt: Date
  /** When the location got it, by its own clock; later where it was copied since, as by a class change. */
  storedAt: Date
  storageClass: string | null
  size: number
  /** Somebody's delete marker hides it, in a bucket with Object Lock. */
  isHidden?: true
}

/** Between two clocks that are called right, and between the snapshot and the end of its upload. */
export const TIMES_SLACK_MS = 60 * 60_000

/**
 * Whether its name has a time at which it had long been there, so that the clock of the database was ahead. A
 * location gets nothing before it was made, and copies only make its own time later.
 */
export function isNamedAhead({ takenAt, storedAt }: Pick<FoundBackup, 'takenAt' | 'storedAt'>): boolean {
  return takenAt.getTime() > storedAt.getTime() + TIMES_SLACK_MS
}

/** The time of its snapshot, as far as the location's own clock does not disprove it. */
export function toldTime(found: Pick<FoundBackup, 'takenAt' | 'storedAt'>): number {
  return (isNamedAhead(found) ? found.storedAt : found.takenAt).getTime()
}

/** Of all installations that use the location, the newest first. */
export async function findBackups({ backend }: Pick<Location, 'backend'>): Promise<FoundBackup[]> {
  const found: FoundBackup[] = []
  for await (const { key, size, modifiedAt, storageClass } of backend.list(backupsPrefix(null))) {
    const parts = partsOfBackupKey(key)
    if (parts !== null)
      found.push({ key, size, storedAt: modifiedAt, storageClass: storageClass ?? null, ...parts })
  }
  if (backend.locks) {
    for await (const { key, size, modifiedAt, storageClass } of backend.locks.listHidden(
      backupsPrefix(null),
    )) {
      const parts = partsOfBackupKey(key)
      if (parts === null) continue
      const what = { key, size, storedAt: modifiedAt, storageClass: storageClass ?? null, ...parts }
      found.push({ ...what, isHidden: true })
    }
  }
  return found.sort((a, b) => toldTime(b) - toldTime(a) || b.storedAt.getTime() - a.storedAt.getTime())
}

/** Its encrypted bytes. */
export function readFound(
  location: Location,
  { key, size }: Pick<FoundBackup, 'key' | 'size'>,
  signal?: AbortSignal,
) {
  return readReplica(location, key, { start: 0, end: size - 1 }, signal)
}

/**
 * What the backup says of itself, after a read of its first bytes.
 * @throws AppError invalid where it was made for another key, corrupt where it is damaged or is not what its
 * key says
 */
export async function peekAt(
  location: Location,
  found: FoundBackup,
  identity: string,
): Promise<BackupHeader> {
  const header = await readHeader(unseal(readFound(location, found), identity))
  assertAsNamed(header, found)
  return header
}

/** Somebody may have put one backup under the name of another. @throws AppError corrupt */
export function assertAsNamed(
  { installation, takenAt }: BackupHeader,
  found: Pick<FoundBackup, 'key' | 'installation' | 'takenAt'>,
): void {
  if (installation !== found.installation)
    throw new AppError('corrupt', `${found.key} holds a backup of another installation (${installation})`)
  if (timeInKey(new Date(takenAt)) !== timeInKey(found.takenAt))
    throw new AppError('corrupt', `${found.key} holds a backup of another time (${takenAt})`)
}
