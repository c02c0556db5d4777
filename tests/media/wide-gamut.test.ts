import assert from 'node:assert/strict'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { thumbHashToAverageRGBA } from 'thumbhash'
import { deriveImages } from '../../src/media/derive.ts'
import { gamutOf } from '../../src/media/pictures/gamut.ts'
import {
  adobeRgbToP3,
  colouredTiff,
  profiles,
  type Rgb,
  storedColour,
} from '../support/files/colour-profiles.ts'
import { testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()

async function save(name: string, content: Buffer): Promise<string> {
  const path = join(bench.folder, name)
  await writeFile(path, content)
  return path
}

async function derive(path: string, colorspace?: 'p3' | 'srgb') {
  const folder = await mkdtemp(join(bench.folder, 'derived-'))
  const sizes = { thumbnailPx: 250, previewPx: 1440, ...(colorspace && { colorspace }) }
  return deriveImages(bench.tools, path, await bench.probe(path), folder, sizes)
}

function assertNear(seen: Rgb, expected: Rgb, tolerance: number, what: string): void {
  const isNear = seen.every((value, at) => Math.abs(value - expected[at]!) <= tolerance)
  assert.ok(isNear, `${what}: ${seen.join(', ')} is not ${expected.join(', ')}`)
}

/** A red and a green that sRGB has not. */
const DEEP: Rgb = [240, 20, 30]
const LEAF: Rgb = [30, 200, 40]

test('Display P3 stays Display P3: the same numbers with the same profile, in every format', async () => {
  const tiff = colouredTiff(DEEP, profiles.displayP3)
  const files = {
    'p3.tiff': tiff,
    'p3.jpg': await sharp(tiff)
      .keepIccProfile()
      .removeAlpha()
      .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .toBuffer(),
    'p3.png': await sharp(tiff).keepIccProfile().png().toBuffer(),
    'p3.webp': await sharp(tiff).keepIccProfile().webp({ lossless: true }).toBuffer(),
    'p3-turned.jpg': await sharp(tiff)
      .keepIccProfile()
      .removeAlpha()
      .withExif({ IFD0: { Orientation: '6' } })
      .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .toBuffer(),
  }
  for (const [name, content] of Object.entries(files)) {
    const made = await derive(await save(name, content))
    for (const kind of ['preview', 'thumbnail'] as const) {
      const { numbers, icc } = await storedColour(made[kind].path)
      assertNear(numbers, DEEP, 4, `${name}: ${kind}`)
      assert.equal(gamutOf(icc), 'p3', `${name}: ${kind}`)
    }
    // The stand-in is sRGB, which has no such red.
    const { r, g, b } = thumbHashToAverageRGBA(made.thumbhash)
    const srgb = await sharp(tiff).removeAlpha().raw().toBuffer()
    assertNear([r * 255, g * 255, b * 255], [srgb[0]!, srgb[1]!, srgb[2]!], 6, `${name}: thumbhash`)
  }
})

test('Adobe RGB becomes Display P3, of 8 and of 16 bits', async () => {
  const tiff = colouredTiff(LEAF, profiles.adobeRgb)
  const deep = await sharp(tiff).keepIccProfile().toColourspace('rgb16').png().toBuffer()
  assert.equal((await sharp(deep).metadata()).depth, 'ushort')
  for (const [name, content] of Object.entries({ 'adobe.tiff': tiff, 'adobe.png': deep })) {
    const made = await derive(await save(name, content))
    for (const kind of ['preview', 'thumbnail'] as const) {
      const { numbers, icc } = await storedColour(made[kind].path)
      assertNear(numbers, adobeRgbToP3(LEAF), 4, `${name}: ${kind}`)
      assert.equal(gamutOf(icc), 'p3', `${name}: ${kind}`)
    }
  }
})

test('what is sRGB carries no profile: with one of sRGB, without one, and with one that is damaged', async () => {
  const cases = [colouredTiff(LEAF, profiles.srgb), colouredTiff(LEAF, Buffer.from('no profile'))]
  for (const [at, content] of cases.entries()) {
    const made = await derive(await save(`srgb-${at}.tiff`, content))
    for (const kind of ['preview', 'thumbnail'] as const) {
      const { numbers, icc } = await storedColour(made[kind].path)
      assertNear(numbers, LEAF, 4, kind)
      assert.equal(icc, undefined, kind)
    }
  }
})

test('everything becomes sRGB where that is asked for', async () => {
  // Within sRGB, told in other numbers.
  const inside: Rgb = [200, 80, 80]
  const path = await save('to-srgb.tiff', colouredTiff(inside, profiles.displayP3))
  const made = await derive(path, 'srgb')
  const { numbers, icc } = await storedColour(made.preview.path)
  assert.equal(icc, undefined)
  // Display P3 200, 80, 80 is sRGB 216, 72, 75 (CSS Color 4).
  assertNear(numbers, [216, 72, 75], 3, 'preview')
})

test('a preview keeps its colours at full resolution, as its quality asks for', async () => {
  const path = await save('chroma.tiff', colouredTiff(LEAF, profiles.srgb))
  const facts = await bench.probe(path)
  for (const [quality, chroma] of [
    [80, '4:4:4'],
    [79, '4:2:0'],
  ] as const) {
    const folder = await mkdtemp(join(bench.folder, 'derived-'))
    const sizes = { thumbnailPx: 250, previewPx: 1440, previewQuality: quality }
    const { preview } = await deriveImages(bench.tools, path, facts, folder, sizes)
    assert.equal((await sharp(preview.path).metadata()).chromaSubsampling, chroma)
  }
})

test('a container that names Display P3 by a number alone (AVIF, HEIF)', async (t) => {
  for (const name of [
    'metadata-extractor/other/avif/32Bit-72dpi-sRGB-800x600.avif',
    'exif-samples/heic/mobile/HMD_Nokia_8.3_5G_hdr.heif',
  ]) {
    const path = testMedia(t, name)
    if (path === null) return
    const bytes = await readFile(path)
    const at = bytes.indexOf('colrnclx')
    assert.ok(at > 0 && bytes.readUInt16BE(at + 8) !== 12, name)
    const plain = await storedColour((await derive(path)).preview.path)
    assert.equal(plain.icc, undefined, name)
    bytes.writeUInt16BE(12, at + 8)
    const named = await storedColour((await derive(await save('named', bytes))).preview.path)
    assert.equal(gamutOf(named.icc), 'p3', name)
    assertNear(named.numbers, plain.numbers, 4, name)
  }
})

test("an iPhone's HEIC and JPEG keep their colours", async (t) => {
  for (const name of ['heic/mobile/iphone_13_pro_max.HEIC', 'heic/IMG_5195.HEIC']) {
    const path = testMedia(t, `exif-samples/${name}`)
    if (path === null) return
    const made = await derive(path)
    assert.equal(gamutOf((await storedColour(made.preview.path)).icc), 'p3', name)
    assert.equal(gamutOf((await storedColour(made.thumbnail.path)).icc), 'p3', name)
  }
})
