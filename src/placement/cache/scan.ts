import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cache } from './cache.ts'
import { evictOver } from './store.ts'

/**
 * Other processes write to the folder, too: looked at again after so long, or so large a part of the limit
 * written.
 */
const RESCAN_AFTER_MS = 5 * 60_000
const RESCAN_AFTER_SHARE = 1 / 16
/** Files looked at together; more would keep the threads that serve from their work. */
const STATS_AT_ONCE = 32
/** What a killed process left half-written; no write takes that long. */
const LEFTOVER_AGE_MS = 10 * 60_000

/**
 * Compares what this process knows of the cache's folder with what lies there: at start everything is new, in
 * order of last use; later, what other processes wrote or removed, and what was deleted by hand.
 */
export async function scanCache(cache: Cache): Promise<void> {
  const isFirst = cache.scan.endedAt === Number.NEGATIVE_INFINITY
  cache.scan.storedMeanwhile.clear()
  cache.scan.storedBytes = 0
  const seen = new Set<string>()
  const fresh: { name: string; bytes: number; usedAt: number }[] = []
  for (const folder of await listFolder(cache.folder)) {
    if (cache.isClosed) return // a command that is over needs no more
    const listed = await listFolder(join(cache.folder, folder))
    if (folder === 'incoming') {
      await removeLeftovers(join(cache.folder, folder), listed)
      continue
    }
    const names = listed.filter((name) => name.startsWith(folder))
    for (const name of names) seen.add(name)
    const unknown = names.filter((name) => !cache.files.has(name))
    for (let start = 0; start < unknown.length; start += STATS_AT_ONCE) {
      const batch = unknown.slice(start, start + STATS_AT_ONCE)
      const found = await Promise.all(batch.map((name) => look(cache, folder, name)))
      fresh.push(...found.filter((file) => file !== null))
    }
  }
  for (const [name, bytes] of cache.files) {
    if (seen.has(name) || cache.storing.has(name) || cache.scan.storedMeanwhile.has(name)) continue
    cache.files.delete(name)
    cache.totalBytes -= bytes
  }
  // What was used since the start is the most recently used.
  const known = new Map(isFirst ? cache.files : [])
  if (isFirst) cache.files.clear()
  for (const { name, bytes } of fresh.sort((a, b) => a.usedAt - b.usedAt)) {
    if (cache.files.has(name) || known.has(name)) continue
    cache.files.set(name, bytes)
    cache.totalBytes += bytes
  }
  for (const [name, bytes] of known) cache.files.set(name, bytes)
}

async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw error
  }
}

async function look(cache: Cache, folder: string, name: string) {
  const found = await stat(join(cache.folder, folder, name)).catch(() => null) // removed since it was listed
  return found?.isFile() ? { name, bytes: found.size, usedAt: found.mtimeMs } : null
}

async function removeLeftovers(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = join(folder, name)
    const found = await stat(path).catch(() => null) // moved into place meanwhile
    if (found && Date.now() - found.mtimeMs > LEFTOVER_AGE_MS) await rm(path, { force: true })
  }
}

/** Called after a file was written. */
export function rescanIfDue(cache: Cache): void {
  if (isScanDue(cache)) rescan(cache)
}

function isScanDue({ scan, maxBytes, isClosed }: Cache): boolean {
  if (isClosed) return false
  const isOld = performance.now() - scan.endedAt > RESCAN_AFTER_MS
  return scan.isRunning === null && (isOld || scan.storedBytes > maxBytes * RESCAN_AFTER_SHARE)
}

/** Looks through the folder in the background. */
export function rescan(cache: Cache): void {
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
