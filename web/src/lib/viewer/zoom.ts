/** Zoom and pan of one picture. Pure; CSS pixels from the middle of the stage, so that 0,0 is "centred". */

export type Size = { width: number; height: number }
export type View = { scale: number; x: number; y: number }

export const FITTED: View = { scale: 1, x: 0, y: 0 }

/**
 * The picture's box at scale 1: inside the stage, and at most 1.5 times its own size, so that small scans
 * stay sharp.
 */
export function fitBox(ratio: number, stage: Size, natural: Size | null): Size {
  const width = Math.min(
    stage.width,
    stage.height * ratio,
    natural ? natural.width * 1.5 : Number.POSITIVE_INFINITY,
  )
  return { width, height: width / ratio }
}

/** How far in it goes: to two screen pixels per picture pixel, and at least four times. */
export function largestScale(box: Size, natural: Size | null, devicePixelRatio: number): number {
  if (!natural || box.width === 0) return 4
  return Math.max(4, (2 * natural.width) / (box.width * devicePixelRatio))
}

/** Zooms by `factor` around a point that stays where it is. */
export function zoomAt(
  view: View,
  factor: number,
  point: { x: number; y: number },
  box: Size,
  stage: Size,
  largest: number,
): View {
  const scale = Math.min(largest, Math.max(1, view.scale * factor))
  const grown = scale / view.scale
  const moved = { scale, x: point.x - (point.x - view.x) * grown, y: point.y - (point.y - view.y) * grown }
  return keepInside(moved, box, stage)
}

/** No pan past the picture's edges; centred in a direction in which it is smaller than the stage. */
export function keepInside(view: View, box: Size, stage: Size): View {
  const roomX = Math.max(0, (box.width * view.scale - stage.width) / 2)
  const roomY = Math.max(0, (box.height * view.scale - stage.height) / 2)
  return { scale: view.scale, x: clamp(view.x, roomX), y: clamp(view.y, roomY) }
}

function clamp(value: number, room: number): number {
  return Math.min(room, Math.max(-room, value))
}

/** What a finger that has moved by `dx`, `dy` in `ms` wants, while nothing is zoomed. */
export function swipeOf(dx: number, dy: number, ms: number): 'next' | 'previous' | 'close' | null {
  const isFast = ms < 300
  if (Math.abs(dx) > Math.abs(dy) * 1.5 && Math.abs(dx) > (isFast ? 40 : 100))
    return dx < 0 ? 'next' : 'previous'
  if (dy > Math.abs(dx) * 1.5 && dy > (isFast ? 60 : 140)) return 'close'
  return null
}
