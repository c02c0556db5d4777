/**
 * Random readings, cuts, damage, deletions by hand and restarts against what must hold of the cache: every
 * byte that is served is the object's, its files never take more than the limit, and nothing is left open,
 * half-written or uncounted.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import fc from 'fast-check'
import { silentLog } from '../../src/log.ts'
import type { Cache, CacheSource } from '../../src/placement/cache/cache.ts'
import { closeCache, openCache } from '../../src/placement/cache/open.ts'
import { readThroughCache } from '../../src/placement/cache/read.ts'
import { scanCache } from '../../src/placement/cache/scan.ts'
import { StorageError } from '../../src/storage/backend.ts'

const KIB = 1024
const LIMIT = 2048 * KIB
const SIZES = { maxBytes: LIMIT, wholeBytes: 160 * KIB, chunkBytes: 128 * KIB }
/** Small ones, one of exactly a whole unit, and ones of several chunks; together more than the limit. */
const OBJECT_SIZES = [1, 100, 70 * KIB, 160 * KIB, 160 * KIB + 1, 300 * KIB, 512 * KIB, 900 * KIB, 1500 * KIB]

type World = {
  folder: string
  cache: Cache
  objects: { id: string; bytes: Buffer; sha256: string }[]
  /** The next requests: cut after so many bytes, or other bytes than asked for. */
  faults: ({ kind: 'cut'; after: number } | { kind: 'lie' })[]
  requests: number
  openStreams: Set<Readable>
  wrongReports: number
}

type Command =
  | { do: 'read'; pick: number; from: number; to: number; readers: number; isFilling: boolean }
  | { do: 'leave'; pick: number; afterBytes: number }
  | { do: 'damage' | 'truncate' | 'swap' | 'delete'; pick: number }
  | { do: 'delete all' | 'restart' | 'rescan' | 'block' }
  | { do: 'fault'; fault: World['faults'][number] }

const share = fc.double({ min: 0, max: 1, noNaN: true })
const pick = fc.nat(OBJECT_SIZES.length - 1)
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      pick,
      from: fc.oneof(fc.constant(0), share),
      to: fc.oneof(fc.constant(1), share),
      readers: fc.integer({ min: 1, max: 4 }),
      isFilling: fc.oneof(
        { weight: 5, arbitrary: fc.constant(true) },
        { weight: 1, arbitrary: fc.constant(false) },
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('leave' as const), pick, afterBytes: fc.nat(600 * KIB) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('damage', 'truncate', 'swap', 'delete'), pick: fc.nat(100) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('delete all', 'restart', 'rescan', 'block') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      fault: fc.oneof(
        fc.record({ kind: fc.constant('cut' as const), after: fc.nat(300 * KIB) }),
        fc.record({ kind: fc.constant('lie' as const) }),
      ),
    }),
  },
)

test('whatever happens to the cache, its readers get the bytes of the object or an error, and the limit holds', async () => {
  let hits = 0
  let damaged = 0
  let evicted = 0
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 20, maxLength: 40 }), async (commands) => {
      const world = await openWorld()
      try {
        for (const step of commands) {
          const before = { requests: world.requests, files: [...world.cache.files.keys()] }
          await run(world, step)
          await settle(world)
          await checkInvariants(world)
          if (step.do === 'read' && world.requests === before.requests) hits += 1
          if (step.do === 'damage' || step.do === 'truncate' || step.do === 'swap') damaged += 1
          // By name: most of those that make room for another are as many as came.
          if (step.do === 'read' && before.files.some((name) => !world.cache.files.has(name))) evicted += 1
        }
        await closeCache(world.cache)
        assert.equal(world.openStreams.size, 0, 'every request is over')
        assert.equal(world.cache.fillBytes, 0)
      } finally {
        await closeCache(world.cache)
        await rm(world.folder, { recursive: true, force: true })
      }
    }),
    { numRuns: Number(process.env.MODEL_RUNS ?? 80), endOnFailure: true },
  )
  // A model in which nothing happens proves nothing.
  assert.ok(hits > 50, `only ${hits} hits`)
  assert.ok(damaged > 50, `only ${damaged} damages`)
  assert.ok(evicted > 10, `only ${evicted} evictions`)
})

