/** Bytes on their way out: from the nearest replica that has them. */
import type { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { isStorageError, StorageError } from '../storage/backend.ts'
import { locationOf } from './locations.ts'
import type { Placement } from './placement.ts'
import { readReplica } from './read-replica.ts'
import { loadObject, type Replica, suspectReplica } from './replicas.ts'
import { settle } from './settle.ts'

export type ServableObject = {
  objectId: string
  size: number
  contentType: string
  extension: string
  /** Lower-case hex. */
  sha256: string
  createdAt: Date
  /**
   * A stream of the bytes `start` to `end`, inclusive (default: all). The source answered before this resolves. A broken
   * connection is resumed; a stream that can't go on is destroyed with its error, never ended short. Destroy it to free
   * its connection. Throws `unavailable` when no replica can be read now.
   */
  open(options?: { range?: { start: number; end: number }; signal?: AbortSignal }): Promise<Readable>
}

/** What is known of an object without asking any location. Throws `not-found`. */
export async function findServable(placement: Placement, objectId: string): Promise<ServableObject> {
  const loaded = await loadObject(placement.db, objectId)
  if (!loaded) throw new AppError('not-found', 'there is no such file')
  const { object, replicas } = loaded
  return {
    objectId,
    size: object.size,
    contentType: object.contentType,
    extension: object.extension,
    sha256: object.sha256,
    createdAt: object.createdAt,
    open: async (options = {}) => {
      const range = options.range ?? { start: 0, end: object.size - 1 }
      const first = await openFirst(placement, replicas, range, options.signal)
      if (first) return first
      // An eviction may have moved the bytes since the rows were read: look once more.
      const again = await loadObject(placement.db, objectId)
      const second = again && (await openFirst(placement, again.replicas, range, options.signal))
      if (second) return second
      throw new AppError('unavailable', 'the file cannot be reached now; it is not lost, try again later')
    },
  }
}

async function openFirst(
  placement: Placement,
  replicas: readonly Replica[],
  range: { start: number; end: number },
  signal?: AbortSignal,
): Promise<Readable | null> {
  for (const replica of inReadingOrder(placement, replicas)) {
    const stream = readReplica(locationOf(placement, replica.locationId), replica.key, range, signal)
    try {
      await hasBegun(stream)
      // Until its reader listens, an error must not end the process; the reader sees the stream destroyed all the same.
      stream.on('error', (error) =>
        placement.log.warn({ objectId: replica.objectId, error: error.message }, 'a read broke off'),
      )
      return stream
    } catch (error) {
      signal?.throwIfAborted()
      placement.log.warn(
        { objectId: replica.objectId, location: replica.locationId, error: (error as Error).message },
        'a replica could not be read',
      )
      if (isMissing(error) && (await isReallyMissing(placement, replica)))
        await suspectIfStillThere(placement, replica)
    }
  }
  return null
}

/** Local files first: they cost neither a request nor a wait. Only verified replicas are read. */
function inReadingOrder(placement: Placement, replicas: readonly Replica[]): Replica[] {
  const distance = (replica: Replica) => (locationOf(placement, replica.locationId).kind === 'disk' ? 0 : 1)
  return replicas.filter((replica) => replica.state === 'verified').sort((a, b) => distance(a) - distance(b))
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
async function isReallyMissing(placement: Placement, replica: Replica): Promise<boolean> {
  try {
    return (await locationOf(placement, replica.locationId).backend.head(replica.key)) === null
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
