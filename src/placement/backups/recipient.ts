/** The key that backups are encrypted for: made once for each installation, in a file beside its data. */
import { unlink } from 'node:fs/promises'
import { loadInstallation, noteRecipient, replaceRecipient } from '../../database/backups/installation.ts'
import { newKeyFile, readKeyFile, turnToNewKeyFile, writeKeyFile } from '../../database/backups/key-file.ts'
import { makeIdentity, recipientOf } from '../../database/backups/seal.ts'
import type { Database, Queryable } from '../../database/connect.ts'
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
  const { recipient: known } = await loadInstallation(db)
  let identity = await readKeyFile(keyFile)
  if (known !== null && !(await isKeyOf(identity, known)) && (await finishNewKey(keyFile, known)))
    identity = await readKeyFile(keyFile)
  if (identity === null) return known === null ? null : { recipient: known, identity }
  const recipient = await recipientOf(identity)
  if (recipient !== (known ?? (await noteRecipient(db, recipient))))
    throw new AppError(
      'conflict',
      `${keyFile} holds another key than the one that this installation's backups are made for. Move it away, and put the right one there.`,
    )
  return { recipient, identity }
}

/**
 * Has backups made for a new key from now on, in the transaction that `also` is given. The new key is on the
 * disk before the database names it, and the old one, where it is here, stays beside it.
 * @returns where the old one lies now; null: it is not here
 */
export async function replaceBackupKey(
  db: Database,
  keyFile: string,
  also: (tx: Queryable) => Promise<void>,
): Promise<{ key: BackupKey & { identity: string }; keptAt: string | null }> {
  const { recipient: known } = await loadInstallation(db)
  if (known !== null) await finishNewKey(keyFile, known)
  const old = await readKeyFile(keyFile)
  const recipientOfOld = old === null ? null : await recipientOf(old)
  const made = await makeIdentity()
  await writeKeyFile(newKeyFile(keyFile, made.recipient), made)
  await db.transaction().execute(async (tx) => {
    if (!(await replaceRecipient(tx, { from: known, to: made.recipient })))
      throw new AppError('conflict', 'Another process has made a key at the same time. Look at it first.')
    await also(tx)
  })
  return { key: made, keptAt: await turnToNewKeyFile(keyFile, made.recipient, recipientOfOld) }
}

/** Where a new key was recorded, and the process killed before its file was in its place. */
async function finishNewKey(keyFile: string, recipient: string): Promise<boolean> {
  if (!(await isKeyOf(await readKeyFile(newKeyFile(keyFile, recipient)), recipient))) return false
  const old = await readKeyFile(keyFile)
  try {
    await turnToNewKeyFile(keyFile, recipient, old === null ? null : await recipientOf(old))
  } catch (error) {
    // Another process was first.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return true
}

async function isKeyOf(identity: string | null, recipient: string): Promise<boolean> {
  return identity !== null && (await recipientOf(identity).catch(() => null)) === recipient
}

/**
 * How the file of the key stands, without a change of anything. `another`: it holds one that is not that of
 * the recipient, or none at all.
 */
export type KeyFileState = 'right' | 'missing' | 'unreadable' | 'another'

export async function stateOfKeyFile(keyFile: string, recipient: string | null): Promise<KeyFileState> {
  let identity: string | null
  try {
    identity = await readKeyFile(keyFile)
  } catch {
    return 'unreadable'
  }
  if (identity === null) return 'missing'
  const found = await recipientOf(identity).catch(() => null)
  return found !== null && (recipient === null || found === recipient) ? 'right' : 'another'
}
