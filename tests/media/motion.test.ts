import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { makeVideo } from '../support/files/make-video.ts'
import { testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'
import {
  microVideo,
  motionHeic,
  motionPhoto,
  samsungHeic,
  samsungJpeg,
  withoutItsFilm,
} from '../support/files/motion-photos.ts'

const bench = await mediaTestBench()

async function save(name: string, content: Buffer): Promise<string> {
  const path = join(bench.folder, name)
  await writeFile(path, content)
  return path
}

const still = (width = 320) =>
  sharp({ create: { width, height: 240, channels: 3, background: '#753' } })
    .jpeg()
    .toBuffer()

async function film(): Promise<Buffer> {
  const path = join(bench.folder, 'film.mp4')
  await makeVideo(path, { seconds: 1, width: 160, height: 120, codec: 'libx264', soundCodec: 'aac' })
  return readFile(path)
}

test('the film inside a picture is found, wherever a camera puts it', async (t) => {
  const [jpeg, gainMap, moving] = [await still(), await still(80), await film()]
  const heicPath = testMedia(t, 'metadata-extractor/heic/cheers_1440x960.heic')
  if (heicPath === null) return
  const heic = await readFile(heicPath)
  const files = {
    'micro.jpg': microVideo(jpeg, moving),
    'motion.jpg': motionPhoto(jpeg, moving),
    'padded.jpg': motionPhoto(jpeg, moving, { padding: 24 }),
    'ultra-hdr.jpg': motionPhoto(jpeg, moving, { gainMap }),
    'samsung.jpg': samsungJpeg(jpeg, moving),
    'motion.heic': motionHeic(heic, moving),
    'samsung.heic': samsungHeic(heic, moving),
  }
  for (const [name, content] of Object.entries(files)) {
    const facts = await bench.probe(await save(name, content))
    assert.equal(facts.type, 'IMAGE', name)
    assert.ok(facts.film, `${name}: a film`)
    const { offset, length } = facts.film
    assert.ok(content.subarray(offset, offset + length).equals(moving), `${name}: ${offset}, ${length}`)
  }
})

test('where there is no film, none is found: whatever the metadata say', async () => {
  const jpeg = await still()
  const cases = {
    'plain.jpg': jpeg,
    'edited.jpg': withoutItsFilm(jpeg),
    'cut.jpg': motionPhoto(jpeg, await film()).subarray(0, -4_000),
    'odd-trailer.jpg': Buffer.concat([jpeg, Buffer.from('\xff\xff\xff\x7fSEFT', 'latin1')]),
    'short-trailer.jpg': Buffer.concat([
      jpeg,
      Buffer.from('SEFH\0\0\0\0\xff\xff\xff\xff\x0c\0\0\0SEFT', 'latin1'),
    ]),
  }
  for (const [name, content] of Object.entries(cases)) {
    assert.equal((await bench.probe(await save(name, content))).film, null, name)
  }
})

async function frames(count: number): Promise<Buffer[]> {
  const colours = ['#f00', '#0f0', '#00f', '#ff0'].slice(0, count)
  return Promise.all(
    colours.map((background) =>
      sharp({ create: { width: 40, height: 30, channels: 3, background } })
        .png()
        .toBuffer(),
    ),
  )
}

test('an animation lasts as long as its frames together', async () => {
  const moving = async (delay: number[]) => sharp(await frames(delay.length), { join: { animated: true } })
  await save('a.gif', await (await moving([100, 250, 400])).gif({ delay: [100, 250, 400] }).toBuffer())
  // Browsers show a frame of 10 ms for 100.
  await save('fast.gif', await (await moving([10, 10])).gif({ delay: [10, 10] }).toBuffer())
  await save('a.webp', await (await moving([70, 80])).webp({ delay: [70, 80] }).toBuffer())
  const size = { seconds: 2, width: 64, height: 48, fps: 10 }
  await makeVideo(join(bench.folder, 'a.apng'), { ...size, codec: 'apng', filters: 'format=rgb24' })
  await save('apng.png', await readFile(join(bench.folder, 'a.apng')))
  await makeVideo(join(bench.folder, 'hevc.mp4'), {
    ...size,
    codec: 'libx265',
    encoderOptions: { preset: 'ultrafast', 'x265-params': 'log-level=none' },
  })
  const sequence = await readFile(join(bench.folder, 'hevc.mp4'))
  // A sequence is a film by another name, and for other readers.
  for (const [name, brand] of [
    ['a.heic', 'hevc'],
    ['a.avif', 'avis'],
  ] as const) {
    sequence.write(brand, 8, 'latin1')
    await save(name, sequence)
  }

  const expected = {
    'a.gif': 750,
    'fast.gif': 200,
    'a.webp': 150,
    'apng.png': 2_000,
    'a.avif': 2_000,
    'a.heic': 2_000,
  }
  for (const [name, milliseconds] of Object.entries(expected)) {
    const facts = await bench.probe(join(bench.folder, name))
    assert.deepEqual([facts.type, facts.durationMs], ['IMAGE', milliseconds], name)
  }
})

test('what does not move lasts no time', async () => {
  const one = sharp((await frames(1))[0]!)
  const files = {
    'still.gif': await one.clone().gif().toBuffer(),
    'still.webp': await one.clone().webp().toBuffer(),
    'still.png': await one.clone().png().toBuffer(),
    'still.avif': await one.clone().avif().toBuffer(),
    'still.jpg': await one.clone().jpeg().toBuffer(),
    'cut.gif': (await one.clone().gif().toBuffer()).subarray(0, 20),
  }
  for (const [name, content] of Object.entries(files)) {
    assert.equal((await bench.probe(await save(name, content))).durationMs, null, name)
  }
})
