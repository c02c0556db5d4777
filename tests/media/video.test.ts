import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import sharp from 'sharp'
import { MediaError } from '../../src/media/media-error.ts'
import { type TranscodeOptions, transcodeVideo } from '../../src/media/transcode.ts'
import { makeVideo } from '../support/files/make-video.ts'
import { testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()
const made = (name: string) => join(bench.folder, name)

before(async () => {
  const size = { width: 640, height: 360 }
  await makeVideo(made('plain.mp4'), { seconds: 2, ...size, codec: 'libx264', soundCodec: 'aac' })
  await makeVideo(made('film.webm'), {
    seconds: 2,
    ...size,
    codec: 'libvpx-vp9',
    soundCodec: 'libopus',
    encoderOptions: { deadline: 'realtime', 'cpu-used': 8 },
  })
  await makeVideo(made('surround.mkv'), { seconds: 2, ...size, codec: 'libx264', soundCodec: 'ac3' })
  await makeVideo(made('camera.mov'), { seconds: 2, ...size, codec: 'libx264', soundCodec: 'pcm_s16le' })
  await makeVideo(made('deep.mp4'), { seconds: 1, ...size, codec: 'libx264', filters: 'format=yuv420p10le' })
  await makeVideo(made('long.avi'), {
    seconds: 40,
    width: 1280,
    height: 720,
    codec: 'mjpeg',
    filters: 'format=yuvj420p',
  })
  await makeVideo(made('hdr.mov'), {
    seconds: 1,
    width: 1280,
    height: 720,
    codec: 'libx265',
    filters: 'format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc',
    encoderOptions: { preset: 'ultrafast', 'x265-params': 'log-level=none' },
  })
  await makeVideo(made('fade.mp4'), {
    seconds: 10,
    ...size,
    codec: 'libx264',
    filters: "drawbox=color=black:t=fill:enable='lt(t,3.5)',format=yuv420p",
  })
})

async function transcode(path: string, name: string, options?: TranscodeOptions) {
  const facts = await bench.probe(path)
  const outPath = made(name)
  const result = await transcodeVideo(bench.tools, path, facts, outPath, options)
  return { result, outPath, before: facts, after: await bench.probe(outPath) }
}

async function lightness(path: string): Promise<number> {
  const { channels } = await sharp(path).stats()
  return channels.reduce((sum, { mean }) => sum + mean, 0) / channels.length
}

test('which originals browsers play', async () => {
  const playable: Record<string, boolean> = {
    'plain.mp4': true,
    'film.webm': true,
    'surround.mkv': false,
    'camera.mov': false, // H.264, but PCM sound
    'deep.mp4': false, // H.264, but 10 bits
    'hdr.mov': false,
    'long.avi': false,
  }
  for (const [name, expected] of Object.entries(playable)) {
    assert.equal((await bench.probe(made(name))).video?.isWebPlayable, expected, name)
  }
})

test('every encoding plays: H.264, AAC, 8 bits 4:2:0, index first, as long as the original', async (t) => {
  const files = ['film.webm', 'surround.mkv', 'camera.mov', 'deep.mp4', 'hdr.mov'].map(made)
  for (const name of [
    'other/avi/MVI_4823.AVI',
    'other/3gp/sample.3gp',
    'mp4/sample_mpeg4.mp4',
    'mp4/ftyp3gp5.mp4',
  ]) {
    const path = testMedia(t, `metadata-extractor/${name}`)
    if (path === null) return
    files.push(path)
  }
  for (const path of files) {
    const { result, outPath, before, after } = await transcode(path, 'out.mp4')
    assert.equal(result.contentType, 'video/mp4')
    assert.equal(after.video?.codec, 'h264', path)
    assert.equal(after.video?.pixelFormat, 'yuv420p', path)
    assert.equal(after.video?.audioCodec, before.video?.audioCodec === null ? null : 'aac', path)
    assert.equal(after.video?.isWebPlayable, true, path)
    assert.deepEqual([after.width, after.height], [result.width, result.height], path)
    assert.deepEqual([after.width, after.height], [before.width, before.height], path)
    assert.ok(Math.abs(after.durationMs! - before.durationMs!) < 100, `${path}: ${after.durationMs} ms`)
    const bytes = await readFile(outPath)
    assert.ok(bytes.indexOf('moov') < bytes.indexOf('mdat'), `${path}: index behind the film`)
  }
})

test('film and sound of a camcorder start together', async (t) => {
  const path = testMedia(t, 'metadata-extractor/other/mts/Sony ILCE-7M3 (A7M3).mts')
  if (path === null) return
  const { before, after, result } = await transcode(path, 'mts.mp4')
  assert.deepEqual([result.width, result.height], [1280, 720])
  // Its clock starts at 1.04 s: were that kept for the film only, the whole would last 1.5 s.
  assert.ok(Math.abs(after.durationMs! - before.durationMs!) < 100, `${after.durationMs} ms`)
})

test('a film that already is H.264 is copied, not encoded again', async () => {
  const { outPath } = await transcode(made('surround.mkv'), 'copied.mp4')
  const again = await transcode(made('surround.mkv'), 'again.mp4', { maxShortEdgePx: 100 })
  assert.deepEqual([again.after.width, again.after.height], [640, 360])
  const copied = await bench.derive(outPath)
  const original = await bench.derive(made('surround.mkv'))
  assert.deepEqual(await hash(copied.preview.path), await hash(original.preview.path))
})

test('large films are made smaller, with even edges; a turned one stands upright', async (t) => {
  const { after } = await transcode(made('deep.mp4'), 'small.mp4', { maxShortEdgePx: 121 })
  assert.deepEqual([after.width, after.height], [216, 122])
  const turned = testMedia(t, 'metadata-extractor/mov/with-gps.mov')
  if (turned === null) return
  const poster = await bench.derive(turned)
  assert.deepEqual([poster.width, poster.height, poster.preview.width], [320, 568, 320])
})

test('the poster is not black when the film begins so', async () => {
  const { preview } = await bench.derive(made('fade.mp4'))
  assert.ok((await lightness(preview.path)) > 60)
})

test('HDR is mapped to tones that a screen shows', async () => {
  const { facts, preview } = await bench.derive(made('hdr.mov'))
  assert.equal(facts.video?.isHdr, true)
  const light = await lightness(preview.path)
  assert.ok(light > 50 && light < 220, `lightness ${light}`)
  const { after } = await transcode(made('hdr.mov'), 'sdr.mp4')
  assert.equal(after.video?.isHdr, false)
})

test('progress rises to the end', async () => {
  const seen: number[] = []
  await transcode(made('long.avi'), 'progress.mp4', {
    preset: 'ultrafast',
    onProgress: (at) => seen.push(at),
  })
  assert.ok(seen.length >= 3, `${seen.length} reports`)
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  )
  assert.ok(seen.at(-1)! > 0.95 && seen.every((at) => at >= 0 && at <= 1))
})

