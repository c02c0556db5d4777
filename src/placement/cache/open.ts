import type { Cache, CacheOptions } from './cache.ts'
import { rescan } from './scan.ts'

/** Bytes of fills that are in memory at a time, in this process; who comes on top reads past the cache. */
const MAX_FILL_BYTES = 64 * 1024 ** 2

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
