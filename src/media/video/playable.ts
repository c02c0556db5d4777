import type { InspectedVideo } from '../tasks.ts'

const MP4_CONTAINERS = new Set(['mp4', 'mov'])
const MP4_SOUND = new Set([null, 'aac', 'mp3'])
const WEBM_FILM = new Set(['vp8', 'vp9', 'av1'])
const WEBM_SOUND = new Set([null, 'opus', 'vorbis'])
/** 8 bits, 4:2:0, limited or full range: all that hardware decoders take. */
const EIGHT_BIT_420 = new Set(['yuv420p', 'yuvj420p'])

/** Current browsers, Android and iOS play it as it is; everything else gets an encoding of its own. */
export function isWebPlayable(container: string, seen: InspectedVideo): boolean {
  const isEightBit = seen.pixelFormat !== null && EIGHT_BIT_420.has(seen.pixelFormat)
  if (container === 'webm') return WEBM_FILM.has(seen.codec) && WEBM_SOUND.has(seen.audioCodec) && isEightBit
  return MP4_CONTAINERS.has(container) && isCopyable(seen) && MP4_SOUND.has(seen.audioCodec)
}

/** The film track may go into an MP4 as it is. */
export function isCopyable(seen: InspectedVideo): boolean {
  return seen.codec === 'h264' && seen.pixelFormat !== null && EIGHT_BIT_420.has(seen.pixelFormat)
}
