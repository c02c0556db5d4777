import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { thumbHashToApproximateAspectRatio, thumbHashToRGBA } from 'thumbhash'
import { MediaError } from '../../src/media/media-error.ts'
import { listTestMedia, testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

/** Broken on purpose by those who collected them; every other file has to give pictures. */
const BROKEN = new Map([
  [
    'IllegalArgumentException.HeifReader.processBoxes.heif',
    /HEIC file is damaged \(Invalid input: Unexpected end/,
  ],
  [
    'NegativeArraySizeException.HeifReader.processBoxes.heif',
    /HEIC file is damaged \(Invalid input: Invalid box size/,
  ],
  [
    'NegativeArraySizeException.ItemInfoBox.init.heif',
    /HEIC file is damaged \(Invalid input: Unexpected end/,
  ],
  [
    'NullPointerException.HeifPictureHandler.processBox.heif',
    /HEIC file is damaged \(Decoder plugin generated/,
  ],
  ['2b5bc31d84703bfb9f371925f0e3e57d.gif', /picture is damaged \(.*no frames in GIF/],
  ['5f09a896c191db3fa7ea6bdd5ebe9485.gif', /picture is damaged \(.*no frames in GIF/],
  ['e34116d68f49c7852b362ec72a636df5.gif', /picture is damaged \(.*no frames in GIF/],
  ['d5a0175c07418852152ef33a886a5029.gif', /not a picture or video of a known format/],
])

const bench = await mediaTestBench()

test('every real file gives facts and pictures, or says why not', async (t) => {
  const folder = testMedia(t, '.')
  if (folder === null) return
  const files = await listTestMedia(folder)
  assert.ok(files.length > 150, `only ${files.length} files`)
  const failed = new Map<string, string>()
  const queue = files.values()
  const work = async () => {
    for (const file of queue) {
      try {
        await checkFile(join(folder, file))
      } catch (error) {
        if (!(error instanceof MediaError)) throw new Error(`${file}: ${String(error)}`, { cause: error })
        assert.ok(!error.transient, `${file}: ${error.reason}`)
        failed.set(file.slice(file.lastIndexOf('/') + 1), error.reason)
      }
    }
  }
  await Promise.all([work(), work()])
  assert.deepEqual([...failed.keys()].sort(), [...BROKEN.keys()].sort())
  for (const [name, reason] of failed) assert.match(reason, BROKEN.get(name)!)
})

async function checkFile(path: string): Promise<void> {
  const { facts, ...images } = await bench.derive(path)
  const { width, height } = images
  for (const edge of [facts.width, facts.height, facts.exifImageWidth, facts.exifImageHeight]) {
    assert.ok(edge === null || (Number.isInteger(edge) && edge > 0), `${path}: edge ${edge}`)
  }
  assert.deepEqual({ width: facts.width, height: facts.height }, { width, height }, path)
  assert.equal(facts.type === 'VIDEO', facts.video !== null, path)

  const preview = await sharp(images.preview.path).metadata()
  assert.equal(preview.format, 'jpeg')
  assert.equal(preview.isProgressive, false)
  assert.equal(Math.min(preview.width, preview.height), Math.min(1440, width, height), path)
  assert.deepEqual([preview.width, preview.height], [images.preview.width, images.preview.height])
  const thumbnail = await sharp(images.thumbnail.path).metadata()
  assert.equal(thumbnail.format, 'webp')
  assert.equal(Math.min(thumbnail.width, thumbnail.height), Math.min(250, width, height), path)
  const aspects = [preview.width / preview.height, thumbnail.width / thumbnail.height]
  for (const aspect of aspects) {
    const shortEdge = Math.min(thumbnail.width, thumbnail.height)
    assert.ok(
      Math.abs(Math.log((aspect * height) / width)) < 1.5 / shortEdge + 0.01,
      `${path}: aspect ${aspect}`,
    )
  }

  assert.ok(images.thumbhash.length >= 5 && images.thumbhash.length <= 25, path)
  const painted = thumbHashToRGBA(images.thumbhash)
  assert.equal(painted.rgba.length, painted.w * painted.h * 4)
  const isWide = thumbHashToApproximateAspectRatio(images.thumbhash) >= 1
  if (width > height * 1.2 || height > width * 1.2) assert.equal(isWide, width > height, path)

  const folder = dirname(images.preview.path)
  assert.deepEqual((await readdir(folder)).sort(), ['preview.jpg', 'thumbnail.webp'])
  await rm(folder, { recursive: true })
}
