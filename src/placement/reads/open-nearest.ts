/**
 * The nearest replica that gives the right bytes: what is known to be otherwise is looked at while others are
 * read.
 */
import type { Readable } from 'node:stream'
import { isStorageError, StorageError } from '../../storage/backend.ts'
import { readThroughCache } from '../cache/read.ts'
import { noteArchived } from '../classes/archive.ts'
import type { LoadedObject } from '../ledger/object-rows.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { isReadableNow } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import { orAborted } from '../or-aborted.ts'
import type { Placement } from '../placement.ts'
import { bringBack } from '../replica-io/bring-back.ts'
import { checkWhole, readSmallFile, streamOf, WHOLE_BYTES } from '../replica-io/checked-read.ts'
import { expectedOf } from '../replica-io/expected.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { readReplica } from '../replica-io/read-replica.ts'
import { isBeingRechecked, recheckReplica } from '../replica-io/recheck-replica.ts'
import { cacheSource } from './cache-source.ts'
import { noteSentWrong } from './sent-wrong.ts'
import type { SpeculativeRead } from './speculative-read.ts'

const ACTOR = 'serve'

type Range = { start: number; end: number }
/**
 * For how long somebody waits for the first bytes from a place that isn't this disk, quick tries included.
 */
export type Patience = { caller: AbortSignal | undefined; signal: AbortSignal; stop(): void }
export type Wish = { range: Range; patience: Patience; speculative?: SpeculativeRead | undefined }

export function startPatience(
  placement: Pick<Placement, 'settings'>,
  caller: AbortSignal | undefined,
): Patience {
  const { answerWithinMs } = placement.settings
  const controller = new AbortController()
  const late = () => controller.abort(new StorageError('unavailable', `no answer for ${answerWithinMs} ms`))
  const timer = setTimeout(late, answerWithinMs)
  return {
    caller,
    signal: caller ? AbortSignal.any([caller, controller.signal]) : controller.signal,
    stop: () => clearTimeout(timer),
  }
}

/**
 * What a campaign has moved is read where it was moved to, while the old copy is still kept. Else local files
 * first: they cost neither a request nor a wait. Then those of other folders, which cost no
 * money. Only verified replicas are read; archived ones are not asked, nor is a place that the
 * configuration names no more: it must not hide the other copies.
 */
export function inReadingOrder(
  placement: Placement,
  { readFirst }: Pick<StoredObject, 'readFirst'>,
  replicas: readonly Replica[],
): Replica[] {
  const { locations } = placement
  const distance = ({ locationId }: Replica) =>
    locationId === readFirst
      ? -1
      : locationId === placement.local.id
        ? 0
        : locations.get(locationId)?.kind === 'disk'
          ? 1
          : 2
  return replicas
    .filter(({ state, locationId }) => state === 'verified' && locations.has(locationId))
    .filter((replica) => isReadableNow(placement, replica))
    .sort((a, b) => distance(a) - distance(b))
}

/**
 * A stream whose first bytes are there, or why there is none. What can't be trusted is judged, which reads
 * all of it; that is waited for only where no other copy can be read.
 */
export async function openNearest(
  placement: Placement,
  { object, replicas }: LoadedObject,
  wish: Wish,
): Promise<{ stream?: Readable; failure?: unknown }> {
  const { patience } = wish
  const doubtful: Replica[] = []
  let failure: unknown
  const failed = async (replica: Replica, error: unknown) => {
    patience.caller?.throwIfAborted()
    failure = error
    await noteFailure(placement, replica, error, patience)
  }
  for (const replica of inReadingOrder(placement, object, replicas)) {
    if (isBeingRechecked(placement, replica)) {
      doubtful.push(replica)
      continue
    }
    try {
      return { stream: await open(placement, object, replica, wish) }
    } catch (error) {
      await failed(replica, error)
      if (!isStorageError(error, 'corrupt')) continue
      void recheckReplica(placement, object, replica, ACTOR)
      doubtful.push(replica)
    }
  }
  for (const replica of doubtful) {
    try {
      const verdict = await orAborted(recheckReplica(placement, object, replica, ACTOR), patience.signal)
      if (verdict.answer !== 'same') throw verdict.error
      return { stream: await open(placement, object, { ...replica, proof: verdict.proof }, wish) }
    } catch (error) {
      await failed(replica, error)
    }
  }
  return { failure }
}

