import { thumbHashToRGBA } from 'thumbhash'

/**
 * Draws a base64 thumbhash on the canvas, at the hash's own size (about 32 px); the style sheet stretches it.
 * One that can't be decoded leaves the canvas empty, so that the frame behind it is seen: it is decoration,
 * and an exception here would take the whole page along.
 */
export function drawThumbhash(canvas: HTMLCanvasElement, thumbhash: string): void {
  const pixels = decodeThumbhash(thumbhash)
  if (pixels === null) return
  const { w, h, rgba } = pixels
  canvas.width = w
  canvas.height = h
  const image = new ImageData(w, h)
  image.data.set(rgba)
  canvas.getContext('2d')?.putImageData(image, 0, 0)
}

/** Null for what is no base64, or is too short for what it says of itself. */
export function decodeThumbhash(thumbhash: string): ReturnType<typeof thumbHashToRGBA> | null {
  try {
    const pixels = thumbHashToRGBA(Uint8Array.from(atob(thumbhash), (char) => char.charCodeAt(0)))
    return pixels.w > 0 && pixels.h > 0 ? pixels : null
  } catch {
    // The library reads beyond the end of what was cut; which exception comes of it says nothing.
    return null
  }
}