test('aborting ends it at once and leaves nothing; the next one works', async () => {
  const facts = await bench.probe(made('long.avi'))
  const controller = new AbortController()
  const running = transcodeVideo(bench.tools, made('long.avi'), facts, made('aborted.mp4'), {
    signal: controller.signal,
    onProgress: () => controller.abort(new Error('enough')),
  })
  await assert.rejects(running, { message: 'enough' })
  await assert.rejects(
    transcodeVideo(bench.tools, made('long.avi'), facts, made('aborted.mp4'), { signal: controller.signal }),
    { message: 'enough' },
  )
  assert.deepEqual(await leftOf('aborted'), [])
  assert.equal((await transcode(made('deep.mp4'), 'after-abort.mp4')).after.video?.isWebPlayable, true)
})

test('an encoder that is killed half way is a transient fault, leaves nothing, and the next one works', async () => {
  const facts = await bench.probe(made('long.avi'))
  let kills = 0
  const running = transcodeVideo(bench.tools, made('long.avi'), facts, made('killed.mp4'), {
    onProgress() {
      if (kills++ === 0) for (const pid of bench.tools.slow.processIds()) process.kill(pid, 'SIGKILL')
    },
  })
  await assert.rejects(running, (error: Error) => {
    assert.ok(error instanceof MediaError)
    assert.match(error.reason, /stopped in the middle of the file \(SIGKILL\)/)
    return error.transient
  })
  assert.deepEqual(await leftOf('killed'), [])
  assert.equal((await transcode(made('deep.mp4'), 'after-kill.mp4')).after.video?.isWebPlayable, true)
})

