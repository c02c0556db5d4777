/**
 * Second looks: wrong bytes came, or signs of them. Only what was looked at twice counts against a replica.
 */
import { AppError } from '../../errors.ts'
import { forgetObject } from '../cache/store.ts'
import type { Proof, Replica, StoredObject } from '../ledger/objects.ts'
import { loadObject, proveReplica } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { processState } from '../process-state.ts'
import type { Comparison } from '../states.ts'
import { bringBack } from './bring-back.ts'
import { confirmLocationNow, noteBadReplica } from './mark-bad.ts'
import { checkByReading } from './verify.ts'

/**
 * `proof`: what the replica is known by from now on. `error`: for whoever could not read it, unless it is
 * `same`.
 */
export type Verdict = { answer: Comparison; proof: Proof | null; error: AppError }

/** What is looked at by this process now, by object, location and key. */
type State = { underWay: Map<string, Promise<Verdict>>; closing: AbortController }
const stateOf = processState<State>(() => ({ underWay: new Map(), closing: new AbortController() }))

/** Gives up the looks that are under way, and waits for their end. */
export async function closeRechecks(placement: Placement): Promise<void> {
  const { underWay, closing } = stateOf(placement)
  closing.abort(new AppError('unavailable', 'the process is stopping'))
  await Promise.all(underWay.values())
}

/**
 * Wrong bytes arrived, or bytes with another time or ETag: were they damaged on the way, or are they wrong at
 * the location? The whole replica is read, once for all callers that ask meanwhile. Only wrong bytes make it
 * suspect, and what then is to be done is enqueued; right ones under another time or ETag (a backup that was
 * put back, a bucket that was copied) are proven with that from now on. What is cached of the object is given
 * up. Never rejects; `unknown` when it can't be read now.
 */
export function recheckReplica(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  actor: string,
): Promise<Verdict> {
  const { underWay } = stateOf(placement)
  const name = nameOf(replica)
  const known = underWay.get(name)
  if (known) return known
  const recheck = judge(placement, object, replica, actor)
    .catch((error: Error): Verdict => {
      placement.log.warn(
        { objectId: object.id, location: replica.locationId, error: error.message },
        'wrong bytes came, and the replica could not be looked at',
      )
      return unknown(replica, `${replica.locationId} could not be looked at`, error)
    })
    .finally(() => underWay.delete(name))
  underWay.set(name, recheck)
  return recheck
}

/** Then other copies are better, and nobody is sent there. */
export function isBeingRechecked(placement: Placement, replica: Replica): boolean {
  return stateOf(placement).underWay.has(nameOf(replica))
}

async function judge(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  actor: string,
): Promise<Verdict> {
  const { locationId } = replica
  const now = await loadObject(placement.db, object.id)
  const held = now?.replicas.find((one) => one.locationId === locationId && one.key === replica.key)
  if (held?.state === 'suspect') return different(replica, object)
  if (held?.state !== 'verified') return unknown(replica, `${locationId} gave its copy up meanwhile`)
  // The replica was proven anew since the failed read.
  if (!isSameProof(held.proof, replica.proof)) return same(held, held.proof)
  if (placement.cache && locationOf(placement, locationId).kind !== 'disk')
    await forgetObject(placement.cache, object)

  const look = () => checkByReading(placement, object, held, stateOf(placement).closing.signal)
  let check = await look()
  if (check.answer === 'unknown' && check.isHidden && (await bringBack(placement, held))) check = await look()
  if (check.answer === 'unknown') return unknown(held, `${locationId}: ${check.reason}`)
  if (check.answer === 'different') {
    // Another bucket of that name, or a folder without its mount, holds none of it.
    await confirmLocationNow(placement, locationId)
    await noteBadReplica(placement, held, { reason: check.reason, actor })
    return different(held, object)
  }
  const isAsBefore = isSameProof(check.proof, held.proof)
  if (!isAsBefore) await proveReplica(placement.db, held, { level: check.level, proof: check.proof, actor })
  placement.log.warn(
    { objectId: object.id, location: locationId },
    isAsBefore
      ? 'bytes were damaged on the way'
      : 'a copy was changed from outside; its bytes are right, and proven anew',
  )
  return same(held, check.proof)
}

function isSameProof(one: Proof | null, other: Proof | null): boolean {
  return one?.etag === other?.etag && one?.modifiedAtMs === other?.modifiedAtMs
}

function same({ locationId }: Replica, proof: Proof | null): Verdict {
  const message = `the bytes from ${locationId} were not what is held there; try again`
  return { answer: 'same', proof, error: new AppError('unavailable', message) }
}

function different({ locationId, proof }: Replica, { id }: StoredObject): Verdict {
  const message = `${locationId} holds other bytes than those of object ${id}`
  return { answer: 'different', proof, error: new AppError('corrupt', message) }
}

function unknown({ proof }: Replica, message: string, cause?: Error): Verdict {
  return { answer: 'unknown', proof, error: new AppError('unavailable', message, { cause }) }
}

function nameOf({ objectId, locationId, key }: Replica): string {
  return `${objectId} ${locationId} ${key}`
}
