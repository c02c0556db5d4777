/**
 * The proof of a write that went past us: every byte is read back once, and that reading is also the local
 * copy that processing works on, so that an original costs one GET.
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { isStorageError, type Multipart, type ObjectInfo } from '../../storage/backend.ts'
import { enqueueNextSteps, enqueueNextStepsOfNew } from '../ledger/next-steps.ts'
import type { Proof, Replica, StoredObject } from '../ledger/objects.ts'
import { loadObject, lockObject, proveNewObject } from '../ledger/replicas.ts'
import type { Location } from '../location.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import { makeMediaFolder } from '../locations/media-folder.ts'
import type { Placement } from '../placement.ts'
import { newCopy } from '../reads/recall.ts'
import type { RecalledFile } from '../reads/recall-space.ts'
import { copyOf, dropCopy, reserveSpace, shareCopy } from '../reads/recall-space.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { readReplica } from '../replica-io/read-replica.ts'
import { PROOF } from '../states.ts'
import { takesSinglePuts } from './direct-target.ts'
import { leaveToSweep } from './write-through.ts'

const ACTOR = 'job prove-upload'

/**
 * `same`: proven and committed; `release` gives back the local copy, which `withLocalFile` finds until then.
 */
export type WriteProof = { answer: 'same'; release(): void } | { answer: 'different'; reason: string }

/**
 * Makes parts an object, reads it, and compares SHA-256 and SHA-1 (both lower-case hex) with what was
 * announced; `partBytes` is how it was cut, null for a single put, noted with the proof: a later ETag is made
 * of it. When they are the same, `commit` and the verified replica are one transaction. `different` only
 * after a second reading found the same other bytes, at the place that the ledger knows. What an adoption has
 * made a replica is proven likewise, whatever was believed of it; where that is wrong, what else there is of
 * the object. Whatever else goes wrong is thrown, to be tried again: `unavailable`, `conflict` where it is
 * another place, or what `commit` throws.
 */
export async function proveWrite(
  placement: Placement,
  expected: { objectId: string; sha1: string; partBytes: number | null },
  commit: (tx: Tx) => Promise<void>,
  signal?: AbortSignal,
): Promise<WriteProof> {
  const { objectId } = expected
  const loaded = await loadObject(placement.db, objectId)
  const [first, ...others] = replicasToProve(loaded?.replicas ?? [])
  if (loaded?.object.state !== 'live' || !first)
    throw new AppError('conflict', `object ${objectId} is not being written any more`)
  let proof = await proveBy(placement, loaded.object, { replica: first, expected, commit, signal })
  for (const replica of others) {
    if (proof.answer === 'same') break
    proof = await proveBy(placement, loaded.object, { replica, expected, commit, signal })
  }
  return proof
}

/**
 * A ledger that is older than its bucket has the row of the write, or what was found of it, perhaps under
 * another key or at another location. What was found comes first: the write may have been given up since.
 */
function replicasToProve(replicas: readonly Replica[]): Replica[] {
  return ['verified', 'writing', 'suspect'].flatMap((state) =>
    replicas.filter((replica) => replica.state === state),
  )
}

type Attempt = {
  replica: Replica
  expected: { sha1: string; partBytes: number | null }
  commit: (tx: Tx) => Promise<void>
  signal: AbortSignal | undefined
}

async function proveBy(placement: Placement, object: StoredObject, attempt: Attempt): Promise<WriteProof> {
  const { replica } = attempt
  const location = locationOf(placement, replica.locationId)
  await confirmLocation(placement, location)
  requireUnwritable(location, replica)
  const proof = await proveHeld(placement, location, object, attempt)
  if (proof.answer === 'same') return proof
  // Of another bucket of that name the same would be said of everything, and what is said here is final.
  await confirmLocationNow(placement, location.id)
  // Another replica may be proven yet, which this one must not count beside.
  await noteBadReplica(placement, replica, { actor: ACTOR, reason: proof.reason })
  return proof
}

/**
 * What somebody may still replace proves nothing. Such a URL is signed only where the place was seen to
 * refuse a second put.
 */
function requireUnwritable({ id, backend }: Location, { writableLeftMs }: Replica): void {
  const leftMs = writableLeftMs ?? 0
  if (leftMs > 0 && !takesSinglePuts(backend.features))
    throw new RetryLater(`a URL may still put to ${id}`, leftMs)
}

