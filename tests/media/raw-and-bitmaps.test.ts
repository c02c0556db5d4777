import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { AppError } from '../../src/errors.ts'
import { deriveImages } from '../../src/media/derive.ts'
import { MediaError } from '../../src/media/media-error.ts'
import { makeDng } from '../support/files/make-dng.ts'
import { makeSensorDng } from '../support/files/make-sensor-dng.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()

type Colour = readonly [number, number, number]

async function colourAt(path: string, x: number, y: number): Promise<number[]> {
  return [
    ...(await sharp(path).extract({ left: x, top: y, width: 1, height: 1 }).removeAlpha().raw().toBuffer()),
  ]
}

/** The strongest channel alone, of a picture whose brightness is the developer's choice. */
async function mainChannelsAt(path: string, x: number, y: number): Promise<string> {
  const colour = await colourAt(path, x, y)
  const most = Math.max(...colour)
  return ['r', 'g', 'b'].filter((_, index) => colour[index]! > most * 0.6).join('')
}

const QUARTERS = (width: number, height: number) => (x: number, y: number) =>
  (y < height / 2 ? (x < width / 2 ? [1, 0, 0] : [0, 1, 0]) : x < width / 2 ? [0, 0, 1] : [1, 1, 0]) as Colour

test('a RAW file without a picture of its own is developed, upright and in its colours', async () => {
  const path = join(bench.folder, 'sensor.dng')
  const [width, height] = [600, 400]
  await writeFile(path, makeSensorDng({ width, height, orientation: 6, colourAt: QUARTERS(width, height) }))
  const { facts, preview, ...made } = await bench.derive(path)
  assert.equal(facts.embeddedPicture, null)
  assert.deepEqual([facts.exifImageWidth, facts.exifImageHeight], [width, height])
  assert.deepEqual([made.width, made.height], [height, width])
  // Turned clockwise: what was at the bottom left is at the top left.
  const right = preview.width - 40
  const bottom = preview.height - 40
  assert.equal(await mainChannelsAt(preview.path, 40, 40), 'b')
  assert.equal(await mainChannelsAt(preview.path, right, 40), 'r')
  assert.equal(await mainChannelsAt(preview.path, 40, bottom), 'rg')
  assert.equal(await mainChannelsAt(preview.path, right, bottom), 'g')
})

test('a large RAW file is developed at half its size, and keeps its own', async () => {
  const path = join(bench.folder, 'large.dng')
  const [width, height] = [3_200, 3_000]
  await writeFile(path, makeSensorDng({ width, height, colourAt: QUARTERS(width, height) }))
  const { preview, ...made } = await bench.derive(path)
  assert.deepEqual([made.width, made.height], [width, height])
  assert.ok(Math.max(preview.width, preview.height) >= 1_440)
  assert.equal(await mainChannelsAt(preview.path, 40, 40), 'r')
})

test('a RAW file whose picture is a stamp, or damaged, is developed where that can be done', async () => {
  const stamp = join(bench.folder, 'stamp.dng')
  const jpeg = await sharp({ create: { width: 60, height: 40, channels: 3, background: '#808080' } })
    .jpeg()
    .toBuffer()
  // Here its own data are 16 bytes: the stamp is all there is.
  await writeFile(stamp, makeDng(jpeg, { width: 6_000, height: 4_000, orientation: 1 }))
  const { preview } = await bench.derive(stamp)
  const seen = await colourAt(preview.path, 10, 10)
  assert.ok(
    seen.every((value) => Math.abs(value - 128) < 8),
    String(seen),
  )
})

test('a RAW file that ends too soon, or holds nothing, is said to be damaged', async () => {
  const whole = makeSensorDng({ width: 600, height: 400, colourAt: QUARTERS(600, 400) })
  for (const bytes of [whole.subarray(0, 500), Buffer.concat([whole.subarray(0, 8), Buffer.alloc(4_000)])]) {
    const path = join(bench.folder, 'cut.dng')
    await writeFile(path, bytes)
    await assert.rejects(bench.derive(path), { name: 'MediaError', message: /RAW file/ })
  }
})