async function open(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  { range, patience, speculative }: Wish,
): Promise<Readable> {
  const { localFiles } = locationOf(placement, replica.locationId).backend
  const signal = localFiles ? patience.caller : patience.signal
  const isWhole = range.start === 0 && range.end === object.size - 1 && object.size > 0
  if (localFiles && isWhole && object.size <= WHOLE_BYTES)
    return streamOf(await readSmallFile(localFiles.path(replica.key), object))
  const source =
    speculative?.take(replica, range, signal) ?? read(placement, object, replica, { range, isWhole, signal })
  const beforeCut = () => noteSentWrong(placement, object.id)
  const stream = isWhole ? checkWhole(source, object, { onBegun: patience.stop, beforeCut }) : source
  await hasBegun(stream)
  // Until its reader listens, an error must not end the process; the reader sees the stream destroyed all the
  // same.
  stream.on('error', (error) => {
    placement.log.warn({ objectId: replica.objectId, error: error.message }, 'a read broke off')
    if (!isStorageError(error, 'corrupt')) return
    if (!isWhole) void noteSentWrong(placement, object.id)
    void recheckReplica(placement, object, replica, ACTOR)
  })
  return stream
}

/** What comes out of a bucket comes through the cache, where there is one. */
function read(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  { range, isWhole, signal }: { range: Range; isWhole: boolean; signal: AbortSignal | undefined },
): Readable {
  const location = locationOf(placement, replica.locationId)
  if (placement.cache !== null && location.kind !== 'disk')
    return readThroughCache(placement.cache, cacheSource(placement, object, replica), range, { signal })
  return readReplica(location, replica.key, range, signal, expectedOf(location, object, replica, isWhole))
}

async function noteFailure(
  placement: Placement,
  replica: Replica,
  error: unknown,
  { signal }: Patience,
): Promise<void> {
  placement.log.warn(
    { objectId: replica.objectId, location: replica.locationId, error: (error as Error).message },
    'a replica could not be read',
  )
  if (isStorageError(error, 'archived')) await noteArchived(placement, replica)
  if (isStorageError(error, 'hidden')) await bringBack(placement, replica)
  if (isMissing(error) && (await isReallyMissing(placement, replica, signal)))
    // Unless an eviction has just moved on, that is damage.
    await noteBadReplica(placement, replica, { reason: 'nothing is held under the key', actor: ACTOR })
}

/** Resolves when the first bytes are there, so that a failure can still become an honest status code. */
function hasBegun(stream: Readable): Promise<void> {
  return new Promise((resolve, reject) => {
    const clear = () => {
      stream.off('readable', onReadable)
      stream.off('end', onReadable)
      stream.off('error', onError)
      stream.off('close', onClose)
    }
    const onReadable = () => {
      clear()
      resolve()
    }
    const onError = (error: Error) => {
      clear()
      reject(error)
    }
    const onClose = () =>
      onError(new StorageError('unavailable', 'the source was closed before its first byte'))
    stream.on('readable', onReadable)
    stream.on('end', onReadable)
    stream.on('error', onError)
    stream.on('close', onClose)
  })
}

function isMissing(error: unknown): boolean {
  return isStorageError(error, 'not-found') || (error as NodeJS.ErrnoException).code === 'ENOENT'
}

/**
 * "No such file" of a mount that is gone, or of a bucket that lags behind, says nothing: looked at once more,
 * as a place.
 */
async function isReallyMissing(
  placement: Placement,
  replica: Replica,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const held = await locationOf(placement, replica.locationId).backend.head(replica.key, { signal })
    // Another bucket of that name holds none of it.
    if (held === null) await confirmLocationNow(placement, replica.locationId)
    return held === null
  } catch {
    return false // the place itself is away, or another one; the read's own failure is logged
  }
}
