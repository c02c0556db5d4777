/**
 * Backups that a location holds and the ledger does not know: those that were made after the one that it was
 * restored from, and that one itself. The later ones are of another line (`backup-rows.ts`). A ledger knows
 * nothing of them that it could compare, so each is read to its end and must be a whole backup of this
 * installation.
 */
import { createHash, randomUUID } from 'node:crypto'
import { type BackupHeader, countRows, newestMigration } from '../../database/backups/format.ts'
import { loadInstallation } from '../../database/backups/installation.ts'
import { checkBackup } from '../../database/backups/read-backup.ts'
import { unseal } from '../../database/backups/seal.ts'
import { isAppError } from '../../errors.ts'
import { partsOfBackupKey } from '../keys.ts'
import { loadObject, lockObject, type ReplicaName } from '../ledger/replicas.ts'
import type { ListedKey } from '../listing/list-location.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'
import { isToGo } from '../removal/asked-to-go.ts'
import { asFound, putAnew } from '../removal/put-anew.ts'
import { adoptBytes, proofOfRead } from '../replica-io/adopt-bytes.ts'
import type { Same } from '../replica-io/verify.ts'
import { PROOF } from '../states.ts'
import { isArchiveClass } from '../storage-classes.ts'
import { noteFoundBackup } from './backup-rows.ts'
import { assertAsNamed } from './found-backups.ts'
import { loadBackupKey } from './recipient.ts'

const ACTOR = 'adopt'

/** Whether the key is that of a backup of this installation. */
export async function isOwnBackup({ db }: Pick<Placement, 'db'>, key: string): Promise<boolean> {
  const parts = partsOfBackupKey(key)
  return parts !== null && parts.installation === (await loadInstallation(db)).id
}

/**
 * Makes the backup an object of the ledger. False where it is none of this installation's, can't be read now,
 * or is damaged: then it stays where it is, and does not count. @throws what the place throws
 */
export async function adoptBackup(
  placement: Placement,
  location: Location,
  { key, size }: ListedKey,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { backend } = location
  const named = partsOfBackupKey(key)
  if (named === null || placement.backups === null || !(await isOwnBackup(placement, key))) return false
  const leave = (reason: string) => {
    placement.log.warn({ location: location.id, key, reason }, 'a backup is left alone, and does not count')
    return false
  }
  const backupKey = await loadBackupKey(placement.db, placement.backups.keyFile)
  if (backupKey?.identity == null) return leave('the key is not in the data folder')
  const held = await backend.head(key)
  if (held === null) return false
  if (isArchiveClass(held.storageClass ?? null)) return leave('it is archived')
  const read = await backend.get(key, signal ? { signal } : {})
  const sha256 = createHash('sha256')
  let header: BackupHeader
  let readBytes = 0
  try {
    const hashed = (async function* () {
      for await (const piece of read.stream as AsyncIterable<Buffer>) {
        sha256.update(piece)
        readBytes += piece.length
        yield piece
      }
    })()
    header = (await checkBackup(unseal(hashed, backupKey.identity))).header
    assertAsNamed(header, { key, ...named })
    if (readBytes !== size) return leave(`${readBytes} bytes were read, and ${size} are listed`)
  } catch (error) {
    if (isAppError(error, 'corrupt') || isAppError(error, 'invalid') || isAppError(error, 'conflict'))
      return leave(error.message)
    throw error
  } finally {
    read.stream.destroy()
  }
  const facts = {
    takenAt: new Date(header.takenAt),
    migration: newestMigration(header),
    rows: countRows(header),
  }
  const objectId = randomUUID()
  const found = { objectId, locationId: location.id, key }
  const proven = { level: PROOF.readBack, proof: proofOfRead(location, read), held }
  // A deletion whose answer got lost may still be carried out at this key.
  const mustMove = await isToGo(placement, found)
  await placement.db.transaction().execute(async (tx) => {
    await tx
      .insertInto('stored_object')
      .values({
        id: objectId,
        owner_id: header.installation,
        asset_id: null,
        kind: 'database-backup',
        size,
        sha256: sha256.digest(),
        content_type: 'application/octet-stream',
        extension: 'age',
        is_linked: true,
      })
      .execute()
    if (!mustMove) await adoptBytes(tx, found, { ...proven, actor: ACTOR })
    await noteFoundBackup(tx, objectId, facts)
  })
  if (mustMove) await moveAway(placement, found, proven, signal)
  return true
}

/** Killed before, the next run finds the bytes as those of an object that the ledger knows. */
async function moveAway(
  placement: Placement,
  found: ReplicaName,
  proven: Omit<Same, 'answer' | 'reason'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const loaded = await loadObject(placement.db, found.objectId)
  if (loaded === null) return
  const check: Same = { answer: 'same', reason: 'all bytes were read', ...proven }
  const moved = await putAnew(placement, loaded.object, asFound(placement, found, check), {
    actor: ACTOR,
    signal,
  })
  if (moved !== 'not-now') return
  await placement.db.transaction().execute(async (tx) => {
    await lockObject(tx, found.objectId)
    await adoptBytes(tx, found, { ...proven, actor: ACTOR })
  })
}