async function proveHeld(
  placement: Placement,
  location: Location,
  object: StoredObject,
  { replica, expected, commit, signal }: Attempt,
): Promise<WriteProof> {
  const held = await completeWrite(location, object, replica, expected.partBytes)
  if ('reason' in held) return { answer: 'different', reason: held.reason }
  const copy = await readAll(placement, location, object, { replica, signal })
  if ('reason' in copy) return { answer: 'different', reason: copy.reason }
  const { file } = copy
  try {
    if (copy.sha1 !== expected.sha1) {
      if (file !== null) await dropCopy(placement, file)
      return { answer: 'different', reason: 'the bytes have another SHA-1 than was announced' }
    }
    const { doubt: _, ...known } = held.proof
    const proof: Proof = { ...known, method: 'read-back' }
    // Before the commit, after which anybody may want it.
    if (file !== null && copyOf(placement, object.id) === undefined) shareCopy(placement, file)
    await placement.db.transaction().execute(async (tx) => {
      const wasFound = replica.state !== 'writing'
      // The object before its replicas, as an eviction does that may come at the same time: others know of
      // what was found.
      if (wasFound) await lockObject(tx, object.id)
      await commit(tx)
      await proveNewObject(tx, replica, { level: PROOF.readBack, proof, actor: ACTOR, from: replica.state })
      if (held.hasParts) await leaveToSweep(tx, replica)
      if (wasFound) return enqueueNextSteps(tx, placement, object.id)
      const proven = { state: 'verified', proofLevel: PROOF.readBack, verifiedAt: placement.now() } as const
      await enqueueNextStepsOfNew(tx, placement, object, [{ ...proven, locationId: location.id }])
    })
    return { answer: 'same', release: () => giveBack(file) }
  } catch (error) {
    giveBack(file)
    // A commit whose answer got lost may have happened, and somebody be at work on the file already.
    if (file?.users === 0) await dropCopy(placement, file)
    throw error
  }
}

/** `hasParts`: there is an object, and its key has an upload in parts besides, for all that is known. */
type Completed = { proof: Partial<Proof>; hasParts: boolean }

/**
 * Idempotent: after a kill in the middle the parts are gone, and the object that they became is there. An
 * object that is there is what counts: in a newer state of this ledger it may have been acknowledged, and a
 * client that was asked for its parts again must not replace it.
 */
async function completeWrite(
  location: Location,
  object: StoredObject,
  { key, uploadId, proof }: Replica,
  partBytes: number | null,
): Promise<Completed | { reason: string }> {
  const { multipart } = location.backend
  if (uploadId == null || !multipart) return { proof: proof ?? {}, hasParts: false }
  const found = await location.backend.head(key)
  const made = found === null ? await joinParts(location, object, { key, uploadId, multipart }) : null
  if (made !== null && 'reason' in made) return made
  const info = found ?? made
  if (info === null) return { reason: 'the bucket gave the parts up before they became an object' }
  if (info.size !== object.size)
    return { reason: `the object has ${info.size} bytes, ${object.size} were announced` }
  return {
    proof: {
      ...proof,
      ...(info.etag !== undefined && { etag: info.etag }),
      ...(partBytes !== null && { partBytes, parts: Math.max(1, Math.ceil(object.size / partBytes)) }),
    },
    hasParts: found !== null && uploadId !== '',
  }
}

/** Null: there is nothing. */
async function joinParts(
  location: Location,
  object: StoredObject,
  { key, uploadId, multipart }: Pick<Replica, 'key'> & { uploadId: string; multipart: Multipart },
): Promise<ObjectInfo | { reason: string } | null> {
  // Forgotten, which only an object explains: a confirmed upload had its parts.
  if (uploadId === '') return null
  try {
    const parts = await multipart.listParts(key, uploadId)
    parts.sort((a, b) => a.number - b.number)
    const bytes = parts.reduce((sum, part) => sum + part.size, 0)
    if (bytes !== object.size)
      return { reason: `parts of ${bytes} bytes are there, ${object.size} were announced` }
    return await multipart.complete(key, uploadId, parts)
  } catch (error) {
    if (!isStorageError(error, 'not-found')) throw error
    return location.backend.head(key)
  }
}

/** `file`: null where there is no local copy. */
type Copy = { sha1: string; file: RecalledFile | null }
type Digests = { sha256: string; sha1: string }

/**
 * One reading, and a second only where the first is not what was announced: a flipped byte on the way is the
 * line's fault.
 */
async function readAll(
  placement: Placement,
  location: Location,
  object: StoredObject,
  { replica, signal }: { replica: Replica; signal: AbortSignal | undefined },
): Promise<Copy | { reason: string }> {
  const file = await openCopy(placement, object, signal)
  const drop = async () => {
    if (file !== null) await dropCopy(placement, file)
  }
  try {
    const first = await readOnce(location, object, { replica, path: file?.path ?? null, signal })
    if (first.sha256 === object.sha256) return { sha1: first.sha1, file }
    const second = await readOnce(location, object, { replica, path: file?.path ?? null, signal })
    if (second.sha256 === object.sha256) return { sha1: second.sha1, file }
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

/**
 * A place for the local copy that counts as in use; null where it would be over the limit: then it is read
 * only.
 */
async function openCopy(
  placement: Placement,
  object: StoredObject,
  signal: AbortSignal | undefined,
): Promise<RecalledFile | null> {
  if (object.size > placement.settings.recallMaxBytes) return null
  const file = newCopy(placement, object)
  await reserveSpace(placement, file, signal)
  try {
    await makeMediaFolder(placement, placement.recallFolder)
  } catch (error) {
    await dropCopy(placement, file)
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
