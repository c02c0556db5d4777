/** Runs in a media process. A film that browsers play: H.264 and AAC in an MP4 whose index stands first. */
import { Decoder, Encoder, FilterAPI, Muxer, pipeline } from 'node-av/api'
import { FF_ENCODER_AAC, FF_ENCODER_LIBX264 } from 'node-av/constants'
import type { Stream } from 'node-av/lib'
import type { EncodeSettings, InspectedVideo, Tasks } from './tasks.ts'
import { fitSize, uprightFilters } from './video-filters.ts'
import { type OpenedVideo, openVideo } from './video-input.ts'
import { isCopyable } from './video-playable.ts'

/** Phones' slow motion records 240 frames a second; players drop what is beyond this. */
const MAX_FPS = 60
const KEYFRAME_SECONDS = 4

/** Containers whose H.264 packets carry the times that an MP4 needs. */
const COPYABLE_FORMATS = /mov|matroska|flv/

/** Throws where the film cannot be decoded or `outPath` cannot be written. `progress`: 0 to 1, some times a second. */
export async function encodeVideo(
  input: Tasks['encode']['in'],
  progress: (fraction: number) => void,
): Promise<{ width: number; height: number }> {
  const opened = await openVideo(input.path, input.demuxer)
  const { demuxer, film, sound, seen } = opened
  try {
    await using output = await Muxer.open(input.outPath, {
      input: demuxer,
      format: 'mp4',
      options: { movflags: '+faststart' },
    })
    const copiesFilm = isFilmCopied(opened)
    const size = copiesFilm
      ? { width: seen.displayWidth, height: seen.displayHeight }
      : fitSize(seen, { shortEdgePx: input.settings.maxShortEdgePx }, 2)
    const startSeconds = copiesFilm ? 0 : Math.max(0, demuxer.startTime)
    const video = copiesFilm
      ? ('passthrough' as const)
      : await filmStages(film, seen, startSeconds, size, input.settings)
    const audio =
      sound === null ? null : await soundStages(sound, startSeconds, copiesFilm && seen.audioCodec === 'aac')
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
  const decoder = await Decoder.create(film, {
    exitOnError: false,
    context: { threadCount: settings.threads },
  })
  const filter = FilterAPI.create(filters.join(','))
  const encoder = await Encoder.create(FF_ENCODER_LIBX264, {
    decoder,
    filter,
    context: {
      gopSize: Math.max(12, Math.round(Math.min(fps, MAX_FPS) * KEYFRAME_SECONDS)),
      threadCount: settings.threads,
    },
    options: { preset: settings.preset, crf: settings.crf, profile: 'high' },
  })
  return [decoder, filter, encoder]
}

async function soundStages(
  sound: Stream,
  startSeconds: number,
  isCopied: boolean,
): Promise<'passthrough' | [Decoder, FilterAPI, Encoder]> {
  if (isCopied) return 'passthrough'
  const decoder = await Decoder.create(sound, { exitOnError: false })
  const filters = [
    `asetpts=PTS-${startSeconds}/TB`,
    // Gaps become silence, the one at the beginning too: the encoder counts samples and knows no gaps.
    'aresample=async=1:first_pts=0',
    'aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo',
  ]
  const filter = FilterAPI.create(filters.join(','))
  const encoder = await Encoder.create(FF_ENCODER_AAC, { decoder, filter, context: { bitRate: '128k' } })
  return [decoder, filter, encoder]
}
