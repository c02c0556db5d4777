/** Every field of every real film that another reader has as well, compared with what `ffprobe` prints. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { MediaFacts } from '../../src/media/facts.ts'
import { listTestMedia, testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'
import { needsFfprobe, type PrintedFilm, type PrintedStream, printFilm } from '../support/services/ffprobe.ts'

const FILM = /\.(mp4|mov|m4v|avi|mkv|webm|3gp|mts|m2ts|mpg|mpeg|wmv|flv)$/i
const bench = await mediaTestBench()

test('every film is what ffprobe prints of it', await needsFfprobe(), async (t) => {
  const folder = testMedia(t, '.')
  if (folder === null) return
  const differences: string[] = []
  let films = 0
  for (const file of (await listTestMedia(folder)).filter((name) => FILM.test(name))) {
    const printed = await printFilm(join(folder, file))
    const picture = printed?.streams.find(isPicture)
    if (!printed || picture === undefined) continue
    const facts = await bench.probe(join(folder, file))
    films += 1
    for (const [name, actual, expected] of pairs(facts, printed, picture))
      if (JSON.stringify(actual) !== JSON.stringify(expected))
        differences.push(`${file}: ${name} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`)
  }
  assert.deepEqual(differences, [])
  assert.ok(films >= 10, `only ${films} films were compared`)
})

/** Not the cover of a song. */
const isPicture = (stream: PrintedStream) =>
  stream.codec_type === 'video' && stream.disposition.attached_pic === 0

function pairs(
  facts: MediaFacts,
  { streams, format }: PrintedFilm,
  picture: PrintedStream,
): [string, unknown, unknown][] {
  const { video } = facts
  // It prints the turn counterclockwise, from -180 to 180.
  const turn =
    (360 - (picture.side_data_list?.find(({ rotation }) => rotation !== undefined)?.rotation ?? 0)) % 360
  const isTurned = turn % 180 === 90
  const [across, down] = (picture.sample_aspect_ratio ?? '1:1').split(':').map(Number) as [number, number]
  const areSquare = across === down || across === 0 || down === 0
  const [width, height] = isTurned ? [picture.height, picture.width] : [picture.width, picture.height]
  const [frames, seconds] = (picture.avg_frame_rate ?? '0/0').split('/').map(Number) as [number, number]
  const durationMs = Number(format.duration ?? Number.NaN) * 1_000
  return [
    ['codec', video?.codec, picture.codec_name],
    ['audioCodec', video?.audioCodec, soundOf(streams)],
    ['rotation', video?.rotation, turn],
    ['pixelFormat', video?.pixelFormat, picture.pix_fmt ?? null],
    ['isHdr', video?.isHdr, ['smpte2084', 'arib-std-b67'].includes(picture.color_transfer ?? '')],
    ['container', format.format_name.split(',').includes(video?.container ?? ''), true],
    ...(areSquare
      ? ([
          ['width', facts.width, width],
          ['height', facts.height, height],
        ] as [string, unknown, unknown][])
      : []),
    // A frame more or less at an end.
    ...(Number.isFinite(durationMs)
      ? ([['durationMs', Math.abs((facts.durationMs ?? -1_000) - durationMs) <= 120, true]] as [
          string,
          unknown,
          unknown,
        ][])
      : []),
    ...(frames > 0 && seconds > 0
      ? ([['fps', Math.abs((facts.fps ?? 0) - frames / seconds) <= 0.01 * (frames / seconds), true]] as [
          string,
          unknown,
          unknown,
        ][])
      : []),
  ]
}

function soundOf(streams: readonly PrintedStream[]): string | null {
  const name = streams.find((one) => one.codec_type === 'audio')?.codec_name ?? null
  // Newer versions of FFmpeg call it by its decoder.
  return name === 'amr_nb' ? 'amrnb' : name
}
