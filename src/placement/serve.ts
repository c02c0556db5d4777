/** Bytes on their way out: from the nearest replica that has them. */
import type { Readable } from 'node:stream'
import { sql } from 'kysely'
import type { ObjectKind } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { isStorageError, StorageError } from '../storage/backend.ts'
import { archivedError, noteArchived } from './archive.ts'
import { readThroughCache } from './cache-read.ts'
import { cacheSource } from './cache-source.ts'
import { unreachableSentence } from './degraded.ts'
import { type HandOver, type HandOverWish, handOver } from './deliver.ts'
import type { EarlyRead, ReadSource } from './early-read.ts'
import { locationOf } from './locations.ts'
import type { LoadedObject } from './object-rows.ts'
import type { Placement } from './placement.ts'
import { readReplica } from './read-replica.ts'
import { isReadableNow, loadObject, type Replica, type StoredObject, suspectReplica } from './replicas.ts'
import { settle } from './settle.ts'

export type OpenOptions = {
  range?: { start: number; end: number }
  /** A read that has begun already; used if it is what would be read. */
  early?: EarlyRead
  signal?: AbortSignal
}

export type ServableObject = {
  objectId: string
  kind: ObjectKind
  size: number
  contentType: string
  extension: string
  /** Lower-case hex. */
  sha256: string
  createdAt: Date
  /**
   * A stream of the bytes `start` to `end`, inclusive (default: all). The source answered before this resolves. A broken
   * connection is resumed; a stream that can't go on is destroyed with its error, never ended short. Destroy it to free
   * its connection. Throws `unavailable` when no replica can be read now, within `answerWithinMs`, `archived` when one must
   * be restored for that.
   */
  open(options?: OpenOptions): Promise<Readable>
  /** Where `open` reads first; null: a file of ours, or nowhere. */
  remoteSource(): ReadSource | null
  /** Where the client may fetch it without us, or null where it has to come from here. Asks no location. */
  handOver(wish: HandOverWish): Promise<HandOver | null>
}

/**
 * What is known of an object without asking any location. `known`: what the ledger said within the same request, if it is of
 * this object. Throws `not-found`.
 */
export async function findServable(
  placement: Placement,
  objectId: string,
  known: LoadedObject | null = null,
): Promise<ServableObject> {
  const loaded = known?.object.id === objectId ? known : await loadObject(placement.db, objectId)
  if (!loaded) throw new AppError('not-found', 'there is no such file')
  const { object, replicas } = loaded
  return {
    objectId,
    kind: object.kind,
    size: object.size,
    contentType: object.contentType,
    extension: object.extension,
    sha256: object.sha256,
    createdAt: object.createdAt,
    handOver: (wish) => handOver(placement, object, inReadingOrder(placement, replicas), wish),
    remoteSource() {
      // What the cache has costs no request, so none is begun before it was asked.
      if (placement.cache !== null) return null
      const nearest = inReadingOrder(placement, replicas)[0]
      if (!nearest || locationOf(placement, nearest.locationId).backend.localFiles) return null
      return { locationId: nearest.locationId, key: nearest.key, size: object.size }
    },
    open: async (options = {}) => {
      const range = options.range ?? { start: 0, end: object.size - 1 }
      const patience = startPatience(placement, options.signal)
      try {
        const first = await openFirst(placement, object, replicas, range, patience, options.early)
        if (first.stream) return first.stream
        // An eviction may have moved the bytes since the rows were read: look once more.
        const again = (await loadObject(placement.db, objectId))?.replicas ?? []
        const second = await openFirst(placement, object, again, range, patience)
        if (second.stream) return second.stream
        const archived = archivedError(placement, object, again)
        if (archived) throw archived
        const at = again
          .filter(({ state }) => state === 'verified')
          .map(({ locationId }) => locationOf(placement, locationId))
        throw new AppError('unavailable', unreachableSentence(object, at), {
          cause: second.failure ?? first.failure,
        })
      } finally {
        patience.stop()
      }
    },
  }
}

