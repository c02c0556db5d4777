/** Runs in a media process. How FFmpeg opens a stranger's file, and what its streams are. */
import { Demuxer } from 'node-av/api'
import {
  AV_LOG_QUIET,
  AV_PKT_DATA_DISPLAYMATRIX,
  AVCOL_SPC_UNSPECIFIED,
  AVCOL_TRC_ARIB_STD_B67,
  AVCOL_TRC_SMPTE2084,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
} from 'node-av/constants'
import { avGetPixFmtName, Codec, Log, type Stream } from 'node-av/lib'
import { MediaError } from '../media-error.ts'
import { MAX_DURATION_MS } from '../metadata/exif-facts.ts'
import { plainWords } from '../plain-words.ts'
import type { InspectedVideo } from '../tasks.ts'

Log.setLevel(AV_LOG_QUIET)

const NO_PICTURES = {
  video: 'The file holds no picture track.',
  picture: 'The file holds no picture that can be read: it is damaged or cut off.',
}
const DAMAGED = {
  video: 'The file is damaged or cut off before its index',
  picture: 'The picture is damaged or cut off',
}

export type OpenedVideo = { demuxer: Demuxer; film: Stream; sound: Stream | null; seen: InspectedVideo }

/**
 * Opens a file with the one demuxer that its first bytes name: left to guess, FFmpeg would follow playlists
 * to other files and addresses. Only local files may be opened from within, too. `what`: the word for
 * it in what people read. Throws `MediaError`.
 */
export async function openVideo(
  path: string,
  format: string,
  what: 'picture' | 'video' = 'video',
): Promise<OpenedVideo> {
  const demuxer = await openDemuxer(path, format, what)
  try {
    const film = demuxer.findBestStream(AVMEDIA_TYPE_VIDEO)
    if (film === undefined || film.codecpar.width < 1 || film.codecpar.height < 1) {
      throw new MediaError(NO_PICTURES[what])
    }
    const sound = demuxer.findBestStream(AVMEDIA_TYPE_AUDIO) ?? null
    return { demuxer, film, sound, seen: describe(demuxer, film, sound) }
  } catch (error) {
    await demuxer.close()
    throw error
  }
}

async function openDemuxer(path: string, format: string, what: 'picture' | 'video'): Promise<Demuxer> {
  try {
    return await Demuxer.open(path, { format, options: { protocol_whitelist: 'file' } })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const why = plainWords(message.replace(/^Failed to \w+ \w+:\s*/, ''), [path])
    throw new MediaError(`${DAMAGED[what]} (${why}).`, { cause: error })
  }
}

function describe(demuxer: Demuxer, film: Stream, sound: Stream | null): InspectedVideo {
  const { codecpar } = film
  const { rotation, isMirrored } = turnOf(codecpar.getCodedSideData(AV_PKT_DATA_DISPLAYMATRIX))
  const { num, den } = codecpar.sampleAspectRatio
  // Pixels that are not square: stretched along the width, as players do.
  const squareWidth =
    num > 0 && den > 0 ? Math.max(1, Math.round((codecpar.width * num) / den)) : codecpar.width
  const isTurned = rotation === 90 || rotation === 270
  const rate = film.avgFrameRate
  const fps = rate.den > 0 && rate.num > 0 ? rate.num / rate.den : null
  const pixelFormat = avGetPixFmtName(codecpar.format as never)
  return {
    codec: codecName(film),
    audioCodec: sound === null ? null : codecName(sound),
    audioChannels: sound?.codecpar.channels ?? 0,
    format: demuxer.formatName,
    width: codecpar.width,
    height: codecpar.height,
    displayWidth: isTurned ? codecpar.height : squareWidth,
    displayHeight: isTurned ? squareWidth : codecpar.height,
    rotation,
    isMirrored,
    pixelFormat,
    isHdr: codecpar.colorTrc === AVCOL_TRC_SMPTE2084 || codecpar.colorTrc === AVCOL_TRC_ARIB_STD_B67,
    isUntaggedHd:
      codecpar.colorSpace === AVCOL_SPC_UNSPECIFIED &&
      Math.min(codecpar.width, codecpar.height) >= 720 &&
      (pixelFormat ?? '').startsWith('yuv'),
    durationMs:
      demuxer.duration > 0 && demuxer.duration * 1000 <= MAX_DURATION_MS
        ? Math.round(demuxer.duration * 1000)
        : null,
    fps: fps === null || fps > 1000 ? null : Math.round(fps * 1000) / 1000,
  }
}

function codecName(stream: Stream): string {
  const name = Codec.findDecoder(stream.codecpar.codecId)?.name ?? 'unknown'
  // Decoders of other makers stand before FFmpeg's own for some codecs.
  return (
    { libdav1d: 'av1', 'libaom-av1': 'av1', libvpx: 'vp8', 'libvpx-vp9': 'vp9', mp3float: 'mp3' }[name] ??
    name
  )
}

/**
 * What a display matrix does: nine 32-bit numbers, 16.16 fixed point (libavutil/display.h). One that mirrors
 * has a negative determinant; its turn is that of the upper edge.
 */
function turnOf(matrix: Buffer | null): { rotation: number; isMirrored: boolean } {
  if (matrix === null || matrix.length < 36) return { rotation: 0, isMirrored: false }
  const at = (index: number) => matrix.readInt32LE(index * 4) / 65536
  const degrees = (Math.atan2(at(1), at(0)) * 180) / Math.PI
  return {
    rotation: (((Math.round(degrees / 90) * 90) % 360) + 360) % 360,
    isMirrored: at(0) * at(4) - at(1) * at(3) < 0,
  }
}
