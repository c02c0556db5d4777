/**
 * A bounded folder of bytes that belong to a bucket, so that what was looked at once costs no second request. Never a
 * replica: nothing in it counts as a copy, and all of it may be deleted by hand at any time.
 *
 * Words: a *unit* is what is fetched and kept as one file, a whole small object or an aligned chunk of a large one; a *fill*
 * fetches a unit, once for everybody who waits for it (cache-fill.ts); a *reading* goes from unit to unit (cache-read.ts).
 */
import type { Log } from '../log.ts'
import type { Unit } from './cache-file.ts'
import type { Fill } from './cache-fill.ts'
import { rescan } from './cache-scan.ts'

/** Bytes of fills that are in memory at a time, in this process; who comes on top reads past the cache. */
const MAX_FILL_BYTES = 64 * 1024 ** 2

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
  /** How much less than the limit its files may take because the volume is nearly full, and when that was looked at. */
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
  /** Work that nobody may wait for; `closeCache` does. See cache-pending.ts. */
  pending: Set<Promise<void>>
}

export function openCache(
  parts: CacheOptions & Pick<Cache, 'folder' | 'log' | 'makeFolder' | 'space'>,
): Cache {
  const cache: Cache = {
    ...parts,
    files: new Map(),
    totalBytes: 0,
    fills: new Map(),
    fillBytes: 0,
    maxFillBytes: Math.min(MAX_FILL_BYTES, parts.maxBytes / 4),
    storing: new Set(),
    scan: {
      isRunning: null,
      endedAt: Number.NEGATIVE_INFINITY,
      storedBytes: 0,
      storedMeanwhile: new Set(),
    },
    restsUntil: 0,
    isClosed: false,
    shortage: { bytes: 0, askedAt: Number.NEGATIVE_INFINITY },
    pending: new Set(),
  }
  rescan(cache)
  return cache
}

/** Waits for what is being written; what is being fetched is given up. */
export async function closeCache(cache: Cache): Promise<void> {
  cache.isClosed = true
  for (const fill of cache.fills.values()) fill.giveUp()
  while (cache.pending.size > 0) await Promise.all(cache.pending)
  await cache.scan.isRunning
}

/**
 * The unit that holds the byte at `position`. Names are joined, not written as a template: V8 would keep the parts, and a
 * million of them would take 540 MB instead of 95.
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