/** Those of the objects that the ledger knows a readable replica of. In one statement, and without asking a location. */
export async function readableObjects(
  placement: Placement,
  objectIds: readonly string[],
): Promise<Set<string>> {
  const rows = await placement.db
    .selectFrom('replica')
    .select('object_id')
    .distinct()
    .where(sql<boolean>`object_id = any(${[...objectIds]}::uuid[])`)
    .where('state', '=', 'verified')
    .where('location_id', 'in', [...placement.locations.keys()])
    .execute()
  return new Set(rows.map((row) => row.object_id))
}

/** For how long somebody waits for the first bytes from a place that isn't this disk, quick tries included. */
type Patience = { caller: AbortSignal | undefined; signal: AbortSignal; stop(): void }

function startPatience(placement: Placement, caller: AbortSignal | undefined): Patience {
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

async function openFirst(
  placement: Placement,
  object: StoredObject,
  replicas: readonly Replica[],
  range: { start: number; end: number },
  patience: Patience,
  early?: OpenOptions['early'],
): Promise<{ stream?: Readable; failure?: unknown }> {
  let failure: unknown
  for (const replica of inReadingOrder(placement, replicas)) {
    const location = locationOf(placement, replica.locationId)
    const signal = location.kind === 'disk' ? patience.caller : patience.signal
    const stream =
      early?.take(replica, range, signal) ?? openReplica(placement, object, replica, range, signal)
    try {
      await hasBegun(stream)
      // Until its reader listens, an error must not end the process; the reader sees the stream destroyed all the same.
      stream.on('error', (error) =>
        placement.log.warn({ objectId: replica.objectId, error: error.message }, 'a read broke off'),
      )
      return { stream }
    } catch (error) {
      patience.caller?.throwIfAborted()
      failure = error
      placement.log.warn(
        { objectId: replica.objectId, location: replica.locationId, error: (error as Error).message },
        'a replica could not be read',
      )
      if (isStorageError(error, 'archived')) await noteArchived(placement, replica)
      if (isMissing(error) && (await isReallyMissing(placement, replica, patience.signal)))
        await suspectIfStillThere(placement, replica)
    }
  }
  return { failure }
}

/** What comes out of a bucket comes through the cache, where there is one. */
function openReplica(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  range: { start: number; end: number },
  signal?: AbortSignal,
): Readable {
  const location = locationOf(placement, replica.locationId)
  if (placement.cache === null || location.kind === 'disk')
    return readReplica(location, replica.key, range, signal)
  return readThroughCache(placement.cache, cacheSource(placement, object, replica), range, { signal })
}

/** Local files first: they cost neither a request nor a wait. Only verified replicas are read; archived ones are not asked. */
function inReadingOrder(placement: Placement, replicas: readonly Replica[]): Replica[] {
  const distance = (replica: Replica) => (locationOf(placement, replica.locationId).kind === 'disk' ? 0 : 1)
  return replicas
    .filter((replica) => replica.state === 'verified' && isReadableNow(placement, replica))
    .sort((a, b) => distance(a) - distance(b))
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

/** "No such file" of a mount that is gone, or of a bucket that lags behind, says nothing: looked at once more, as a place. */
async function isReallyMissing(
  placement: Placement,
  replica: Replica,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await locationOf(placement, replica.locationId).backend.head(replica.key, { signal })) === null
  } catch {
    return false // the place itself is away; the read's own failure is logged
  }
}

/** The row says verified and the bytes are not there: unless an eviction has just moved on, that is damage. */
async function suspectIfStillThere(placement: Placement, replica: Replica): Promise<void> {
  if (!(await suspectReplica(placement.db, replica, 'serve'))) return
  placement.log.error(
    { objectId: replica.objectId, location: replica.locationId },
    'a verified replica is missing',
  )
  await settle(placement.db, placement, replica.objectId)
}
