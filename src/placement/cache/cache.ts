/**
 * A bounded folder of bytes that belong to a bucket, so that what was looked at once costs no second request.
 * Never a replica: nothing in it counts as a copy, and all of it may be deleted by hand at any time.
 *
 * Words: a *unit* is what is fetched and kept as one file, a whole small object or an aligned chunk of a
 * large one; a *fill* fetches a unit, once for everybody who waits for it (fill.ts); a *reading* goes from
 * unit to unit (read.ts).
 */
import type { Hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Log } from '../../log.ts'
import type { Unit } from './file.ts'

export type CacheOptions = {
  /** What its files may take on the disk. */
  maxBytes: number
  /** Objects up to this size are kept as a whole and checked against their SHA-256. */
  wholeBytes: number
  /** Size of the pieces that larger ones are kept in. */
  chunkBytes: number
}

export type Cache = CacheOptions & {
  folder: string
  log: Log
  /** Makes a folder below the cache's, or refuses when the media volume isn't there. */
  makeFolder(path: string): Promise<void>
  /** Of the volume that the folder lies on. */
  space(): Promise<{ freeBytes: number; totalBytes: number }>
  /**
   * How much less than the limit its files may take because the volume is nearly full, and when that was
   * looked at.
   */
  shortage: { bytes: number; askedAt: number }
  /** Files and their sizes, least recently used first, as far as this process knows. */
  files: Map<string, number>
  totalBytes: number
  fills: Map<string, Fill>
  fillBytes: number
  maxFillBytes: number
  /** Files that are being written: counted, but not there yet. */
  storing: Set<string>
  scan: {
    isRunning: Promise<void> | null
    endedAt: number
    storedBytes: number
    storedMeanwhile: Set<string>
  }
  /** No file is written before, by `performance.now()`. */
  restsUntil: number
  isClosed: boolean
  /** Background work without a caller that awaits it; `closeCache` waits for it. See pending.ts. */
  pending: Set<Promise<void>>
}

/** Where an object's bytes come from when the cache has them not. */
export type CacheSource = {
  id: string
  size: number
  /** Lower-case hex. */
  sha256: string
  /** A stream of these bytes, inclusive, that fails rather than ends short. */
  open(start: number, end: number): Readable
  /** The bytes that came are not the object's. */
  reportWrong(): void
  /**
   * Whether the object is still anybody's, and the copy that it is read from still the one that was proven
   * before the source was opened; false also where that can't be known now. Asked when a unit was stored.
   */
  isGood(): Promise<boolean>
}

/** One request that fills one unit after another, as its reading goes on; between units it waits. */
export type Run = {
  source: CacheSource
  stream: Readable
  pieces: AsyncIterator<Buffer>
  leftover: Buffer | null
  /** Offset in the object of the next byte. */
  position: number
  /** Of the bytes so far, where the run goes from the first to the last. */
  sha256: Hash | null
  isFilling: boolean
  /** Its reading is over; it ends with the unit it is at. */
  isLeft: boolean
  /** Its object was found purged, or its copy bad: nothing more of it is kept. */
  isUnwanted: boolean
}

export type Fill = {
  unit: Unit
  bytes: Buffer
  /** Bytes that may be read: all that came, but the last only after they are proven. */
  available: number
  readers: number
  /** It is finished even if all readers leave. */
  isWanted: boolean
  error: Error | null
  /** The file is there; readers go on from it. */
  isStored: boolean
  /** Its object was purged, or its copy found bad: not to be kept, nor given to others. */
  isUnwanted: boolean
  /** Resolves at the next change of any of these. */
  changed: PromiseWithResolvers<void>
  giveUp(): void
}

/**
 * The unit that holds the byte at `position`. Names are joined, not written as a template: V8 would keep the
 * parts, and a million of them would take 540 MB instead of 95.
 */
export function unitAt(
  { wholeBytes, chunkBytes }: CacheOptions,
  object: { id: string; size: number; sha256: string },
  position: number,
): Unit {
  const { id: objectId, sha256 } = object
  if (object.size <= wholeBytes)
    return { objectId, sha256, name: [objectId, 'whole'].join('.'), start: 0, size: object.size }
  const index = Math.floor(position / chunkBytes)
  const start = index * chunkBytes
  return {
    objectId,
    sha256,
    name: [objectId, index].join('.'),
    start,
    size: Math.min(chunkBytes, object.size - start),
  }
}