test('films that are cut: before the index a reason, behind it as much as there is', async () => {
  const bytes = await readFile(made('plain.mp4')) // its index stands at the end
  await writeFile(made('cut.mp4'), bytes.subarray(0, bytes.length >> 1))
  const facts = await bench.probe(made('cut.mp4'))
  assert.deepEqual([facts.type, facts.video, facts.width], ['VIDEO', null, null])
  await assert.rejects(bench.derive(made('cut.mp4')), { name: 'MediaError', message: /damaged or cut off/ })
  await assert.rejects(transcodeVideo(bench.tools, made('cut.mp4'), facts, made('no.mp4')), MediaError)

  const { outPath } = await transcode(made('deep.mp4'), 'whole.mp4')
  const { size } = await stat(outPath)
  await truncate(outPath, Math.floor(size * 0.6))
  assert.equal((await bench.derive(outPath)).width, 640)
})

test('a film full of garbage gives a reason, not a crash', async () => {
  const bytes = await readFile(made('film.webm'))
  for (let at = 3000; at < bytes.length; at++) bytes[at] = (at * 7919) % 256
  await writeFile(made('garbage.webm'), bytes)
  const facts = await bench.probe(made('garbage.webm'))
  await assert.rejects(bench.derive(made('garbage.webm')), MediaError)
  await assert.rejects(
    transcodeVideo(bench.tools, made('garbage.webm'), facts, made('garbage.mp4')),
    MediaError,
  )
  assert.deepEqual(await leftOf('garbage'), [])
})

test('a film whose pictures are all unreadable is refused, also where its sound can be read', async () => {
  for (const [name, soundCodec] of [
    ['silent', undefined],
    ['spoken', 'pcm_s16le'],
  ] as const) {
    const path = made(`${name}.avi`)
    await makeVideo(path, {
      seconds: 1,
      width: 320,
      height: 240,
      codec: 'mjpeg',
      filters: 'format=yuvj420p',
      ...(soundCodec && { soundCodec }),
    })
    await overwritePictures(path)
    const facts = await bench.probe(path)
    assert.equal(facts.video?.codec, 'mjpeg')
    await assert.rejects(transcodeVideo(bench.tools, path, facts, made(`${name}.mp4`)), MediaError)
    assert.deepEqual(await leftOf(name), [])
  }
})

test('one film after another: what a process still holds of earlier ones takes nothing from the next', async () => {
  const facts = await bench.probe(made('hdr.mov'))
  const used = new Set<number>()
  for (let round = 0; round < 16; round++) {
    const { width } = await transcodeVideo(bench.tools, made('hdr.mov'), facts, made('again.mp4'), {
      preset: 'ultrafast',
    })
    assert.equal(width, 1280)
    for (const pid of bench.tools.slow.processIds()) {
      used.add(pid)
      const status = await readFile(`/proc/${pid}/status`, 'utf8')
      // What Node itself takes, and a quarter of the gibibyte that a decoder may take.
      assert.ok(Number(/VmData:\s+(\d+)/.exec(status)?.[1]) <= (640 + 256) * 1024, status)
      assert.ok(Number(/Threads:\s+(\d+)/.exec(status)?.[1]) < 20, status)
    }
  }
  assert.ok(used.size < 16, 'every film had a process of its own')
})

test('playlists are not followed', async () => {
  const playlist = `#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n${made('plain.mp4')}\n#EXT-X-ENDLIST\n`
  await writeFile(made('list.mp4'), playlist)
  await assert.rejects(bench.probe(made('list.mp4')), { name: 'MediaError', message: /text/ })
  await writeFile(made('list.ts'), `ffconcat version 1.0\nfile '${made('plain.mp4')}'\n`)
  await assert.rejects(bench.probe(made('list.ts')), { name: 'MediaError', message: /text/ })
})

test('sound alone has no poster', async () => {
  await makeVideo(made('sound.m4v'), { seconds: 1, width: 0, height: 0, codec: null, soundCodec: 'aac' })
  await assert.rejects(bench.derive(made('sound.m4v')), { name: 'MediaError', message: /no picture track/ })
})

/** Chunks `00dc` of an AVI file hold its pictures, `01wb` its sound. */
async function overwritePictures(path: string): Promise<void> {
  const bytes = await readFile(path)
  for (let at = bytes.indexOf('movi'); ; ) {
    at = bytes.indexOf('00dc', at)
    if (at < 0 || bytes.indexOf('idx1') < at) break
    const size = bytes.readUInt32LE(at + 4)
    bytes.fill(0, at + 8, at + 8 + size)
    at += 8 + size
  }
  await writeFile(path, bytes)
}

async function leftOf(name: string): Promise<string[]> {
  return (await readdir(bench.folder)).filter((file) => file.startsWith(`${name}.mp4`))
}

async function hash(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}
