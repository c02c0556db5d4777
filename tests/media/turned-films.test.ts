import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { Demuxer } from 'node-av/api'
import { AV_PKT_DATA_DISPLAYMATRIX } from 'node-av/constants'
import { transcodeVideo } from '../../src/media/transcode.ts'
import { makeVideo } from '../support/files/make-video.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'
import { assertCorners, CORNERS_FILTER, type Corner } from '../support/files/picture-corners.ts'
import { turnFilm } from '../support/files/turn-film.ts'
import { needsFfprobe, printFilm } from '../support/services/ffprobe.ts'

const bench = await mediaTestBench()
const ffprobe = await needsFfprobe()
const made = (name: string) => join(bench.folder, name)

const HLG = 'setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc'
/** Films that have to be encoded again, each for another reason, and one whose pictures are copied. */
const FILMS = {
  hevc: {
    codec: 'libx265',
    filters: 'format=yuv420p',
    encoderOptions: { preset: 'ultrafast', 'x265-params': 'log-level=none' },
  },
  hlg: {
    codec: 'libx265',
    filters: `format=yuv420p10le,${HLG}`,
    encoderOptions: { preset: 'ultrafast', 'x265-params': 'log-level=none' },
  },
  mpeg4: { codec: 'mpeg4', filters: 'format=yuv420p', encoderOptions: { 'b:v': 4_000_000 } },
  deep: { codec: 'libx264', filters: 'format=yuv420p10le', encoderOptions: {} },
  copied: { codec: 'libx264', filters: 'format=yuv420p', encoderOptions: {}, soundCodec: 'pcm_s16le' },
}

/** Which corner of the pictures as stored is seen at the top left, top right, bottom left, bottom right. */
const SEEN: [degrees: number, isMirrored: boolean, corners: Corner[]][] = [
  [0, false, ['red', 'green', 'blue', 'yellow']],
  [90, false, ['blue', 'red', 'yellow', 'green']],
  [180, false, ['yellow', 'blue', 'green', 'red']],
  [270, false, ['green', 'yellow', 'red', 'blue']],
  [0, true, ['blue', 'yellow', 'red', 'green']],
  [180, true, ['green', 'red', 'yellow', 'blue']],
]

before(async () => {
  for (const [name, film] of Object.entries(FILMS)) {
    await makeVideo(made('film.mov'), {
      seconds: 1,
      width: 320,
      height: 180,
      ...film,
      filters: `${CORNERS_FILTER},${film.filters}`,
    })
    await rename(made('film.mov'), made(`${name}.mov`))
  }
})

/** What FFmpeg reads of the picture track itself. */
async function trackOf(
  path: string,
): Promise<{ width: number; height: number; matrix: Buffer | null; sideData: number }> {
  await using demuxer = await Demuxer.open(path)
  const { codecpar } = demuxer.video()!
  return {
    width: codecpar.width,
    height: codecpar.height,
    matrix: codecpar.getCodedSideData(AV_PKT_DATA_DISPLAYMATRIX),
    sideData: codecpar.nbCodedSideData,
  }
}

/** Width and height as another version of FFmpeg shows the film. */
async function shownByFfprobe(path: string): Promise<unknown[]> {
  const { streams } = (await printFilm(path))!
  const { width, height, side_data_list } = streams.find((one) => one.codec_type === 'video')!
  const turn = side_data_list?.find(({ rotation }) => rotation !== undefined)?.rotation ?? 0
  return turn % 180 === 0 ? [width, height] : [height, width]
}

for (const name of Object.keys(FILMS)) {
  test(`a film of ${name} stands upright, whichever way it was held`, async () => {
    for (const [degrees, isMirrored, corners] of SEEN) {
      const what = `${name}, ${degrees} degrees${isMirrored ? ', mirrored' : ''}`
      const path = made(`${name}-${degrees}-${isMirrored}.mov`)
      await turnFilm(made(`${name}.mov`), path, degrees, { isMirrored })
      const facts = await bench.probe(path)
      const isTurned = degrees % 180 === 90
      const shown = isTurned ? [180, 320] : [320, 180]
      assert.deepEqual([facts.width, facts.height], shown, what)
      const outPath = made('upright.mp4')
      const result = await transcodeVideo(bench.tools, path, facts, outPath, { preset: 'ultrafast', crf: 10 })
      assert.deepEqual([result.width, result.height], shown, what)

      const track = await trackOf(outPath)
      if (ffprobe.skip === false) assert.deepEqual(await shownByFfprobe(outPath), shown, `${what}: ffprobe`)
      if (name === 'copied') {
        // The pictures are as they were, so that it is the matrix that turns them.
        assert.deepEqual([track.width, track.height], [320, 180], what)
      } else {
        assert.deepEqual([track.width, track.height], shown, what)
        assert.equal(track.matrix, null, `${what}: upright already, and the matrix turns once more`)
      }
      await assertCorners((await bench.derive(path)).preview.path, corners, `${what}: poster`)
      await assertCorners((await bench.derive(outPath)).preview.path, corners, `${what}: encoding`)
    }
  })
}

test('what the original says of its colours is not said of the encoding, whose colours are others', async () => {
  const path = made('hlg.mov')
  const outPath = made('sdr.mp4')
  await transcodeVideo(bench.tools, path, await bench.probe(path), outPath)
  assert.equal((await trackOf(outPath)).sideData, 0)
})