async function openWorld(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-cache-'))
  const world: World = {
    folder,
    cache: startCache(folder),
    objects: OBJECT_SIZES.map((size, index) => {
      const bytes = randomBytes(size)
      const id = `${String(index).padStart(8, '0')}-0000-4000-8000-000000000000`
      return { id, bytes, sha256: createHash('sha256').update(bytes).digest('hex') }
    }),
    faults: [],
    requests: 0,
    openStreams: new Set(),
    wrongReports: 0,
  }
  await world.cache.scan.isRunning
  return world
}

function startCache(folder: string): Cache {
  return openCache({
    ...SIZES,
    folder: join(folder, 'cache'),
    log: silentLog,
    makeFolder: async (path) => void (await mkdir(path, { recursive: true })),
    space: async () => ({ freeBytes: 1024 ** 4, totalBytes: 1024 ** 4 }),
  })
}

/** Gives bytes in pieces that fit no block, and fails as planned. */
function sourceOf(world: World, index: number): CacheSource {
  const object = world.objects[index]!
  return {
    id: object.id,
    size: object.bytes.length,
    sha256: object.sha256,
    isGood: async () => true,
    open(start, end) {
      world.requests += 1
      const fault = world.faults.shift()
      let bytes = object.bytes.subarray(start, end + 1)
      // Of a part alone nobody could tell.
      if (fault?.kind === 'lie' && bytes.length === object.bytes.length && bytes.length <= SIZES.wholeBytes) {
        bytes = Buffer.from(bytes)
        bytes[bytes.length >> 1]! ^= 1
      }
      let at = 0
      const stream = new Readable({
        highWaterMark: 40_000,
        read() {
          setImmediate(() => {
            if (fault?.kind === 'cut' && at >= fault.after)
              return stream.destroy(new StorageError('unavailable', 'planned cut'))
            const piece = bytes.subarray(at, at + 33_333)
            at += piece.length
            stream.push(piece.length > 0 ? piece : null)
          })
        },
      })
      world.openStreams.add(stream)
      stream.once('close', () => world.openStreams.delete(stream))
      return stream
    },
    reportWrong: () => {
      world.wrongReports += 1
    },
  }
}

async function run(world: World, step: Command): Promise<void> {
  switch (step.do) {
    case 'read': {
      const source = sourceOf(world, step.pick)
      const [a, b] = [step.from, step.to].map((part) => Math.round(part * (source.size - 1)))
      const range = { start: Math.min(a!, b!), end: Math.max(a!, b!) }
      const mayFail = world.faults.length > 0
      // Who wants no more than its beginning has it before the digest is known, as from the bucket itself.
      const mayBeWrong = world.faults.some(({ kind }) => kind === 'lie') && range.end < source.size - 1
      const reads = Array.from({ length: step.readers }, () => readAll(world, source, range, step.isFilling))
      for (const result of await Promise.allSettled(reads)) {
        if (result.status === 'rejected') {
          if (!mayFail || result.reason instanceof assert.AssertionError) throw result.reason
          continue
        }
        const isRight = result.value.equals(
          world.objects[step.pick]!.bytes.subarray(range.start, range.end + 1),
        )
        assert.ok(isRight || mayBeWrong)
      }
      return
    }
    case 'leave': {
      const source = sourceOf(world, step.pick)
      // Who reads along while an object arrives may see wrong bytes before its digest is known, but never its
      // end.
      const mayLie = world.faults.some(({ kind }) => kind === 'lie')
      const expected = world.objects[step.pick]!.bytes
      let taken = 0
      try {
        for await (const piece of readThroughCache(world.cache, source, { start: 0, end: source.size - 1 })) {
          const part = piece as Buffer
          const isRight = part.equals(expected.subarray(taken, taken + part.length))
          taken += part.length
          assert.ok(isRight || (mayLie && taken < source.size))
          if (taken >= step.afterBytes) break
        }
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
      }
      return
    }
    case 'fault':
      world.faults.push(step.fault)
      return
    case 'delete all':
      await rm(join(world.folder, 'cache'), { recursive: true, force: true })
      return
    case 'restart':
      await closeCache(world.cache)
      world.cache = startCache(world.folder)
      await world.cache.scan.isRunning
      return
    case 'rescan':
      await scanCache(world.cache)
      return
    case 'block':
      // As a full disk: nothing can be written for a while.
      world.cache.restsUntil = performance.now() + 5
      return
  }
  const files = await listFiles(world)
  const file = files[step.pick % Math.max(files.length, 1)]
  if (!file) return
  if (step.do === 'delete') await rm(file.path)
  if (step.do === 'truncate') await truncate(file.path, Math.floor(file.bytes / 2))
  if (step.do === 'damage') {
    const bytes = await readFile(file.path)
    bytes[(step.pick * 7919) % bytes.length]! ^= 0x40
    await writeFile(file.path, bytes)
  }
  if (step.do === 'swap') {
    const other = files.find(({ path, bytes }) => path !== file.path && bytes === file.bytes)
    if (other) await rename(other.path, file.path)
  }
}

