/**
 * Looking at what a location really holds. Three answers: same, different, unknown; unknown never permits a
 * delete.
 */
import { createHash } from 'node:crypto'
import { isStorageError, type ObjectInfo } from '../../storage/backend.ts'
import type { Proof, Replica, StoredObject } from '../ledger/objects.ts'
import { adoptProbe, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { PROOF, type ProofLevel } from '../states.ts'

/** `held`: what the location said of it, where it was asked by HEAD and holds something. */
type Held = { held?: ObjectInfo }
/** `reason` is for the log and the history; nothing is decided by its words. */
export type Same = Held & { answer: 'same'; level: ProofLevel; proof: Proof; reason: string }
export type Different = Held & {
  answer: 'different'
  reason: string
  /** The location holds nothing under the key. */
  isAbsent?: true
  /** Of the bytes that were read, in hex; absent where none were. */
  sha256?: string
  /**
   * Nothing but the ETag says so. A location that was copied or encrypted anew gives right bytes other ETags.
   */
  isByEtag?: true
}
/** `couldNotAsk`: the location gave no answer; else it answered, and that proves nothing. */
export type Unknown = Held & {
  answer: 'unknown'
  reason: string
  couldNotAsk?: true
  /** Somebody's delete marker hides it; see `bring-back.ts`. */
  isHidden?: true
}
export type Check = Same | Different | Unknown

/**
 * Compares a replica with its object by one HEAD, without reading bytes. `same` needs evidence about the
 * content: a digest that the location attests to, or the unchanged ETag of a replica that was once proven.
 * Size alone is `unknown`.
 */
export async function checkByHead(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
): Promise<Check> {
  const location = locationOf(placement, replica.locationId)
  await adoptProbe(placement, location)
  const { backend } = location
  let held: ObjectInfo | null
  try {
    held = await backend.head(replica.key)
  } catch (error) {
    return { ...unreadable('HEAD failed', error), couldNotAsk: true }
  }
  if (held === null) return absent()
  return { ...compareHeld(object, replica, held), held }
}

/** What a location says it holds, by itself: asks nobody. */
export function compareHeld(
  object: Pick<StoredObject, 'size' | 'sha256'>,
  replica: Pick<Replica, 'proof' | 'proofLevel'>,
  info: Pick<ObjectInfo, 'size' | 'etag' | 'attested'>,
): Check {
  if (info.size !== object.size)
    return different(`${info.size} bytes are held, the object has ${object.size}`)

  const known = withoutDoubt(replica.proof)
  // The SHA-256 is the object's own; the others were taken of the bytes that were sent, in the pass that
  // checked it.
  const expected = { sha256: object.sha256, md5: known.md5, crc64nvme: known.crc64nvme, crc32: undefined }
  const proof: Proof = {
    ...known,
    method: 'attested',
    ...(info.etag === undefined ? {} : { etag: info.etag }),
  }
  for (const { algorithm, value } of info.attested) {
    if (expected[algorithm] === undefined) continue
    if (value !== expected[algorithm])
      return different(`the location attests to another ${algorithm} than that of what was sent`)
    return {
      answer: 'same',
      level: PROOF.attested,
      proof,
      reason: `the location attests to the ${algorithm}`,
    }
  }
  if (info.etag !== undefined && known.etag !== undefined) {
    if (info.etag !== known.etag)
      return { ...different('the ETag is another than when the replica was proven'), isByEtag: true }
    const level = (replica.proofLevel ?? PROOF.size) as ProofLevel
    if (level < PROOF.attested) return unknown('the ETag is unchanged, but the content was never proven')
    const unchanged: Proof = { ...known, method: known.method ?? 'attested' }
    return { answer: 'same', level, proof: unchanged, reason: 'the ETag is unchanged since the proof' }
  }
  return unknown('the location says nothing about the content')
}

/** Reads all bytes of a replica and compares their SHA-256: proof level 4. */
export async function checkByReading(
  placement: Placement,
  object: Pick<StoredObject, 'size' | 'sha256'>,
  replica: Replica,
  signal?: AbortSignal,
): Promise<Check> {
  const { backend, kind } = locationOf(placement, replica.locationId)
  const sha256 = createHash('sha256')
  let size = 0
  // What the same answer says of itself, so that a later one can be compared with it.
  let seen: Pick<Proof, 'etag' | 'modifiedAtMs'> = {}
  try {
    const held = await backend.get(replica.key, signal ? { signal } : {})
    if (kind === 'disk') seen = { modifiedAtMs: held.modifiedAt.getTime() }
    else if (held.etag !== undefined) seen = { etag: held.etag }
    for await (const chunk of held.stream) {
      sha256.update(chunk as Buffer)
      size += (chunk as Buffer).length
    }
    // A connection that was cut must not pass for a file that is short.
    if (size !== held.size) return unknown(`the connection ended after ${size} of ${held.size} bytes`)
  } catch (error) {
    if (isStorageError(error, 'not-found')) return absent()
    return unreadable('reading failed', error)
  }
  const read = sha256.digest('hex')
  if (size !== object.size || read !== object.sha256)
    return { ...different('the bytes have another SHA-256'), sha256: read }
  const proof: Proof = { ...withoutDoubt(replica.proof), method: 'read-back', ...seen }
  return { answer: 'same', level: PROOF.readBack, proof, reason: 'all bytes were read back' }
}

/** By HEAD, and where that says nothing, by reading. */
export async function checkNow(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  signal?: AbortSignal,
): Promise<Check> {
  const quick = await checkByHead(placement, object, replica)
  if (quick.answer !== 'unknown' || quick.couldNotAsk) return quick
  return thenRead(placement, object, replica, { held: quick.held, signal })
}

/** As `checkNow`, where something is to be done by it: an ETag alone says nothing bad of the bytes. */
export async function checkFully(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  signal?: AbortSignal,
): Promise<Check> {
  const check = await checkNow(placement, object, replica, signal)
  if (check.answer !== 'different' || !check.isByEtag) return check
  return thenRead(placement, object, replica, { held: check.held, signal })
}

/** Reads all bytes after a HEAD, and keeps what that said of them. */
async function thenRead(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  { held, signal }: { held: ObjectInfo | undefined; signal?: AbortSignal | undefined },
): Promise<Check> {
  const read = await checkByReading(placement, object, replica, signal)
  const isGone = read.answer === 'different' && read.isAbsent
  return held === undefined || isGone ? read : { ...read, held }
}

function absent(): Different {
  return { ...different('nothing is held under the key'), isAbsent: true }
}

/** A proof made anew ends what was held against the replica. */
function withoutDoubt(proof: Proof | null): Partial<Proof> {
  const { doubt: _, ...rest } = proof ?? {}
  return rest
}

function different(reason: string): Different {
  return { answer: 'different', reason }
}

function unreadable(what: string, error: unknown): Unknown {
  const answer = unknown(`${what}: ${(error as Error).message}`)
  return isStorageError(error, 'hidden') ? { ...answer, isHidden: true } : answer
}

function unknown(reason: string): Unknown {
  return { answer: 'unknown', reason }
}
