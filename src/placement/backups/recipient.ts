/** The key that backups are encrypted for: made once for each installation, in a file beside its data. */
import { unlink } from 'node:fs/promises'
import { loadInstallation, noteRecipient } from '../../database/backups/installation.ts'
import { readKeyFile, writeKeyFile } from '../../database/backups/key-file.ts'
import { makeIdentity, recipientOf } from '../../database/backups/seal.ts'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { BackupSettings } from '../backup-settings.ts'
import type { Placement } from '../placement.ts'

/** `identity`: null where the file is in the data folder of another process. */
export type BackupKey = { recipient: string; identity: string | null }

/** @throws AppError unavailable where this process makes no backups */
export function requireBackups({ backups }: Pick<Placement, 'backups'>): BackupSettings {
  if (backups === null) throw new AppError('unavailable', 'this process makes no backups')
  return backups
}

/**
 * The key of this installation, made now where there is none. The file is on the disk before anything is
 * encrypted for it. @throws AppError conflict where the file holds the key of another installation
 */
export async function ensureBackupKey(db: Database, keyFile: string): Promise<BackupKey> {
  const known = await loadBackupKey(db, keyFile)
  if (known !== null) return known
  const made = await makeIdentity()
  await writeKeyFile(keyFile, made)
  const recipient = await noteRecipient(db, made.recipient)
  if (recipient === made.recipient) return made
  // Another process was first, and nothing was encrypted for this one.
  await unlink(keyFile)
  return { recipient, identity: null }
}

/**
 * Null where none was made yet. @throws AppError conflict where the file holds the key of another
 * installation
 */
export async function loadBackupKey(db: Database, keyFile: string): Promise<BackupKey | null> {
  const identity = await readKeyFile(keyFile)
  const { recipient: known } = await loadInstallation(db)
  if (identity === null) return known === null ? null : { recipient: known, identity }
  const recipient = await recipientOf(identity)
  if (recipient !== (known ?? (await noteRecipient(db, recipient))))
    throw new AppError(
      'conflict',
      `${keyFile} holds another key than the one that this installation's backups are made for. Move it away, and put the right one there.`,
    )
  return { recipient, identity }
}
