import { thumbHashToRGBA } from 'thumbhash'

/** Draws a base64 thumbhash on the canvas, at the hash's own size (about 32 px); the style sheet stretches it. */
export function drawThumbhash(canvas: HTMLCanvasElement, thumbhash: string): void {
  const bytes = Uint8Array.from(atob(thumbhash), (char) => char.charCodeAt(0))
  const { w, h, rgba } = thumbHashToRGBA(bytes)
  canvas.width = w
  canvas.height = h
  const image = new ImageData(w, h)
  image.data.set(rgba)
  canvas.getContext('2d')?.putImageData(image, 0, 0)
}
