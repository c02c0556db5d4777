import assert from 'node:assert/strict'
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { thumbHashToAverageRGBA } from 'thumbhash'
import { deriveImages } from '../../src/media/derive.ts'
import { MediaError } from '../../src/media/media-error.ts'
import { tiffHead } from '../../src/media/pictures/tiff.ts'
import { makeDng } from '../support/files/make-dng.ts'
import { makeVideo } from '../support/files/make-video.ts'
import { testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()

/** Mean difference of two pictures, 0 to 255, looked at from afar. */
async function difference(a: string, b: string): Promise<number> {
  const [left, right] = await Promise.all(
    [a, b].map((path) => sharp(path).resize(48, 48, { fit: 'fill' }).removeAlpha().raw().toBuffer()),
  )
  const sum = left!.reduce((total, value, at) => total + Math.abs(value - right![at]!), 0)
  return sum / left!.length
}

async function colourAt(path: string, x: number, y: number): Promise<[number, number, number]> {
  const pixel = await sharp(path)
    .extract({ left: x, top: y, width: 1, height: 1 })
    .removeAlpha()
    .raw()
    .toBuffer()
  return [pixel[0]!, pixel[1]!, pixel[2]!]
}

function assertColour(seen: number[], expected: number[], tolerance = 6): void {
  const far = seen.some((value, at) => Math.abs(value - expected[at]!) > tolerance)
  assert.ok(!far, `${seen.join(', ')} is not ${expected.join(', ')}`)
}

/** A picture whose quarters are red, green, blue and yellow, and which is wider than high. */
async function quarters(): Promise<Buffer> {
  const quarter = (background: string) => ({
    create: { width: 60, height: 40, channels: 3 as const, background },
  })
  return sharp({ create: { width: 120, height: 80, channels: 3, background: '#ff0000' } })
    .composite([
      { input: quarter('#00ff00'), left: 60, top: 0 },
      { input: quarter('#0000ff'), left: 0, top: 40 },
      { input: quarter('#ffff00'), left: 60, top: 40 },
    ])
    .png()
    .toBuffer()
}

const RED = [255, 0, 0]
const GREEN = [0, 255, 0]
const BLUE = [0, 0, 255]
const YELLOW = [255, 255, 0]

for (const shape of ['Landscape', 'Portrait']) {
  test(`the eight orientations of one ${shape} are one upright picture`, async (t) => {
    const folder = testMedia(t, 'orientation')
    if (folder === null) return
    const upright = await bench.derive(join(folder, `${shape}_1.jpg`))
    assert.equal(upright.width > upright.height, shape === 'Landscape')
    for (let orientation = 2; orientation <= 8; orientation++) {
      const turned = await bench.derive(join(folder, `${shape}_${orientation}.jpg`))
      assert.equal(turned.facts.orientation, orientation)
      assert.deepEqual([turned.width, turned.height], [upright.width, upright.height])
      // They differ by the number that is painted in the middle.
      for (const kind of ['preview', 'thumbnail'] as const) {
        const far = await difference(turned[kind].path, upright[kind].path)
        assert.ok(far < 4, `${shape}_${orientation} ${kind}: ${far}`)
      }
    }
  })
}

test('each orientation puts each corner where EXIF says', async () => {
  const stored = await quarters()
  // EXIF 2.32, tag 274: which stored corners become top left, top right, bottom left, bottom right.
  const corners: [orientation: number, ...colours: number[][]][] = [
    [1, RED, GREEN, BLUE, YELLOW],
    [2, GREEN, RED, YELLOW, BLUE],
    [3, YELLOW, BLUE, GREEN, RED],
    [4, BLUE, YELLOW, RED, GREEN],
    [5, RED, BLUE, GREEN, YELLOW],
    [6, BLUE, RED, YELLOW, GREEN],
    [7, YELLOW, GREEN, BLUE, RED],
    [8, GREEN, YELLOW, RED, BLUE],
  ]
  for (const [orientation, ...colours] of corners) {
    const path = join(bench.folder, `corner-${orientation}.jpg`)
    await sharp(stored).jpeg({ quality: 100 }).withMetadata({ orientation }).toFile(path)
    const { preview, width, height } = await bench.derive(path)
    assert.deepEqual([width, height], orientation >= 5 ? [80, 120] : [120, 80])
    const spots = [
      [10, 10],
      [width - 10, 10],
      [10, height - 10],
      [width - 10, height - 10],
    ] as const
    for (const [index, [x, y]] of spots.entries()) {
      assertColour(await colourAt(preview.path, x, y), colours[index]!, 12)
    }
  }
})

test('formats that sharp writes come out alike', async () => {
  const picture = sharp(await quarters())
  const files = {
    'a.png': picture.clone().png(),
    'a.webp': picture.clone().webp({ lossless: true }),
    'a.gif': picture.clone().gif(),
    'a.tiff': picture.clone().tiff({ compression: 'lzw' }),
    'a.avif': picture.clone().avif({ quality: 90 }),
    '16bit.png': picture.clone().toColourspace('rgb16').png(),
  }
  for (const [name, made] of Object.entries(files)) {
    const path = join(bench.folder, name)
    await made.toFile(path)
    const { preview, thumbnail, thumbhash } = await bench.derive(path)
    assertColour(await colourAt(preview.path, 10, 10), RED, 24)
    assertColour(await colourAt(thumbnail.path, 110, 70), YELLOW, 24)
    assert.equal(thumbHashToAverageRGBA(thumbhash).a, 1, name)
  }
})

test('grey and CMYK pictures become sRGB', async () => {
  const grey = join(bench.folder, 'grey.jpg')
  await sharp({ create: { width: 50, height: 50, channels: 3, background: '#808080' } })
    .toColourspace('b-w')
    .jpeg()
    .toFile(grey)
  assertColour(await colourAt((await bench.derive(grey)).preview.path, 25, 25), [128, 128, 128])

  const cmyk = join(bench.folder, 'cmyk.jpg')
  await sharp({ create: { width: 50, height: 50, channels: 3, background: '#2060a0' } })
    .toColourspace('cmyk')
    .jpeg()
    .toFile(cmyk)
  assert.equal((await sharp(cmyk).metadata()).space, 'cmyk')
  assertColour(await colourAt((await bench.derive(cmyk)).preview.path, 25, 25), [0x20, 0x60, 0xa0], 40)
})

test('the TIFF that carries HEIC pixels carries their colour profile', async () => {
  const wide = sharp({ create: { width: 4, height: 4, channels: 3, background: { r: 200, g: 50, b: 50 } } })
  const png = await wide.withIccProfile('p3').png().toBuffer()
  const profile = (await sharp(png).metadata()).icc!
  const stored = await sharp(png, { ignoreIcc: true }).ensureAlpha().raw().toBuffer()
  assert.ok(Math.abs(stored[0]! - 200) > 8, `stored as ${stored[0]}`)
  const head = tiffHead({ width: 4, height: 4, profile })
  const shown = await sharp(Buffer.concat([head, stored]))
    .toColourspace('srgb')
    .raw()
    .toBuffer()
  assertColour([...shown.subarray(0, 3)], [200, 50, 50], 2)
  const plain = Buffer.concat([tiffHead({ width: 4, height: 4, profile: null }), stored])
  assertColour([...(await sharp(plain).raw().toBuffer()).subarray(0, 3)], [...stored.subarray(0, 3)], 0)
})

test('transparency is white in the preview and stays in the thumbnail', async () => {
  const path = join(bench.folder, 'clear.png')
  const half = { create: { width: 50, height: 100, channels: 4 as const, background: '#0000ffff' } }
  await sharp({ create: { width: 100, height: 100, channels: 4, background: '#00000000' } })
    .composite([{ input: half, left: 0, top: 0 }])
    .png()
    .toFile(path)
  const { preview, thumbnail, thumbhash } = await bench.derive(path)
  assertColour(await colourAt(preview.path, 90, 50), [255, 255, 255])
  assertColour(await colourAt(preview.path, 10, 50), [0, 0, 255])
  assert.equal((await sharp(thumbnail.path).metadata()).hasAlpha, true)
  assert.ok(thumbHashToAverageRGBA(thumbhash).a < 0.8)
})

test('odd shapes: one pixel, a thread, a film strip of frames', async () => {
  for (const [width, height] of [
    [1, 1],
    [1, 5000],
    [9000, 2],
  ] as const) {
    const path = join(bench.folder, `${width}x${height}.png`)
    await sharp({ create: { width, height, channels: 3, background: '#777' } })
      .png()
      .toFile(path)
    const { preview, thumbnail, ...whole } = await bench.derive(path)
    assert.deepEqual([whole.width, whole.height], [width, height])
    assert.deepEqual([preview.width, preview.height], [width, height])
    assert.deepEqual([thumbnail.width, thumbnail.height], [width, height])
  }
  const animation = join(bench.folder, 'frames.webp')
  const frames = await Promise.all(
    ['#ff0000', '#00ff00'].map((background) =>
      sharp({ create: { width: 30, height: 20, channels: 3, background } })
        .png()
        .toBuffer(),
    ),
  )
  await sharp(frames, { join: { animated: true } })
    .webp({ lossless: true, delay: 100 })
    .toFile(animation)
  const { preview, height } = await bench.derive(animation)
  assert.equal(height, 20)
  assertColour(await colourAt(preview.path, 10, 10), RED, 12)
})

test('formats that only FFmpeg reads', async () => {
  for (const [name, codec, filters] of [
    ['still.bmp', 'bmp', 'format=bgr24'],
    ['still.jxl', 'libjxl', 'format=rgb24'],
    ['still.jp2', 'jpeg2000', 'format=rgb24'],
  ] as const) {
    const path = join(bench.folder, name)
    await makeVideo(path, { seconds: 0.04, width: 320, height: 240, codec, filters })
    const made = await bench.derive(path)
    assert.equal(made.facts.type, 'IMAGE')
    assert.deepEqual([made.width, made.height, made.preview.width], [320, 240, 320])
    // FFmpeg's test pattern: the second bar is green.
    const [red, green, blue] = await colourAt(made.preview.path, 70, 150)
    assert.ok(green > 200 && red < 60 && blue < 60, `${name}: ${red}, ${green}, ${blue}`)
  }
})

test('RAW: the embedded picture, turned like the RAW file, at the size of the sensor', async () => {
  const jpeg = await sharp(await quarters())
    .jpeg({ quality: 100 })
    .toBuffer()
  const path = join(bench.folder, 'raw.dng')
  await writeFile(path, makeDng(jpeg, { width: 6000, height: 4000, orientation: 6 }))
  const made = await bench.derive(path)
  assert.equal(made.facts.mimeType, 'image/x-adobe-dng')
  assert.equal(made.facts.make, 'Glassine')
  assert.deepEqual([made.width, made.height], [4000, 6000])
  assert.deepEqual([made.facts.width, made.facts.height], [4000, 6000])
  assertColour(await colourAt(made.preview.path, 10, 10), BLUE, 12)

  const already = join(bench.folder, 'upright.dng')
  const turned = await sharp(await quarters())
    .rotate(90)
    .jpeg({ quality: 100 })
    .toBuffer()
  await writeFile(already, makeDng(turned, { width: 6000, height: 4000, orientation: 6 }))
  assertColour(await colourAt((await bench.derive(already)).preview.path, 10, 10), BLUE, 12)

  const broken = join(bench.folder, 'broken.dng')
  await writeFile(broken, makeDng(Buffer.alloc(500), { width: 6000, height: 4000, orientation: 1 }))
  await assert.rejects(bench.derive(broken), { name: 'MediaError', message: /embedded picture/ })
})

test('a name that lies does not matter', async () => {
  const png = join(bench.folder, 'really-png.jpg')
  await writeFile(png, await quarters())
  const { facts, preview } = await bench.derive(png)
  assert.deepEqual([facts.type, facts.mimeType], ['IMAGE', 'image/png'])
  assertColour(await colourAt(preview.path, 10, 10), RED, 12)
  for (const name of [
    'x.mp4',
    'x.nef',
    'x.heic',
    'no-extension',
    'x.exe',
    `${'x'.repeat(300)}.😀`,
    '../../a\0b.jpg',
  ]) {
    assert.equal((await bench.derive(png, name)).facts.mimeType, 'image/png', name)
  }
})

test('a film called .jpg is a film', async (t) => {
  const film = testMedia(t, 'metadata-extractor/mp4/sample_mpeg4.mp4')
  if (film === null) return
  const path = join(bench.folder, 'film.jpg')
  await copyFile(film, path)
  const { facts } = await bench.derive(path)
  assert.deepEqual([facts.type, facts.mimeType, facts.durationMs], ['VIDEO', 'video/mp4', 4967])
})

test('broken files: a reason for people, nothing left behind', async () => {
  const png = await quarters()
  const cases: [name: string, content: Buffer, reason: RegExp][] = [
    ['empty.jpg', Buffer.alloc(0), /^The file is empty \(0 bytes\)\.$/],
    ['text.jpg', Buffer.from('Dear diary,\nno photos today.'), /^The file holds text/],
    ['zeros.heic', Buffer.alloc(5000), /not a picture or video of a known format/],
    [
      'random.nef',
      Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * 7919 + 13) % 251)),
      /no embedded picture/,
    ],
    ['head.jpg', Buffer.from([0xff, 0xd8, 0xff, 0xe0]), /not a picture that can be decoded|damaged/],
    ['cut.png', png.subarray(0, 60), /damaged/],
    [
      'bad.heic',
      Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x20meta', 'latin1'),
      /HEIC file is damaged/,
    ],
    ['bad.svg', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><g></svg>'), /damaged|decoded/],
    ['bad.webp', Buffer.from('RIFF\x40\0\0\0WEBPVP8 garbage', 'latin1'), /damaged|decoded/],
    ['bad.avif', Buffer.from('\0\0\0\x18ftypavif\0\0\0\0mif1miaf', 'latin1'), /damaged|decoded/],
    ['bad.bmp', Buffer.concat([Buffer.from('BM'), Buffer.alloc(60, 1)]), /./],
    ['bad.psd', Buffer.from('8BPS\0\x01garbage'), /./],
  ]
  for (const [name, content, reason] of cases) {
    const path = join(bench.folder, `broken-${name}`)
    await writeFile(path, content)
    await assert.rejects(bench.derive(path), (error: Error) => {
      assert.ok(error instanceof MediaError, `${name}: ${String(error)}`)
      assert.match(error.reason, reason, name)
      assert.ok(!error.transient, name)
      return true
    })
  }
  const folders = (await readdir(bench.folder)).filter((name) => name.startsWith('derived-'))
  const left = await Promise.all(folders.map((name) => readdir(join(bench.folder, name))))
  assert.ok(left.every((names) => names.length === 0 || names.length === 2))
})

test('a bomb of pixels is refused before it is unpacked', async () => {
  const path = join(bench.folder, 'bomb.png')
  const png = await readFile(await savedPng(64, 64))
  png.writeUInt32BE(60_000, 16)
  png.writeUInt32BE(60_000, 20)
  png.writeUInt32BE(crc32(png.subarray(12, 29)), 29)
  await writeFile(path, png)
  await assert.rejects(bench.derive(path), { name: 'MediaError', message: /3600 megapixels/ })
})

test('only the two files are written, at the sizes asked for, which are the shorter edges', async () => {
  const path = await savedPng(500, 400)
  const facts = await bench.probe(path)
  const made = await deriveImages(bench.tools, path, facts, bench.folder, { thumbnailPx: 50, previewPx: 200 })
  assert.deepEqual([made.preview.width, made.preview.height, made.thumbnail.width], [250, 200, 63])
  assert.deepEqual([made.width, made.height], [500, 400])
})

async function savedPng(width: number, height: number): Promise<string> {
  const path = join(bench.folder, `plain-${width}x${height}.png`)
  await sharp({ create: { width, height, channels: 3, background: '#777' } })
    .png()
    .toFile(path)
  return path
}
