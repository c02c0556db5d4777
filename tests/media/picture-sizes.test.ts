import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { makeVideo } from '../support/files/make-video.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()

async function plain(name: string, width: number, height: number, orientation?: number): Promise<string> {
  const path = join(bench.folder, name)
  const picture = sharp({ create: { width, height, channels: 3, background: '#765' } })
  const turned = orientation === undefined ? picture : picture.withMetadata({ orientation })
  await turned.toFile(path)
  return path
}

const shape = ({ width, height }: { width: number; height: number }) => [width, height]

test('sizes are those of the shorter edge', async () => {
  const cases: [
    name: string,
    stored: [number, number],
    orientation: number,
    thumbnail: number[],
    preview: number[],
  ][] = [
    ['photo.jpg', [3_000, 2_000], 1, [375, 250], [2_160, 1_440]],
    ['portrait.jpg', [3_000, 2_000], 6, [250, 375], [1_440, 2_160]],
    ['square.png', [2_000, 2_000], 1, [250, 250], [1_440, 1_440]],
    ['panorama.jpg', [16_000, 3_500], 1, [1_143, 250], [6_583, 1_440]],
    ['small.png', [300, 200], 1, [300, 200], [300, 200]],
    ['between.webp', [1_200, 800], 1, [375, 250], [1_200, 800]],
  ]
  for (const [name, [width, height], orientation, thumbnail, preview] of cases) {
    const made = await bench.derive(await plain(name, width, height, orientation))
    assert.deepEqual(shape(made.thumbnail), thumbnail, `${name}: thumbnail`)
    assert.deepEqual(shape(made.preview), preview, `${name}: preview`)
    for (const { path, ...said } of [made.thumbnail, made.preview]) {
      assert.deepEqual(shape(await sharp(path).metadata()), shape(said), path)
    }
  }
})

test('of a strip that would be longer than WebP and decoders take, the longer edge decides', async () => {
  const made = await bench.derive(await plain('strip.png', 30_000, 300))
  assert.deepEqual(shape(made.preview), [16_383, 164])
  assert.deepEqual(shape(made.thumbnail), [16_383, 164])
})

test('the poster of a film, and a picture that only FFmpeg reads', async () => {
  const film = join(bench.folder, 'film.mp4')
  await makeVideo(film, {
    seconds: 1,
    width: 3_840,
    height: 2_160,
    codec: 'libx264',
    encoderOptions: { preset: 'ultrafast' },
  })
  const bitmap = join(bench.folder, 'still.bmp')
  await makeVideo(bitmap, {
    seconds: 0.04,
    width: 3_840,
    height: 2_160,
    codec: 'bmp',
    filters: 'format=bgr24',
  })
  for (const path of [film, bitmap]) {
    const made = await bench.derive(path)
    assert.deepEqual(
      [shape(made.thumbnail), shape(made.preview)],
      [
        [444, 250],
        [2_560, 1_440],
      ],
      path,
    )
  }
})
