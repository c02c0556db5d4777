/**
 * What the cache's folder holds and what is counted of it, when more than one write to it or doubt it at a
 * time.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLog } from '../../../src/log.ts'
import type { Cache, CacheSource } from '../../../src/placement/cache/cache.ts'
import { DamagedUnit } from '../../../src/placement/cache/file.ts'
import { closeCache, openCache } from '../../../src/placement/cache/open.ts'
import { readThroughCache } from '../../../src/placement/cache/read.ts'
import { scanCache } from '../../../src/placement/cache/scan.ts'
import {
  cacheUse,
  dropUnit,
  evictOver,
  forgetObject,
  openCached,
  storeUnit,
} from '../../../src/placement/cache/store.ts'

const LIMIT = 1024 ** 2
const SIZE = 300_000

/** As many processes' views of one folder. */
async function openCaches(t: TestContext, count: number, maxBytes = LIMIT): Promise<Cache[]> {
  const root = await mkdtemp(join(tmpdir(), 'glassine-cache-'))
  const caches = Array.from({ length: count }, () =>
    openCache({
      folder: join(root, 'cache'),
      maxBytes,
      wholeBytes: 512 * 1024,
      chunkBytes: 256 * 1024,
      log: silentLog,
      makeFolder: async (path) => void (await mkdir(path, { recursive: true })),
      space: async () => ({ freeBytes: 1024 ** 4, totalBytes: 1024 ** 4 }),
    }),
  )
  t.after(async () => {
    await Promise.all(caches.map(closeCache))
    await rm(root, { recursive: true, force: true })
  })
  return caches
}

const unit = (id: number) => ({
  objectId: `0000000${id}`,
  sha256: '',
  name: `0000000${id}.whole`,
  start: 0,
  size: SIZE,
})

async function filesIn({ folder }: Cache): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}

test('two processes share the folder: each serves what the other fetched, and keeps to the limit after a look', async (t) => {
  const [one, other] = (await openCaches(t, 2)) as [Cache, Cache]
  const bytes = randomBytes(SIZE)
  for (const id of [1, 2, 3]) await storeUnit(one, unit(id), bytes)
  const file = await openCached(other, unit(1))
  assert.deepEqual((await file!.read(0)).subarray(0, 100), bytes.subarray(0, 100))
  await file!.close()
  // It knows of one file only, and so of room that is not there.
  for (const id of [4, 5]) await storeUnit(other, unit(id), bytes)
  await scanCache(other)
  await evictOver(other)
  const left = await filesIn(other)
  assert.ok(left.length * SIZE <= LIMIT, `${left.length} files`)
  assert.ok(left.includes(unit(5).name))
  for (const id of [1, 2, 3]) await (await openCached(one, unit(id)))?.close()
  await scanCache(one)
  assert.equal(one.totalBytes, other.totalBytes)
})

test('a reader that finds damage late does not take away, nor forget, what is just written in its place', async (t) => {
  const [cache] = (await openCaches(t, 1)) as [Cache]
  const bytes = randomBytes(SIZE)
  await storeUnit(cache, unit(1), bytes)
  await truncate(join(cache.folder, '00', unit(1).name), 1_000)
  const storing = storeUnit(cache, unit(1), bytes)
  await dropUnit(cache, unit(1), new DamagedUnit(unit(1).name))
  assert.equal(await storing, true)
  assert.deepEqual(await filesIn(cache), [unit(1).name])
  assert.equal(cacheUse(cache).files, 1)
  const file = await openCached(cache, unit(1))
  assert.deepEqual((await file!.read(0)).subarray(0, 100), bytes.subarray(0, 100))
  await file!.close()
})

test('nobody reads from a fill of a copy that was found bad meanwhile', async (t) => {
  const [cache] = (await openCaches(t, 1, 64 * LIMIT)) as [Cache]
  const right = randomBytes(2 * SIZE)
  const wrong = Buffer.alloc(2 * SIZE)
  const rest = Promise.withResolvers<void>()
  const sourceOf = (open: CacheSource['open']): CacheSource => ({
    id: '00000001',
    size: 2 * SIZE,
    sha256: '',
    open,
    reportWrong: () => undefined,
    isGood: async () => true,
  })
  const bad = sourceOf((start, end) =>
    Readable.from(
      (async function* () {
        yield wrong.subarray(start, start + 1_000)
        await rest.promise
        yield wrong.subarray(start + 1_000, end + 1)
      })(),
    ),
  )
  const good = sourceOf((start, end) => Readable.from([right.subarray(start, end + 1)]))
  const part = { start: 0, end: 9_999 }
  const first = readThroughCache(cache, bad, part)[Symbol.asyncIterator]()
  await first.next()
  // It waits for what comes behind the first piece of the other one's fill.
  const joined = readThroughCache(cache, good, { start: 2_000, end: 2_099 })
  const waiting = buffer(joined)
  while (cache.fills.values().next().value!.readers < 2) await sleep(1)
  await forgetObject(cache, bad)
  const early = { start: 0, end: 499 }
  const late = await buffer(readThroughCache(cache, good, early))
  rest.resolve()
  assert.deepEqual(late, right.subarray(0, 500))
  assert.deepEqual(await waiting, right.subarray(2_000, 2_100))
  while (!(await first.next()).done);
  while (cache.pending.size > 0) await Promise.all(cache.pending)
  assert.deepEqual(await buffer(readThroughCache(cache, good, part)), right.subarray(0, 10_000))
})
