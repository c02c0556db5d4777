/** Backups as a location lists them: for who has lost the ledger. Nothing is written at the location. */
import type { BackupHeader } from '../../database/backups/format.ts'
import { readHeader } from '../../database/backups/read-backup.ts'
import { unseal } from '../../database/backups/seal.ts'
import { AppError } from '../../errors.ts'
import type { ObjectKey } from '../../storage/backend.ts'
import { backupsPrefix, partsOfBackupKey, timeInKey } from '../keys.ts'
import type { Location } from '../location.ts'
import { readReplica } from '../replica-io/read-replica.ts'

export type FoundBackup = { key: ObjectKey; installation: string; takenAt: Date; size: number }

/** Of all installations that use the location, the newest first. */
export async function findBackups({ backend }: Pick<Location, 'backend'>): Promise<FoundBackup[]> {
  const found: FoundBackup[] = []
  for await (const { key, size } of backend.list(backupsPrefix(null))) {
    const parts = partsOfBackupKey(key)
    if (parts !== null) found.push({ key, size, ...parts })
  }
  return found.sort((a, b) => b.takenAt.getTime() - a.takenAt.getTime())
}

/** Its encrypted bytes. */
export function readFound(location: Location, { key, size }: FoundBackup, signal?: AbortSignal) {
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
