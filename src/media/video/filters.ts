import type { InspectedVideo } from '../tasks.ts'

/**
 * BT.2020 PQ or HLG to what ordinary screens show; Hable keeps the highlights of phones' HDR from clipping.
 */
const TONE_MAP =
  'zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,tonemap=hable:desat=0,' +
  'zscale=transfer=bt709:matrix=bt709:range=limited'

const TURNS: Record<number, string> = { 90: 'transpose=clock', 180: 'hflip,vflip', 270: 'transpose=cclock' }
/** The same, of pictures that are flipped upside down before they are turned. */
const MIRRORED_TURNS: Record<number, string> = {
  0: 'vflip',
  90: 'transpose=cclock_flip',
  180: 'hflip',
  270: 'transpose=clock_flip',
}

/**
 * FFmpeg filters that make frames as stored into upright ones of `width` x `height` (as displayed), square
 * pixels.
 */
export function uprightFilters(seen: InspectedVideo, size: { width: number; height: number }): string[] {
  const isTurned = seen.rotation === 90 || seen.rotation === 270
  const [width, height] = isTurned ? [size.height, size.width] : [size.width, size.height]
  const turn = (seen.isMirrored ? MIRRORED_TURNS : TURNS)[seen.rotation]
  return [
    ...(seen.isUntaggedHd ? ['setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709'] : []),
    // Only frames that are marked as interlaced; it refuses fewer than three rows or columns.
    ...(Math.min(seen.width, seen.height) < 3 ? [] : ['yadif=deint=interlaced']),
    // Scaled first: turning and tone mapping then have fewer pixels to work on.
    `scale=${width}:${height}:out_range=tv`,
    ...(seen.isHdr ? [TONE_MAP] : []),
    ...(turn === undefined ? [] : [turn]),
    'setsar=1',
  ]
}

/** The displayed size, shrunk so that neither limit is passed; never enlarged, never below 2 pixels. */
export function fitSize(
  seen: InspectedVideo,
  limit: { longEdgePx?: number; shortEdgePx?: number },
  multiple: 1 | 2,
): { width: number; height: number } {
  const { displayWidth, displayHeight } = seen
  const scale = Math.min(
    1,
    (limit.longEdgePx ?? Number.POSITIVE_INFINITY) / Math.max(displayWidth, displayHeight),
    (limit.shortEdgePx ?? Number.POSITIVE_INFINITY) / Math.min(displayWidth, displayHeight),
  )
  const shrink = (edge: number) => Math.max(multiple, Math.round((edge * scale) / multiple) * multiple)
  return { width: shrink(displayWidth), height: shrink(displayHeight) }
}
