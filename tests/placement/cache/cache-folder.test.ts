/**
 * What the cache's folder holds and what is counted of it, when more than one write to it or doubt it at a
 * time.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import type { Cache } from '../../../src/placement/cache/cache.ts'
import { DamagedUnit } from '../../../src/placement/cache/file.ts'
import { closeCache, openCache } from '../../../src/placement/cache/open.ts'
import { scanCache } from '../../../src/placement/cache/scan.ts'
import { cacheUse, dropUnit, evictOver, openCached, storeUnit } from '../../../src/placement/cache/store.ts'

const LIMIT = 1024 ** 2
const SIZE = 300_000

/** As many processes' views of one folder. */
async function openCaches(t: TestContext, count: number): Promise<Cache[]> {
  const root = await mkdtemp(join(tmpdir(), 'glassine-cache-'))
  const caches = Array.from({ length: count }, () =>
    openCache({
      folder: join(root, 'cache'),
      maxBytes: LIMIT,
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
