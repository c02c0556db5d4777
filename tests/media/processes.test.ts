import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile } from 'node:fs/promises'
import { getCompileCacheDir } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import sharp from 'sharp'
import { cpuSecondsOf } from '../../bench/processes.ts'
import { silentLog } from '../../src/log.ts'
import { deriveImages } from '../../src/media/derive.ts'
import { MediaError } from '../../src/media/media-error.ts'
import { findPerl } from '../../src/media/metadata/exif.ts'
import { probeFile } from '../../src/media/probe.ts'
import { type MediaTools, openMediaTools } from '../../src/media/processes/tools.ts'
import { until } from '../support/eventually.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()
const anyone = { owner: '', need: { memoryBytes: 2 ** 28, cpuSeconds: 60 } }
const sizes = { thumbnailPx: 250, previewPx: 1440, colorspace: 'p3' as const }

/** Slow to decode: 36 megapixels of noise, a second or two. */
async function slowPicture(): Promise<string> {
  const path = join(bench.folder, 'slow.png')
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 50 }
  await sharp({ create: { width: 7200, height: 5000, channels: 3, background: '#777', noise } })
    .png({ compressionLevel: 1 })
    .toFile(path)
  return path
}
const slow = await slowPicture()

async function smallPicture(): Promise<string> {
  const path = join(bench.folder, 'small.jpg')
  await sharp({ create: { width: 60, height: 40, channels: 3, background: '#345' } })
    .jpeg()
    .toFile(path)
  return path
}
const small = await smallPicture()

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Processes below these, as `ps` sees them. */
function childrenOf(pids: number[]): number[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  return lines
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, parent]) => (pids.includes(parent!) ? [pid!] : []))
}

async function whenGone(pids: number[], signal: AbortSignal): Promise<void> {
  while (pids.some(isAlive)) await delay(20, undefined, { signal })
}

/** Its decoder works by now: it has taken CPU since `before`. */
async function decoding(tools: MediaTools, before: number): Promise<void> {
  await until('it decodes', async () => (await mediaCpuSeconds(tools)) >= before + 0.2)
}

test('nothing runs before it is needed', () => {
  const tools = openMediaTools({ log: silentLog })
  assert.deepEqual(tools.processIds(), [])
})

test('a decoder that is killed half way is a transient fault; the next picture works', async () => {
  await using held = await heldTools({ threads: 1 })
  const facts = await probeFile(held.tools, slow, { fileName: 'slow.png' })
  const before = await mediaCpuSeconds(held.tools)
  const running = deriveImages(held.tools, slow, facts, bench.folder, sizes)
  const outcome = assert.rejects(running, (error: Error) => error instanceof MediaError && error.transient)
  await decoding(held.tools, before)
  for (const pid of held.tools.processIds()) process.kill(pid, 'SIGKILL')
  await outcome
  const again = await probeFile(held.tools, small, { fileName: 'small.jpg' })
  assert.equal((await deriveImages(held.tools, small, again, bench.folder, sizes)).width, 60)
})

test('silence ends a task, and whoever waits behind it is served', async () => {
  await using held = await heldTools({ threads: 1 })
  const input = {
    path: slow,
    orientation: 1,
    thumbnailPath: join(bench.folder, 't.webp'),
    previewPath: join(bench.folder, 'p.jpg'),
    thumbnailQuality: 80,
    previewQuality: 80,
    ...sizes,
  }
  const hung = held.tools.quick.run('image', input, { silenceMs: 200, ...anyone })
  const next = held.tools.quick.run('image', { ...input, path: small }, { silenceMs: 60_000, ...anyone })
  await assert.rejects(
    hung,
    (error: Error) => error instanceof MediaError && error.transient && /longer than/.test(error.message),
  )
  assert.equal((await next).width, 60)
})

test('an aborted picture ends at once, running or waiting', async () => {
  await using held = await heldTools({ threads: 1 })
  const facts = await probeFile(held.tools, slow, { fileName: 'slow.png' })
  const controller = new AbortController()
  const options = { signal: controller.signal }
  const before = await mediaCpuSeconds(held.tools)
  const both = [0, 1].map(() => deriveImages(held.tools, slow, facts, bench.folder, sizes, options))
  const outcomes = both.map((one) => assert.rejects(one, { message: 'enough' }))
  await decoding(held.tools, before)
  controller.abort(new Error('enough'))
  await Promise.all(outcomes)
  const again = await probeFile(held.tools, small, { fileName: 'small.jpg' })
  assert.equal(again.width, 60)
})

/** Only for what would never end. */
const HANGS = { timeout: 120_000 }

test('idle processes end by themselves, Perl included', HANGS, async (t) => {
  await using held = await heldTools({ idleMs: 300 })
  await probeFile(held.tools, small, { fileName: 'small.jpg' })
  const pids = held.tools.processIds()
  const all = [...pids, ...childrenOf(pids)]
  assert.ok(all.length >= 2, `a media process and Perl: ${all.length}`)
  await whenGone(all, t.signal)
  assert.deepEqual(held.tools.processIds(), [])
  assert.equal((await probeFile(held.tools, small, { fileName: 'small.jpg' })).width, 60)
})

