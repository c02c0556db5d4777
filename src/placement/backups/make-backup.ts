/** Makes a backup of the database: an object as any other, of a kind of its own. */
import { createReadStream } from 'node:fs'
import { type BackupHeader, countRows, newestMigration } from '../../database/backups/format.ts'
import { loadInstallation } from '../../database/backups/installation.ts'
import { checkBackup } from '../../database/backups/read-backup.ts'
import { seal, unseal } from '../../database/backups/seal.ts'
import { writeBackup } from '../../database/backups/write-backup.ts'
import { AppError } from '../../errors.ts'
import { JOBS_SECTION } from '../../queue/backup-jobs.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { VERSION } from '../../version.ts'
import { confirmLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { ingestStaged } from '../uploads/ingest.ts'
import { stageStream } from '../uploads/stage.ts'
import { noteBackup } from './backup-rows.ts'
import { ensureBackupKey, requireBackups } from './recipient.ts'

/** What a read of the staged file asks for at a time. */
const READ_BYTES = 256 * 1024

/**
 * Reads the database as it is at one moment, and makes an encrypted file of it that is complete and on the
 * disk before anything refers to it; it was read back, too, where the key is at hand. From then on it is
 * copied, proven and given up here as any other file. Killed at any point it leaves a staged file, which the
 * sweep removes. @returns the id of the object
 */
export async function backUpDatabase(placement: Placement, signal?: AbortSignal): Promise<string> {
  const { pool, keyFile } = requireBackups(placement)
  // Nothing can be kept at a place that may be another ledger's; asked before the work, not after it.
  await confirmLocation(placement, placement.local)
  const { recipient, identity } = await ensureBackupKey(placement.db, keyFile)
  let header: BackupHeader | undefined
  const plain = writeBackup(pool, {
    version: VERSION,
    sections: [JOBS_SECTION],
    signal,
    onHeader: (told) => {
      header = told
    },
  })
  const staged = await stageStream(placement, seal(plain, recipient), {
    maxBytes: Number.MAX_SAFE_INTEGER,
    ...(signal && { signal }),
  })
  try {
    if (header === undefined) throw new AppError('corrupt', 'a backup has no header')
    const { takenAt, installation } = header
    // Sealed for the one, and naming the other inside, it would be refused by every restore.
    if ((await loadInstallation(placement.db)).recipient !== recipient)
      throw new RetryLater('a new backup key was made meanwhile', 1_000)
    if (identity !== null)
      await checkBackup(
        unseal(createReadStream(staged.path, { highWaterMark: READ_BYTES, signal }), identity),
      )
    const made = { takenAt: new Date(takenAt), migration: newestMigration(header), rows: countRows(header) }
    return await ingestStaged(
      placement,
      {
        kind: 'database-backup',
        ownerId: installation,
        assetId: null,
        contentType: 'application/octet-stream',
        extension: 'age',
        createdAt: made.takenAt,
        staged,
      },
      async (tx, objectId) => {
        await noteBackup(tx, objectId, made)
        return objectId
      },
    )
  } finally {
    await staged.discard()
  }
}