test('a RAW file whose picture is damaged is not called so when its development was interrupted', async () => {
  const path = join(bench.folder, 'interrupted.dng')
  const jpeg = await sharp({ create: { width: 600, height: 400, channels: 3, background: '#808080' } })
    .jpeg()
    .toBuffer()
  await writeFile(path, makeDng(jpeg, { width: 600, height: 400, orientation: 1 }))
  const facts = await bench.probe(path)
  assert.notEqual(facts.embeddedPicture, null)
  const damaged = new MediaError("The RAW file's embedded picture is damaged.")
  const deriveWhen = (developed: Error) => {
    const run = (task: string) => Promise.reject(task === 'raw' ? damaged : developed)
    const tools = { ...bench.tools, quick: { ...bench.tools.quick, run } }
    return deriveImages(tools, path, facts, bench.folder, { thumbnailPx: 250, previewPx: 1440 })
  }
  for (const interruption of [
    new DOMException('the worker stops', 'AbortError'),
    new MediaError('The server is stopping.', { fault: 'interrupted' }),
    new MediaError('Decoding took longer than 120 s.', { fault: 'exhausted' }),
    new AppError('unavailable', 'no decoder starts'),
  ])
    await assert.rejects(deriveWhen(interruption), (error) => error === interruption, interruption.message)
  const refused = new MediaError('Its own data is damaged.')
  await assert.rejects(deriveWhen(refused), (error) => error === damaged, 'what its owner can see in it')
})

/** A bitmap of 2 x 2 repeated: red, green above, blue, white below. */
function bitmap(options: {
  bits: 16 | 32
  masks: readonly number[]
  headerBytes: number
  isTopDown?: boolean
}): Buffer {
  const { bits, masks, headerBytes, isTopDown = false } = options
  const [width, height] = [64, 48]
  const rowBytes = Math.ceil((width * bits) / 32) * 4
  const masksBehind = headerBytes === 40 ? masks.length * 4 : 0
  const pixelsAt = 14 + headerBytes + masksBehind
  const file = Buffer.alloc(pixelsAt + rowBytes * height)
  file.write('BM', 0, 'latin1')
  file.writeUInt32LE(file.length, 2)
  file.writeUInt32LE(pixelsAt, 10)
  file.writeUInt32LE(headerBytes, 14)
  file.writeInt32LE(width, 18)
  file.writeInt32LE(isTopDown ? -height : height, 22)
  file.writeUInt16LE(1, 26)
  file.writeUInt16LE(bits, 28)
  file.writeUInt32LE(3, 30)
  masks.forEach((mask, index) => void file.writeUInt32LE(mask >>> 0, 54 + index * 4))
  const [red = 0, green = 0, blue = 0, alpha = 0] = masks
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isLeft = x < width / 2
      const colour = y < height / 2 ? (isLeft ? red : green) : isLeft ? blue : red | green | blue
      const at = pixelsAt + (isTopDown ? y : height - 1 - y) * rowBytes + (x * bits) / 8
      const pixel = (colour | alpha) >>> 0
      if (bits === 32) file.writeUInt32LE(pixel, at)
      else file.writeUInt16LE(pixel, at)
    }
  }
  return file
}

test('bitmaps whose channels are told by masks are shown', async () => {
  const kinds = {
    'as iOS and GIMP write it': { bits: 32, headerBytes: 124, masks: [0xff0000, 0xff00, 0xff, 0xff000000] },
    'red last': { bits: 32, headerBytes: 108, masks: [0xff, 0xff00, 0xff0000, 0xff000000] },
    'alpha first': { bits: 32, headerBytes: 56, masks: [0xff000000, 0xff0000, 0xff00, 0xff] },
    'masks behind the header': { bits: 32, headerBytes: 40, masks: [0xff0000, 0xff00, 0xff] },
    'ten bits': { bits: 32, headerBytes: 124, masks: [0x3ff00000, 0xffc00, 0x3ff, 0] },
    '5, 6 and 5 bits': { bits: 16, headerBytes: 40, masks: [0xf800, 0x7e0, 0x1f] },
    '4 bits each, from the top': {
      bits: 16,
      headerBytes: 124,
      masks: [0xf00, 0xf0, 0xf, 0xf000],
      isTopDown: true,
    },
  } as const
  for (const [kind, options] of Object.entries(kinds)) {
    const path = join(bench.folder, 'masks.bmp')
    await writeFile(path, bitmap(options))
    const { preview, width, height, facts } = await bench.derive(path)
    assert.deepEqual([facts.mimeType, width, height], ['image/bmp', 64, 48], kind)
    const seen = await Promise.all(
      [
        [8, 8],
        [56, 8],
        [8, 40],
        [56, 40],
      ].map(([x, y]) => colourAt(preview.path, x!, y!)),
    )
    const expected = [
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
      [255, 255, 255],
    ]
    seen.forEach((colour, index) => {
      const far = colour.some((value, at) => Math.abs(value - expected[index]![at]!) > 12)
      assert.ok(!far, `${kind}: ${colour} is not ${expected[index]}`)
    })
  }
  const cut = join(bench.folder, 'cut.bmp')
  await writeFile(cut, bitmap(kinds['red last']).subarray(0, 4_000))
  await assert.rejects(bench.derive(cut), { name: 'MediaError', message: /bitmap is damaged/ })
})
