import { Decoder, Demuxer, Encoder, FilterAPI, Muxer, pipeline } from 'node-av/api'
import { AV_LOG_ERROR, type FFEncoderCodec } from 'node-av/constants'
import { Log } from 'node-av/lib'

Log.setLevel(AV_LOG_ERROR)

const SOUND_FILTER = 'aformat=sample_rates=48000:channel_layouts=stereo'

/**
 * Makes a film of FFmpeg's test pattern. `filters`: what is done to the frames before they are encoded, pixel
 * format included. The container follows the path's extension.
 */
export async function makeVideo(
  path: string,
  options: {
    seconds: number
    width: number
    height: number
    fps?: number
    /** FFmpeg's encoder; null: sound only. */
    codec: string | null
    filters?: string
    encoderOptions?: Record<string, string | number>
    soundCodec?: string
  },
): Promise<void> {
  const { seconds, width, height, fps = 25, codec, filters = 'format=yuv420p', soundCodec } = options
  await using output = await Muxer.open(path)
  await using film = await Demuxer.open(
    `testsrc2=size=${width || 16}x${height || 16}:rate=${fps}:duration=${seconds}`,
    { format: 'lavfi' },
  )
  await using sound = await Demuxer.open(`sine=frequency=440:duration=${seconds}:sample_rate=48000`, {
    format: 'lavfi',
  })
  const video = codec === null ? null : await stages(film, codec, filters, options.encoderOptions)
  const audio = soundCodec === undefined ? null : await stages(sound, soundCodec, SOUND_FILTER, {})
  if (video !== null && audio !== null) {
    await pipeline({ video: film, audio: sound }, { video, audio }, output).completion
  } else if (video !== null) await pipeline({ video: film }, { video }, output).completion
  else if (audio !== null) await pipeline({ audio: sound }, { audio }, output).completion
}

async function stages(
  source: Demuxer,
  codec: string,
  filters: string,
  encoderOptions: Record<string, string | number> = {},
): Promise<[Decoder, FilterAPI, Encoder]> {
  const decoder = await Decoder.create(source.video() ?? source.audio()!)
  const filter = FilterAPI.create(filters)
  const encoder = await Encoder.create(codec as FFEncoderCodec, {
    decoder,
    filter,
    autoResample: true,
    options: encoderOptions,
  })
  return [decoder, filter, encoder]
}
