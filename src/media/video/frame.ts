/**
 * Runs in a media process. One frame that stands for a video, or the picture in a format that only FFmpeg
 * reads.
 */
import { Decoder, FilterAPI } from 'node-av/api'
import { AVSEEK_FLAG_BACKWARD } from 'node-av/constants'
import type { Frame, Stream } from 'node-av/lib'
import { MediaError } from '../media-error.ts'
import { readBitfields } from '../pictures/bitmap.ts'
import { makeImages } from '../pictures/image.ts'
import { LONGEST_EDGE_PX, type MadeImages, type Tasks } from '../tasks.ts'
import { fitSize, uprightFilters } from './filters.ts'
import { openVideo } from './input.ts'

/** Seconds: people start recording before there is something to see. */
const LATEST_FIRST_CHOICE_SECONDS = 3
/** After a seek the wanted moment is this many frames away at most; then the frame at hand has to do. */
const MAX_FRAMES = 120

const NOTHING_DECODED = {
  video: 'No frame of the video can be decoded: it is damaged or cut off.',
  picture: 'The picture cannot be decoded: it is damaged or cut off.',
}

type Picture = { pixels: Buffer; width: number; height: number; channels: 3 | 4 }

/** FFmpeg's pixel formats with transparency: PSD, JPEG XL and JPEG 2000 come in them. */
const WITH_ALPHA = /^(?:yuva|rgba|bgra|argb|abgr|gbrap|ya\d)/

/** Throws `MediaError` where no frame at all can be decoded. */
export async function makeImagesFromFrame(input: Tasks['frame']['in']): Promise<MadeImages> {
  const bitmap = input.demuxer === 'bmp_pipe' ? await readBitfields(input.path) : null
  if (bitmap !== null) {
    const { data, width, height, hasAlpha } = bitmap
    return makeImages(data, 1, input, { raw: { width, height, channels: 4 }, dropAlpha: !hasAlpha })
  }
  let best: (Picture & { displayWidth: number; displayHeight: number }) | null = null
  let lightness = -1
  for (const fraction of [0.1, 0.4, 0.75, 0]) {
    const { picture, seen } = await frameAt(input, fraction)
    if (picture !== null) {
      const light = lightnessOf(picture)
      if (light > lightness)
        best = { ...picture, displayWidth: seen.displayWidth, displayHeight: seen.displayHeight }
      lightness = Math.max(lightness, light)
    }
    if (lightness > MIN_LIGHTNESS || (picture !== null && seen.durationMs === null)) break
  }
  if (best === null) throw new MediaError(NOTHING_DECODED[input.what])
  const { pixels, width, height, channels, displayWidth, displayHeight } = best
  const made = await makeImages(pixels, 1, input, { raw: { width, height, channels } })
  return { ...made, width: displayWidth, height: displayHeight }
}

async function frameAt(input: Tasks['frame']['in'], fraction: number) {
  const { demuxer, film, seen } = await openVideo(input.path, input.demuxer, input.what)
  try {
    const duration = (seen.durationMs ?? 0) / 1000
    const seconds =
      fraction > 0.1 ? duration * fraction : Math.min(duration * fraction, LATEST_FIRST_CHOICE_SECONDS)
    const start = Math.max(0, demuxer.startTime)
    if (seconds > 0.5) {
      // Of the whole file: with a stream's index node-av would count in that stream's unit.
      const sought = await demuxer.seek(seconds + start, -1, AVSEEK_FLAG_BACKWARD)
      // A file whose index lies cannot be sought in; in the end its beginning has to do.
      if (sought < 0) return { picture: null, seen }
    }
    const channels = WITH_ALPHA.test(seen.pixelFormat ?? '') ? 4 : 3
    const size = fitSize(seen, { shortEdgePx: input.previewPx, longEdgePx: LONGEST_EDGE_PX }, 1)
    using decoder = await Decoder.create(film, { exitOnError: false, context: { threadCount: 1 } })
    using filter = FilterAPI.create(
      [...uprightFilters(seen, size), `format=${channels === 4 ? 'rgba' : 'rgb24'}`].join(','),
    )
    const wanted = fromMoment(decoder.frames(demuxer.packets(film.index)), film, seconds + start)
    let picture: Picture | null = null
    for await (using made of filter.frames(wanted)) {
      if (made === null) continue
      picture = copyPixels(made, channels)
      break
    }
    return { picture, seen }
  } finally {
    await demuxer.close()
  }
}

/**
 * The frames from `seconds` on; the last one before it where there are none, or where they are too far off.
 */
async function* fromMoment(
  frames: AsyncGenerator<Frame | null>,
  film: Stream,
  seconds: number,
): AsyncGenerator<Frame | null> {
  const { num, den } = film.timeBase
  let held: Frame | null = null
  let passed = 0
  for await (const frame of frames) {
    if (frame === null) break
    held?.free()
    held = null
    passed++
    const at = (Number(frame.bestEffortTimestamp) * num) / den
    if (at < seconds && passed < MAX_FRAMES) held = frame
    else yield frame
  }
  if (held !== null) yield held
  yield null
}

function copyPixels(frame: Frame, channels: 3 | 4): Picture {
  const { width, height } = frame
  const pixels = frame.toBuffer()
  const bytes = width * height * channels
  if (pixels.length < bytes) throw new MediaError('A frame came out incomplete.')
  return { pixels: pixels.subarray(0, bytes), width, height, channels }
}

const MIN_LIGHTNESS = 24

/**
 * Mean of the brightest tenth of a sample of pixels, 0 to 255: a dark room with a lamp is not a black frame.
 */
function lightnessOf({ pixels, channels }: Picture): number {
  const sample: number[] = []
  for (let at = 0; at + 2 < pixels.length; at += channels * 97) {
    sample.push(((pixels[at] ?? 0) + (pixels[at + 1] ?? 0) + (pixels[at + 2] ?? 0)) / 3)
  }
  const brightest = sample.sort((a, b) => b - a).slice(0, Math.ceil(sample.length / 10))
  return brightest.reduce((sum, light) => sum + light, 0) / Math.max(1, brightest.length)
}
