/**
 * The proof of a write that went past us: every byte is read back once, and that reading is also the local copy that
 * processing works on, so that an original costs one GET.
 */
import { createHash, randomUUID } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Tx } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import { isStorageError, type ObjectInfo } from '../storage/backend.ts'
import { locationOf } from './locations.ts'
import { makeMediaFolder } from './media-folder.ts'
import type { Location, Placement, RecalledFile } from './placement.ts'
import { readReplica } from './read-replica.ts'
import { makeRoom } from './recall.ts'
import { loadObject, type Proof, proveNewObject, type Replica, type StoredObject } from './replicas.ts'
import { settleNew } from './settle.ts'
import { PROOF } from './states.ts'

const ACTOR = 'job prove-upload'

/** `same`: proven and committed; `release` gives back the local copy, which `withLocalFile` finds until then. */
export type WriteProof = { answer: 'same'; release(): void } | { answer: 'different'; reason: string }

/**
 * Makes parts an object, reads it, and compares SHA-256 and SHA-1 (both lower-case hex) with what was announced. When they
 * are the same, `commit` and the verified replica are one transaction. `different` only after a second reading found the
 * same other bytes; whatever else goes wrong is thrown, to be tried again: `unavailable`, or what `commit` throws.
 */
export async function proveWrite(
  placement: Placement,
  { objectId, sha1 }: { objectId: string; sha1: string },
  commit: (tx: Tx) => Promise<void>,
  signal?: AbortSignal,
): Promise<WriteProof> {
  const loaded = await loadObject(placement.db, objectId)
  const replica = loaded?.replicas.find(({ state }) => state === 'writing')
  if (loaded?.object.state !== 'live' || !replica)
    throw new AppError('conflict', `object ${objectId} is not being written any more`)
  const { object } = loaded
  const location = locationOf(placement, replica.locationId)

  const held = await completeWrite(location, object, replica)
  if ('reason' in held) return { answer: 'different', reason: held.reason }
  const copy = await readAll(placement, location, object, { replica, signal })
  if ('reason' in copy) return { answer: 'different', reason: copy.reason }
  try {
    if (copy.sha1 !== sha1) {
      copy.release()
      return { answer: 'different', reason: 'the bytes have another SHA-1 than was announced' }
    }
    const proof: Proof = { ...held.proof, method: 'read-back' }
    await placement.db.transaction().execute(async (tx) => {
      await commit(tx)
      await proveNewObject(tx, replica, { level: PROOF.readBack, proof, actor: ACTOR })
      const proven = { state: 'verified', proofLevel: PROOF.readBack, verifiedAt: placement.now() } as const
      await settleNew(tx, placement, object, [{ ...proven, locationId: location.id }])
    })
    return { answer: 'same', release: copy.release }
  } catch (error) {
    copy.release()
    throw error
  }
}

/** Idempotent: after a kill in the middle the parts are gone, and the object that they became is there. */
async function completeWrite(
  location: Location,
  object: StoredObject,
  { key, uploadId, proof }: Replica,
): Promise<{ proof: Partial<Proof> } | { reason: string }> {
  const { multipart } = location.backend
  if (uploadId == null || !multipart) return { proof: proof ?? {} }
  let info: ObjectInfo | null
  let parts: Awaited<ReturnType<typeof multipart.listParts>> = []
  try {
    parts = await multipart.listParts(key, uploadId)
    parts.sort((a, b) => a.number - b.number)
    const bytes = parts.reduce((sum, part) => sum + part.size, 0)
    if (bytes !== object.size)
      return { reason: `parts of ${bytes} bytes are there, ${object.size} were announced` }
    info = await multipart.complete(key, uploadId, parts)
  } catch (error) {
    if (!isStorageError(error, 'not-found')) throw error
    info = await location.backend.head(key)
  }
  if (info === null) return { reason: 'the bucket gave the parts up before they became an object' }
  if (info.size !== object.size)
    return { reason: `the object has ${info.size} bytes, ${object.size} were announced` }
  return {
    proof: {
      ...proof,
      ...(info.etag !== undefined && { etag: info.etag }),
      ...(parts[0] && { partBytes: parts[0].size, parts: parts.length }),
    },
  }
}

type Copy = { sha1: string; release(): void }
type Digests = { sha256: string; sha1: string }

/** One reading, and a second only where the first is not what was announced: a flipped byte on the way is the line's fault. */
async function readAll(
  placement: Placement,
  location: Location,
  object: StoredObject,
  { replica, signal }: { replica: Replica; signal: AbortSignal | undefined },
): Promise<Copy | { reason: string }> {
  const file = await openCopy(placement, object)
  const drop = async () => {
    if (file === null) return
    placement.recalled.delete(object.id)
    await rm(file.path, { force: true })
  }
  try {
    const first = await readOnce(location, object, { replica, path: file?.path ?? null, signal })
    if (first.sha256 === object.sha256) return { sha1: first.sha1, release: () => giveBack(file) }
    const second = await readOnce(location, object, { replica, path: file?.path ?? null, signal })
    if (second.sha256 === object.sha256) return { sha1: second.sha1, release: () => giveBack(file) }
    await drop()
    if (first.sha256 !== second.sha256)
      throw new AppError('unavailable', `${location.id} gave other bytes each time it was read`)
    return { reason: 'the bytes have another SHA-256 than was announced' }
  } catch (error) {
    await drop()
    const info =
      isStorageError(error, 'not-found') || isStorageError(error, 'corrupt')
        ? await location.backend.head(replica.key)
        : undefined
    if (info === null) return { reason: 'the bucket holds nothing under the key any more' }
    if (info !== undefined && info.size !== object.size)
      return { reason: `the bucket holds ${info.size} bytes, ${object.size} were announced` }
    throw error
  }
}

/** A place for the local copy that counts as in use; null where it would be over the limit: then it is read only. */
async function openCopy(placement: Placement, object: StoredObject): Promise<RecalledFile | null> {
  if (object.size > placement.settings.recallMaxBytes) return null
  const file: RecalledFile = {
    path: join(placement.recallFolder, `${object.id}.${randomUUID()}`),
    size: object.size,
    users: 1,
    lastUsedAt: Date.now(),
    ready: Promise.resolve(),
  }
  placement.recalled.set(object.id, file)
  try {
    await makeRoom(placement, file)
    await makeMediaFolder(placement, placement.recallFolder)
  } catch (error) {
    placement.recalled.delete(object.id)
    throw error
  }
  return file
}

function giveBack(file: RecalledFile | null): void {
  if (file === null) return
  file.users -= 1
  file.lastUsedAt = Date.now()
}

async function readOnce(
  location: Location,
  object: StoredObject,
  { replica, path, signal }: { replica: Replica; path: string | null; signal: AbortSignal | undefined },
): Promise<Digests> {
  const sha256 = createHash('sha256')
  const sha1 = createHash('sha1')
  const target = path === null ? null : await open(path, 'w', 0o600)
  try {
    for await (const chunk of readReplica(
      location,
      replica.key,
      { start: 0, end: object.size - 1 },
      signal,
    )) {
      sha256.update(chunk as Buffer)
      sha1.update(chunk as Buffer)
      await target?.writeFile(chunk as Buffer)
    }
  } finally {
    await target?.close()
  }
  return { sha256: sha256.digest('hex'), sha1: sha1.digest('hex') }
}
