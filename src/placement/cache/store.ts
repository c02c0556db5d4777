/** The files of the cache: looked up, written, counted, and removed when they are too many. */
import { randomUUID } from 'node:crypto'
import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cache } from './cache.ts'
import { DamagedUnit, fileBytesOf, openUnit, type Unit, type UnitFile, writeUnit } from './file.ts'
import { keepPending } from './pending.ts'

/** After a file that could not be written. */
const REST_MS = 10_000
/**
 * Uploads come first: what has to stay free on the volume, or this part of it where that is less; asked so
 * often.
 */
const FREE_BYTES = 1024 ** 3
const FREE_SHARE = 1 / 50
const ASK_SPACE_AFTER_MS = 5_000

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

/** Whether the unit's file is there and whole, as far as can be told without reading all of it. */
export async function isCached(cache: Cache, unit: Unit): Promise<boolean> {
  const file = await openCached(cache, unit)
  await file?.close()
  return file !== null
}

/**
 * Removes a file that can't be trusted, unless it is being replaced anyway: removed now, it might be the new
 * one.
 */
export async function dropUnit(cache: Cache, unit: Unit, reason: Error): Promise<void> {
  const level = reason instanceof DamagedUnit ? 'error' : 'warn'
  cache.log[level]({ objectId: unit.objectId, error: reason.message }, 'a cached file is thrown away')
  if (!cache.fills.has(unit.name) && !cache.storing.has(unit.name)) await removeFile(cache, unit.name)
}

/** Keeps a unit. Never throws: a cache that can't be written to is a cache that misses. */
export async function storeUnit(cache: Cache, unit: Unit, bytes: Buffer): Promise<boolean> {
  if (cache.isClosed || performance.now() < cache.restsUntil) return false
  const incoming = join(cache.folder, 'incoming', `${unit.name}.${randomUUID()}`)
  uncount(cache, unit.name)
  count(cache, unit)
  cache.storing.add(unit.name)
  try {
    await lookAtSpace(cache)
    await evictOver(cache)
    if (cache.totalBytes > limitOf(cache)) throw new Error('the volume is nearly full')
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
  }
}

/**
 * Removes what is kept of an object (`size` null: no longer known), and of fills under way what they would
 * keep.
 */
export async function forgetObject(cache: Cache, object: { id: string; size: number | null }): Promise<void> {
  for (const fill of cache.fills.values()) if (fill.unit.objectId === object.id) fill.isUnwanted = true
  if (object.size !== null && object.size <= cache.wholeBytes) return removeFile(cache, `${object.id}.whole`)
  const names = await readdir(join(cache.folder, object.id.slice(0, 2))).catch(() => [])
  for (const name of names) if (name.startsWith(`${object.id}.`)) await removeFile(cache, name)
}

/** Removes the least recently used files until the rest is within the limit. */
export async function evictOver(cache: Cache): Promise<void> {
  for (const name of cache.files.keys()) {
    if (cache.totalBytes <= limitOf(cache)) return
    if (!cache.storing.has(name)) await removeFile(cache, name)
  }
}

export type CacheUse = {
  files: number
  /** What they take on the disk, and the most that they may take. */
  bytes: number
  maxBytes: number
  /** Less than `maxBytes` while the volume is nearly full. */
  limitBytes: number
  /** False: what lies there from before this process began is still being counted. */
  isCounted: boolean
}

/** As far as this process knows: others that write to the same folder are looked at every few minutes. */
export function cacheUse(cache: Cache): CacheUse {
  return {
    files: cache.files.size,
    bytes: cache.totalBytes,
    maxBytes: cache.maxBytes,
    limitBytes: limitOf(cache),
    isCounted: cache.scan.endedAt !== Number.NEGATIVE_INFINITY,
  }
}

function limitOf({ maxBytes, shortage }: Cache): number {
  return maxBytes - shortage.bytes
}

/** While too little of the volume is free, the cache shrinks to what lets that much be free. */
async function lookAtSpace(cache: Cache): Promise<void> {
  const { shortage, totalBytes: held, maxBytes } = cache
  if (performance.now() - shortage.askedAt < ASK_SPACE_AFTER_MS) return
  shortage.askedAt = performance.now()
  const { freeBytes, totalBytes } = await cache.space()
  const missing = Math.min(FREE_BYTES, totalBytes * FREE_SHARE) - freeBytes
  shortage.bytes = missing > 0 ? maxBytes - Math.max(0, held - missing) : 0
}

/**
 * Forgotten at once, so that a file that takes its place is not forgotten instead; its bytes count until it
 * is gone.
 */
async function removeFile(cache: Cache, name: string): Promise<void> {
  const bytes = cache.files.get(name) ?? 0
  cache.files.delete(name)
  const removal = rm(pathOf(cache, name), { force: true })
    .catch((error: Error) => cache.log.warn({ error: error.message }, 'a cached file could not be removed'))
    .then(() => {
      cache.totalBytes -= bytes
    })
  await keepPending(cache, removal)
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
