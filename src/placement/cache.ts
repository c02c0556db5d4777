/**
 * A bounded folder of bytes that belong to a bucket, so that what was looked at once costs no second request. Never a
 * replica: nothing in it counts as a copy, and all of it may be deleted by hand at any time.
 *
 * Words: a *unit* is what is fetched and kept as one file, a whole small object or an aligned chunk of a large one; a *fill*
 * fetches a unit, once for everybody who waits for it (cache-fill.ts); a *reading* goes from unit to unit (cache-read.ts).
 */
import { randomUUID } from 'node:crypto'
import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../log.ts'
import { DamagedUnit, fileBytesOf, openUnit, type Unit, type UnitFile, writeUnit } from './cache-file.ts'
import type { Fill } from './cache-fill.ts'
import { scanCache } from './cache-scan.ts'

/** Bytes of fills that are in memory at a time, in this process; who comes on top reads past the cache. */
const MAX_FILL_BYTES = 64 * 1024 ** 2
/** Other processes write to the folder, too: looked at again after so long, or so large a part of the limit written. */
const RESCAN_AFTER_MS = 5 * 60_000
const RESCAN_AFTER_SHARE = 1 / 16
/** After a file that could not be written. */
const REST_MS = 10_000

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
  /** Work that nobody waits for; `closeCache` does. */
  pending: Set<Promise<void>>
}

export function openCache(parts: CacheOptions & Pick<Cache, 'folder' | 'log' | 'makeFolder'>): Cache {
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
    pending: new Set(),
  }
  rescan(cache)
  return cache
}

/** Waits for what is being written; what is being fetched is given up. */
export async function closeCache(cache: Cache): Promise<void> {
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

/** 256 folders, so that none grows too long to be listed. */
function pathOf(cache: Cache, name: string): string {
  return join(cache.folder, name.slice(0, 2), name)
}

/** The unit's file, or null: a miss. A damaged or unreadable one is removed and is a miss, too. */
export async function openCached(cache: Cache, unit: Unit): Promise<UnitFile | null> {
  try {
    const file = await openUnit(pathOf(cache, unit.name), unit)
    if (file !== null) noteUse(cache, unit)
    else if (!cache.storing.has(unit.name)) uncount(cache, unit.name)
    return file
  } catch (error) {
    await dropUnit(cache, unit, error as Error)
    return null
  }
}

/** Removes a file that can't be trusted. */
export async function dropUnit(cache: Cache, unit: Unit, reason: Error): Promise<void> {
  const level = reason instanceof DamagedUnit ? 'error' : 'warn'
  cache.log[level]({ objectId: unit.objectId, error: reason.message }, 'a cached file is thrown away')
  await removeFile(cache, unit.name)
}

/** Keeps a unit. Never throws: a cache that can't be written to is a cache that misses. */
export async function storeUnit(cache: Cache, unit: Unit, bytes: Buffer): Promise<boolean> {
  if (performance.now() < cache.restsUntil) return false
  const incoming = join(cache.folder, 'incoming', `${unit.name}.${randomUUID()}`)
  uncount(cache, unit.name)
  count(cache, unit)
  cache.storing.add(unit.name)
  try {
    await evictOver(cache)
    await inFolder(cache, 'incoming', () => writeUnit(incoming, unit, bytes))
    await inFolder(cache, unit.name.slice(0, 2), () => rename(incoming, pathOf(cache, unit.name)))
    cache.scan.storedMeanwhile.add(unit.name)
    cache.scan.storedBytes += fileBytesOf(unit)
    return true
  } catch (error) {
    cache.log.warn({ error: (error as Error).message }, 'the cache could not be written to; it rests a while')
    cache.restsUntil = performance.now() + REST_MS
    uncount(cache, unit.name)
    await rm(incoming, { force: true }).catch(() => undefined) // the scan removes what is left
    return false
  } finally {
    cache.storing.delete(unit.name)
    if (isScanDue(cache)) rescan(cache)
  }
}

/** Removes what is kept of an object, and of fills under way what they would keep. */
export async function forgetObject(cache: Cache, object: { id: string; size: number }): Promise<void> {
  for (const fill of cache.fills.values()) if (fill.unit.objectId === object.id) fill.isUnwanted = true
  if (object.size <= cache.wholeBytes) return removeFile(cache, `${object.id}.whole`)
  const names = await readdir(join(cache.folder, object.id.slice(0, 2))).catch(() => [])
  for (const name of names) if (name.startsWith(`${object.id}.`)) await removeFile(cache, name)
}

/** Removes the least recently used files until the rest is within the limit. */
export async function evictOver(cache: Cache): Promise<void> {
  for (const name of cache.files.keys()) {
    if (cache.totalBytes <= cache.maxBytes) return
    if (!cache.storing.has(name)) await removeFile(cache, name)
  }
}

/** Forgotten at once, lest a file that comes in its place be forgotten instead; its bytes count until it is gone. */
async function removeFile(cache: Cache, name: string): Promise<void> {
  const bytes = cache.files.get(name) ?? 0
  cache.files.delete(name)
  try {
    await rm(pathOf(cache, name), { force: true })
  } catch (error) {
    cache.log.warn({ error: (error as Error).message }, 'a cached file could not be removed')
  }
  cache.totalBytes -= bytes
}

function noteUse(cache: Cache, unit: Unit): void {
  uncount(cache, unit.name)
  count(cache, unit)
}

function count(cache: Cache, unit: Unit): void {
  const bytes = fileBytesOf(unit)
  cache.files.set(unit.name, bytes)
  cache.totalBytes += bytes
}

function uncount(cache: Cache, name: string): void {
  cache.totalBytes -= cache.files.get(name) ?? 0
  cache.files.delete(name)
}

/** The folder may have been deleted by hand, so it is made whenever it is missed. */
async function inFolder(cache: Cache, folder: string, act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    await cache.makeFolder(join(cache.folder, folder))
    await act()
  }
}

function isScanDue({ scan, maxBytes }: Cache): boolean {
  const isOld = performance.now() - scan.endedAt > RESCAN_AFTER_MS
  return scan.isRunning === null && (isOld || scan.storedBytes > maxBytes * RESCAN_AFTER_SHARE)
}

function rescan(cache: Cache): void {
  cache.scan.isRunning = scanCache(cache)
    .then(() => evictOver(cache))
    .catch((error: Error) => {
      cache.log.warn({ error: error.message }, 'the cache folder could not be looked through')
    })
    .finally(() => {
      cache.scan.isRunning = null
      cache.scan.endedAt = performance.now()
    })
}