test('close ends everything, work under way and Perl included', HANGS, async (t) => {
  const held = await heldTools({ threads: 2 })
  const facts = await probeFile(held.tools, slow, { fileName: 'slow.png' })
  const before = await mediaCpuSeconds(held.tools)
  const running = deriveImages(held.tools, slow, facts, bench.folder, sizes)
  const outcome = assert.rejects(running, (error: Error) => error instanceof MediaError && error.transient)
  await decoding(held.tools, before)
  const pids = held.tools.processIds()
  const all = [...pids, ...childrenOf(pids)]
  await held.tools.close()
  assert.deepEqual(pids.filter(isAlive), [])
  await whenGone(all, t.signal)
  await outcome
  await assert.rejects(probeFile(held.tools, small, { fileName: 'small.jpg' }), /stopping/)
})

test('no more processes than were allowed', async () => {
  await using held = await heldTools({ threads: 2 })
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, held.tools.processIds().length)
  }, 5)
  await Promise.all(Array.from({ length: 12 }, () => probeFile(held.tools, small, { fileName: 'small.jpg' })))
  clearInterval(watch)
  assert.ok(most >= 1 && most <= 2, `${most} processes`)
})

test('a batch is derived in other processes, while the event loop here waits', async (t) => {
  await using held = await heldTools({ threads: 2 })
  const facts = await probeFile(held.tools, slow, { fileName: 'slow.png' })
  const { ownSeconds, mediaSeconds, busy } = await effortOf(held.tools, async () => {
    const folders = await Promise.all([0, 1].map(() => mkdtemp(join(bench.folder, 'batch-'))))
    await Promise.all(folders.map((folder) => deriveImages(held.tools, slow, facts, folder, sizes)))
    await Promise.all(
      Array.from({ length: 20 }, () => probeFile(held.tools, small, { fileName: 'small.jpg' })),
    )
  })
  const spent = `${ownSeconds.toFixed(2)} s of CPU here, ${mediaSeconds.toFixed(2)} s in media processes`
  t.diagnostic(`${spent}; the loop was busy for ${(busy * 100).toFixed(1)} % of the time`)
  assert.ok(ownSeconds < mediaSeconds / 5, spent)
  assert.ok(busy < 0.5, `the loop was held up for ${busy} of the time`)
})

/**
 * CPU of this process, all its threads, and of the media processes; `busy` is the part of the time, 0 to 1,
 * in which the loop did not wait for events.
 */
async function effortOf(tools: MediaTools, work: () => Promise<void>) {
  const mediaBefore = await mediaCpuSeconds(tools)
  const ownBefore = process.cpuUsage()
  const loopBefore = performance.eventLoopUtilization()
  await work()
  const busy = performance.eventLoopUtilization(loopBefore).utilization
  const { user, system } = process.cpuUsage(ownBefore)
  const mediaSeconds = (await mediaCpuSeconds(tools)) - mediaBefore
  return { ownSeconds: (user + system) / 1e6, mediaSeconds, busy }
}

/** Since they began; none ends meanwhile. */
async function mediaCpuSeconds(tools: MediaTools): Promise<number> {
  const pids = tools.processIds()
  assert.ok(!pids.includes(process.pid))
  const each = await Promise.all(pids.map((pid) => cpuSecondsOf(pid)))
  return each.reduce((sum, seconds) => sum + seconds, 0)
}

test('without Perl the error says what to install', async () => {
  assert.throws(() => findPerl(['/nowhere/perl']), {
    code: 'unavailable',
    message: /apt-get install perl-base/,
  })
  await using held = await heldTools({ perlPlaces: ['/nowhere/perl'] })
  await assert.rejects(probeFile(held.tools, small, { fileName: 'small.jpg' }), {
    name: 'AppError',
    code: 'unavailable',
    message: /needs Perl 5, and none is at \/nowhere\/perl/,
  })
})

test('media processes see none of our environment', async () => {
  await using held = await heldTools({})
  await probeFile(held.tools, small, { fileName: 'small.jpg' })
  const [pid] = held.tools.processIds()
  const environment = (await readFile(`/proc/${pid}/environ`, 'utf8'))
    .split('\0')
    .map((line) => line.split('=')[0])
  // The second is a folder of ours, where this process has one.
  const given = ['MALLOC_ARENA_MAX', ...(getCompileCacheDir() === undefined ? [] : ['NODE_COMPILE_CACHE'])]
  assert.deepEqual(
    environment.filter((name) => name !== '' && !name!.startsWith('NODE_CHANNEL')).sort(),
    given,
  )
})

async function heldTools(options: Partial<Parameters<typeof openMediaTools>[0]>) {
  const tools = openMediaTools({ log: silentLog, ...options })
  return { tools, [Symbol.asyncDispose]: () => tools.close() }
}
