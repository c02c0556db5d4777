import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import sharp from 'sharp'
import { silentLog } from '../../src/log.ts'
import { deriveImages } from '../../src/media/derive.ts'
import { MediaError } from '../../src/media/media-error.ts'
import { probeFile } from '../../src/media/probe.ts'
import { findSetpriv } from '../../src/media/process-limits.ts'
import { openMediaTools } from '../../src/media/processes/tools.ts'
import { writeEndlessSvg, writeHugePng } from '../support/files/hostile-pictures.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()
const sizes = { thumbnailPx: 250, previewPx: 1440, colorspace: 'p3' as const }
const svg = join(bench.folder, 'endless.svg')
await writeEndlessSvg(svg)
const small = join(bench.folder, 'small.jpg')
await sharp({ create: { width: 60, height: 40, channels: 3, background: '#345' } })
  .jpeg()
  .toFile(small)

/** Only for what would never end. */
const HANGS = { timeout: 120_000 }
const image = (path: string, name: string) => ({
  path,
  orientation: 1,
  thumbnailPath: join(bench.folder, `${name}.webp`),
  previewPath: join(bench.folder, `${name}.jpg`),
  thumbnailQuality: 80,
  previewQuality: 80,
  ...sizes,
})

function exhausted(pattern: RegExp) {
  return (error: Error) => {
    assert.ok(error instanceof MediaError, String(error))
    assert.equal(error.fault, 'exhausted', error.message)
    assert.match(error.message, pattern)
    return true
  }
}

test('B5: the kernel ends a decoder that takes too much CPU', HANGS, async () => {
  await using held = heldTools({ threads: 1 })
  const need = { memoryBytes: 2 ** 28, cpuSeconds: 1 }
  const drawing = held.tools.quick.run('image', image(svg, 'cpu'), { silenceMs: 100_000, owner: 'a', need })
  await assert.rejects(drawing, exhausted(/more than 1 s of computing/))
})

test('B5: the kernel gives a decoder no more memory than one file may take', HANGS, async () => {
  const png = join(bench.folder, 'huge.png')
  await writeHugePng(png, 12_000)
  // 864 MB at once.
  await using held = heldTools({ threads: 1, memoryBytes: 2 ** 28 })
  const facts = await probeFile(held.tools, png, { fileName: 'huge.png' })
  await assert.rejects(
    deriveImages(held.tools, png, facts, bench.folder, sizes),
    exhausted(/may take 1\.\d GiB of memory, and one file may take 0\.2 GiB/),
  )
  const again = await probeFile(held.tools, small, { fileName: 'small.jpg' })
  assert.equal((await deriveImages(held.tools, small, again, bench.folder, sizes)).width, 60)
})

test('B5: a header that lies about the size does not raise the limit', HANGS, async () => {
  const png = join(bench.folder, 'liar.png')
  await writeHugePng(png, 12_000)
  await using held = heldTools({ threads: 1, memoryBytes: 2 ** 28 })
  const facts = { ...(await probeFile(held.tools, png, { fileName: 'liar.png' })), width: 60, height: 40 }
  await assert.rejects(deriveImages(held.tools, png, facts, bench.folder, sizes), MediaError)
})

test('B5: a file that hangs in the only place does not hold up the files of others', HANGS, async () => {
  await using held = heldTools({ threads: 1, slowAfterMs: 50 })
  const stop = new AbortController()
  const need = { memoryBytes: 2 ** 28, cpuSeconds: 600 }
  const hung = held.tools.quick.run('image', image(svg, 'hung'), {
    silenceMs: 600_000,
    owner: 'hostile',
    need,
    signal: stop.signal,
  })
  let hasEnded = false
  const end = assert.rejects(hung, { message: 'enough' }).finally(() => (hasEnded = true))
  const own = held.tools.quick.run('image', image(small, 'own'), {
    silenceMs: 600_000,
    owner: 'hostile',
    need,
  })
  const facts = await probeFile(held.tools, small, { fileName: 'small.jpg', owner: 'other' })
  const made = await deriveImages(held.tools, small, facts, bench.folder, sizes, { owner: 'other' })
  assert.equal(made.width, 60)
  assert.equal(hasEnded, false, 'the file still hangs')
  stop.abort(new Error('enough'))
  await end
  assert.equal((await own).width, 60)
})

test('B5: a machine without memory ends a decoder before the server', async () => {
  await using held = heldTools({ threads: 1 })
  await probeFile(held.tools, small, { fileName: 'small.jpg' })
  const [pid] = held.tools.processIds()
  const score = async (of: number | string) => Number(await readFile(`/proc/${of}/oom_score_adj`, 'utf8'))
  assert.ok((await score(pid!)) > (await score('self')))
})

for (const how of ['kernel', 'watch'] as const) {
  for (const end of ['SIGKILL', 'exit'] as const) {
    const name = `B6: a decoder that is stuck ends with its parent (${how}, ${end}), Perl included`
    const skip = how === 'kernel' && findSetpriv() === null
    test(name, { ...HANGS, skip }, async (t) => {
      const script = new URL('./decoder-parent.ts', import.meta.url)
      const parent = fork(script, [how, svg, bench.folder], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
      const [line] = (await once(parent.stdout!, 'data')) as [Buffer]
      const pids: number[] = JSON.parse(line.toString('utf8'))
      assert.equal(pids.length, 2, 'a media process and Perl')
      // So that it is in native code by then.
      while ((await cpuTicks(pids)) < 100) await delay(50, undefined, { signal: t.signal })
      if (end === 'SIGKILL') parent.kill('SIGKILL')
      else parent.send('end')
      await once(parent, 'exit')
      while (pids.some(isAlive)) await delay(20, undefined, { signal: t.signal })
    })
  }
}

/** Ticks of CPU of the busiest of them: user and system, fields 14 and 15 of proc(5). */
async function cpuTicks(pids: number[]): Promise<number> {
  const each = pids.map(async (pid) => {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ')
    return Number(fields[11]) + Number(fields[12])
  })
  return Math.max(...(await Promise.all(each)))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function heldTools(options: Partial<Parameters<typeof openMediaTools>[0]>) {
  const tools = openMediaTools({ log: silentLog, ...options })
  return { tools, [Symbol.asyncDispose]: () => tools.close() }
}
