/**
 * Reads what a location holds and compares it with the SHA-256, object by object, for as long as the budget
 * lasts. What a location lists, or says of an ETag, is no word about the bytes: a disk rots silently. Nothing
 * is removed here: what is found wrong stops counting as a copy, and is made anew from another one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { AppError, isAppError } from '../../errors.ts'
import type { StoredObject } from '../ledger/objects.ts'
import { isReadableNow, loadObject, lockObject, proveReplica } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { checkByReading } from '../replica-io/verify.ts'
import { takeFromBudget } from './budget.ts'
import {
  addCounts,
  chargeOf,
  claimPass,
  finishPass,
  LEASE_MS,
  monthlyBytesOf,
  noCounts,
  releasePass,
  renewLease,
  type ScrubCounts,
  type ScrubPass,
  saveProgress,
} from './scrub-passes.ts'

const ACTOR = 'scrub'
/** Objects asked of the database at a time, and read between two saves of the progress, at most. */
const BATCH = 100
/**
 * Kinds that nobody can make again. A picture that was made of an original is compared whenever it is sent.
 */
const KINDS = [
  'original',
  'sidecar',
  'profile-image',
  'database-backup',
  'catalogue',
] satisfies StoredObject['kind'][]

export type ScrubReport = {
  locationId: string
  /** Of this run, which may have gone on with an earlier one. */
  found: ScrubCounts
  /** False: it was interrupted, or the budget was used up; it goes on there the next time. */
  isFinished: boolean
}
export type ScrubOptions = {
  signal?: AbortSignal | undefined
  /** To the end of the pass, whatever the budget says. */
  isUnlimited?: boolean
  onProgress?: ((found: ScrubCounts) => void) | undefined
}

/**
 * Goes on with the pass of a location, or begins one where that is due (`isUnlimited`: in any case). Null
 * where nothing may be read there, none is due, or another process is at it.
 * @throws what the confirmation of the place fails with, and `unavailable` where it can't be read
 */
export async function scrubLocation(
  placement: Placement,
  locationId: string,
  options: ScrubOptions = {},
): Promise<ScrubReport | null> {
  const location = locationOf(placement, locationId)
  if (location.isOfOriginal) return null
  const monthlyBytes = monthlyBytesOf(placement, location)
  if (monthlyBytes === 0 && !options.isUnlimited) return null
  const pass = await claimPass(placement, locationId, { isNow: options.isUnlimited === true })
  if (pass === null) return null
  const total = noCounts()
  const renewal = setInterval(() => {
    renewLease(placement, pass).catch((error: Error) =>
      placement.log.warn({ location: locationId, error: error.message }, 'a scrub could not be renewed'),
    )
  }, LEASE_MS / 3)
  try {
    await confirmLocationNow(placement, locationId)
    const isFinished = await goThrough(placement, locationId, pass, { ...options, monthlyBytes, total })
    if (isFinished) await finishPass(placement, pass, locationId)
    else await releasePass(placement, pass, null)
    return { locationId, found: total, isFinished }
  } catch (error) {
    await releasePass(placement, pass, (error as Error).message)
    throw error
  } finally {
    clearInterval(renewal)
  }
}

type Walk = ScrubOptions & { monthlyBytes: number; total: ScrubCounts }

/** True: to its end. */
async function goThrough(
  placement: Placement,
  locationId: string,
  pass: ScrubPass,
  { signal, isUnlimited = false, onProgress, monthlyBytes, total }: Walk,
): Promise<boolean> {
  const location = locationOf(placement, locationId)
  let after = pass.afterObjectId
  for (;;) {
    const batch = await nextObjects(placement, locationId, after)
    if (batch.length === 0) return true
    const found = noCounts()
    let isStopped = false
    let failure: { error: unknown } | null = null
    for (const { objectId, ...held } of batch) {
      const charge = chargeOf(placement, location, held)
      const isTooLarge = !isUnlimited && charge > monthlyBytes
      const mayRead =
        isUnlimited || isTooLarge || (await takeFromBudget(placement, locationId, charge, monthlyBytes))
      isStopped = !mayRead || signal?.aborted === true
      if (isStopped) break
      try {
        if (isTooLarge) found.unread += 1
        else await scrubOne(placement, { objectId, locationId }, found, signal)
      } catch (error) {
        failure = { error }
        break
      }
      isStopped = signal?.aborted === true
      if (isStopped) break
      after = objectId
    }
    // Also what was read before one that failed.
    if (!(await saveProgress(placement, pass, after, found)))
      throw new AppError('conflict', `another process goes on with the scrub of ${locationId}`)
    addCounts(total, found)
    onProgress?.(total)
    if (failure !== null) throw failure.error
    if (isStopped) return false
  }
}

/** By their ids, so that one that is added or removed meanwhile changes nothing of the order. */
async function nextObjects(
  { db }: Placement,
  locationId: string,
  after: string,
): Promise<{ objectId: string; size: number; storageClass: string | null }[]> {
  const { rows } = await sql<{ objectId: string; size: number; storageClass: string | null }>`
    select o.id as "objectId", o.size::float8 as size, r.storage_class as "storageClass" from stored_object o
    join replica r on r.object_id = o.id and r.location_id = ${locationId} and r.state = 'verified'
    where o.id > ${after}::uuid and o.state = 'live' and o.kind = any(${KINDS}::text[])
    order by o.id limit ${BATCH}`.execute(db)
  return rows
}

async function scrubOne(
  placement: Placement,
  { objectId, locationId }: { objectId: string; locationId: string },
  found: ScrubCounts,
  signal: AbortSignal | undefined,
): Promise<void> {
  const loaded = await loadObject(placement.db, objectId)
  const replica = loaded?.replicas.find((one) => one.locationId === locationId)
  if (loaded?.object.state !== 'live' || replica?.state !== 'verified') return
  // What is archived can't be read without being paid for twice; HEAD and the listing look at it.
  if (!isReadableNow(placement, replica)) return
  const { object } = loaded
  let check = await checkByReading(placement, object, replica, signal)
  if (signal?.aborted) return
  if (check.answer === 'different') {
    // A second look, by which a disturbance on the way is told from damage at the place.
    await confirmLocationNow(placement, locationId)
    await sleep(placement.settings.counterDoubtMs)
    check = await checkByReading(placement, object, replica, signal)
  }
  if (check.answer === 'unknown') {
    // A place that is away would be asked for every single object.
    await confirmLocationNow(placement, locationId)
    found.unread += 1
    return
  }
  if (check.answer === 'different') {
    await confirmLocationNow(placement, locationId)
    if (await noteBadReplica(placement, replica, { actor: ACTOR, reason: check.reason })) found.wrong += 1
    return
  }
  const { level, proof } = check
  try {
    await placement.db.transaction().execute(async (tx) => {
      await lockObject(tx, objectId)
      await proveReplica(tx, replica, { level, proof, actor: ACTOR })
    })
  } catch (error) {
    // It was given up while it was read.
    if (!isAppError(error, 'conflict')) throw error
    return
  }
  found.read.count += 1
  found.read.bytes += object.size
}
