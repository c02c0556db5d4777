/** Runs in a media process. A film that browsers play: H.264 and AAC in an MP4 whose index stands first. */
import { stat } from 'node:fs/promises'
import { Decoder, Encoder, FilterAPI, Muxer, pipeline } from 'node-av/api'
import { FF_ENCODER_AAC, FF_ENCODER_LIBX264 } from 'node-av/constants'
import type { Stream } from 'node-av/lib'
import { MediaError } from '../media-error.ts'
import type { EncodeSettings, InspectedVideo, Tasks } from '../tasks.ts'
import { fitSize, uprightFilters } from './filters.ts'
import { type OpenedVideo, openVideo } from './input.ts'
import { isCopyable } from './playable.ts'

/** Phones' slow motion records 240 frames a second; players drop what is beyond this. */
const MAX_FPS = 60
const KEYFRAME_SECONDS = 4

/** Containers whose H.264 packets carry the times that an MP4 needs. */
const COPYABLE_FORMATS = /mov|matroska|flv/

/** A decoder that gets no memory skips frames as if they were damaged, so the file may be innocent. */
const NOTHING_DECODED = 'Nothing of the video could be decoded: it is damaged, or the memory was not enough.'

/**
 * Throws where the film cannot be decoded or `outPath` cannot be written. `progress`: 0 to 1, some times a
 * second.
 */
export async function encodeVideo(
  input: Tasks['encode']['in'],
  progress: (fraction: number) => void,
): Promise<{ width: number; height: number }> {
  const size = await writeFilm(input, progress)
  if (!(await hasPictures(input.outPath))) throw new MediaError(NOTHING_DECODED, { fault: 'exhausted' })
  return size
}

/**
 * Decoders skip what they can't decode, so a film of which nothing could be decoded is written without an
 * error.
 */
async function hasPictures(path: string): Promise<boolean> {
  if ((await stat(path)).size === 0) return false
  const { demuxer, film } = await openVideo(path, 'mov,mp4,m4a,3gp,3g2,mj2')
  try {
    return film.nbFrames > 0n
  } finally {
    await demuxer.close()
  }
}

async function writeFilm(
  input: Tasks['encode']['in'],
  progress: (fraction: number) => void,
): Promise<{ width: number; height: number }> {
  const opened = await openVideo(input.path, input.demuxer)
  const { demuxer, film, sound, seen } = opened
  // Codecs that are only forgotten keep their threads and frames until a collection: 57 threads and 1 GB
  // after 17 films.
  using codecs = new DisposableStack()
  try {
    await using output = await Muxer.open(input.outPath, {
      format: 'mp4',
      options: { movflags: '+faststart' },
    })
    forgetOriginals(output)
    const copiesFilm = isFilmCopied(opened)
    const size = copiesFilm
      ? { width: seen.displayWidth, height: seen.displayHeight }
      : fitSize(seen, { shortEdgePx: input.settings.maxShortEdgePx }, 2)
    const startSeconds = copiesFilm ? 0 : Math.max(0, demuxer.startTime)
    const video = copiesFilm
      ? ('passthrough' as const)
      : await filmStages(codecs, film, seen, startSeconds, size, input.settings)
    const audio =
      sound === null
        ? null
        : await soundStages(codecs, sound, startSeconds, copiesFilm && seen.audioCodec === 'aac')
    const totalSeconds = (seen.durationMs ?? 0) / 1000
    const options = {
      onProgress: ({ time }: { time: number }) =>
        progress(totalSeconds > 0 ? Math.min(1, time / totalSeconds) : 0),
      progressInterval: 500,
    }
    const control =
      audio === null
        ? pipeline(demuxer, { video }, output, options)
        : pipeline(demuxer, { video, audio }, output, options)
    await control.completion
    return size
  } finally {
    await demuxer.close()
  }
}

/**
 * node-av gives a track that was encoded anew what the original's track says of itself. Of frames that were
 * turned, scaled and mapped to other tones it is wrong: its matrix would turn them once more, and its colours
 * are others. So an encoded track is all that its encoder says; a copied one keeps what belongs to it.
 */
function forgetOriginals(output: Muxer): void {
  const add = output.addStream.bind(output)
  output.addStream = ((stream: Stream, options?: { encoder?: Encoder }) =>
    options?.encoder === undefined ? add(stream) : add(options.encoder)) as Muxer['addStream']
}

function isFilmCopied({ demuxer, film, seen }: OpenedVideo): boolean {
  const startsSoon = demuxer.startTime < 1
  return (
    startsSoon &&
    isCopyable(seen) &&
    COPYABLE_FORMATS.test(seen.format) &&
    demuxer.video()?.index === film.index
  )
}

async function filmStages(
  codecs: DisposableStack,
  film: Stream,
  seen: InspectedVideo,
  startSeconds: number,
  size: { width: number; height: number },
  settings: EncodeSettings,
): Promise<[Decoder, FilterAPI, Encoder]> {
  const fps = seen.fps ?? 30
  const filters = [
    // Camcorders' streams start anywhere; film and sound lose the same offset.
    `setpts=PTS-${startSeconds}/TB`,
    ...(fps > MAX_FPS + 1 ? [`fps=${MAX_FPS}`] : []),
    ...uprightFilters(seen, size),
    'format=yuv420p',
  ]
  const decoder = codecs.use(
    await Decoder.create(film, { exitOnError: false, context: { threadCount: settings.threads } }),
  )
  const filter = codecs.use(FilterAPI.create(filters.join(',')))
  const encoder = codecs.use(
    await Encoder.create(FF_ENCODER_LIBX264, {
      decoder,
      filter,
      context: {
        gopSize: Math.max(12, Math.round(Math.min(fps, MAX_FPS) * KEYFRAME_SECONDS)),
        threadCount: settings.threads,
      },
      options: { preset: settings.preset, crf: settings.crf, profile: 'high' },
    }),
  )
  return [decoder, filter, encoder]
}

async function soundStages(
  codecs: DisposableStack,
  sound: Stream,
  startSeconds: number,
  isCopied: boolean,
): Promise<'passthrough' | [Decoder, FilterAPI, Encoder]> {
  if (isCopied) return 'passthrough'
  const decoder = codecs.use(await Decoder.create(sound, { exitOnError: false }))
  const filters = [
    `asetpts=PTS-${startSeconds}/TB`,
    // Gaps become silence, the one at the beginning too: the encoder counts samples and knows no gaps.
    'aresample=async=1:first_pts=0',
    'aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo',
  ]
  const filter = codecs.use(FilterAPI.create(filters.join(',')))
  const encoder = codecs.use(
    await Encoder.create(FF_ENCODER_AAC, { decoder, filter, context: { bitRate: '128k' } }),
  )
  return [decoder, filter, encoder]
}