async function readAll(
  world: World,
  source: CacheSource,
  range: { start: number; end: number },
  isFilling: boolean,
): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of readThroughCache(world.cache, source, range, { isFilling }))
    pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

/**
 * What goes on behind a reading that is over: files being written, looked through, closed. Watches the limit
 * meanwhile.
 */
async function settle({ cache, folder }: World): Promise<void> {
  // What somebody who left had begun goes on for a moment, from one file to its removal.
  // Between two of its steps nothing of it is seen: only three quiet looks in a row are an end.
  let quietLooks = 0
  for (let look = 0; look < 5_000; look += 1) {
    do {
      await Promise.race([...cache.pending, nextTick()])
      await cache.scan.isRunning
      assert.ok(cache.totalBytes <= LIMIT + cache.maxFillBytes)
    } while (cache.pending.size > 0 || cache.scan.isRunning !== null)
    const isQuiet = (await openFiles(folder)).length === 0
    // What was written while the files were looked at may have begun another scan, which counts before it
    // evicts.
    quietLooks = isQuiet && cache.pending.size === 0 && cache.scan.isRunning === null ? quietLooks + 1 : 0
    if (quietLooks === 3) return
  }
  throw new Error('the cache does not come to rest')
}

async function listFiles(world: World): Promise<{ path: string; bytes: number }[]> {
  const folder = join(world.folder, 'cache')
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const found = await Promise.all(
    names.map(async (name) => ({ path: join(folder, name), stats: await stat(join(folder, name)) })),
  )
  return found
    .filter(({ stats }) => stats.isFile())
    .map(({ path, stats }) => ({ path, bytes: stats.size }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

async function checkInvariants(world: World): Promise<void> {
  const files = await listFiles(world)
  const onDisk = files.reduce((sum, { bytes }) => sum + bytes, 0)
  assert.ok(onDisk <= LIMIT, `${onDisk} bytes lie on the disk`)
  assert.ok(world.cache.totalBytes <= LIMIT, `${world.cache.totalBytes} bytes are counted`)
  assert.equal(
    [...world.cache.files.values()].reduce((sum, bytes) => sum + bytes, 0),
    world.cache.totalBytes,
  )
  for (const { path } of files) {
    assert.ok(!path.includes('incoming'), `${path} is left over`)
    assert.ok(world.cache.files.has(path.split('/').at(-1)!), `${path} is not counted`)
  }
  assert.equal(world.cache.fills.size, 0)
  assert.equal(world.cache.fillBytes, 0, 'the memory of fills is free')
  assert.deepEqual(await openFiles(world.folder), [], 'no file is left open')
}

/** Of this process, below a folder; where the system tells. */
async function openFiles(folder: string): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd').catch(() => [])
  const paths = await Promise.all(
    descriptors.map((descriptor) => readlink(`/proc/self/fd/${descriptor}`).catch(() => '')), // closed since
  )
  return paths.filter((path) => path.startsWith(folder))
}
