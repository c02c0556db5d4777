/**
 * Pictures of what was just sent, drawn by this browser from the files themselves: shown until the server has
 * made its own. By the ids of the assets; each value is an object URL of a small JPEG.
 */
import { SvelteMap } from 'svelte/reactivity'

/** About the size of the server's thumbnail. */
const LONG_SIDE_PX = 320
/** Some 15 KB each. What was sent first has waited longest and is the first to get its preview. */
const PICTURES_KEPT = 400
/** Decoded in the page a picture takes 4 bytes per pixel; a larger file waits for the server's preview. */
const LARGEST_FILE_BYTES = 40 * 1024 * 1024

export const sentPictures = new SvelteMap<string, string>()

let last: Promise<void> = Promise.resolve()

/** Draws a file that was sent; one at a time, since a decoded photo takes 50 MB. Never rejects. */
export function drawSentPicture(assetId: string, file: File): Promise<void> {
  if (!file.type.startsWith('image/') || file.size > LARGEST_FILE_BYTES) return Promise.resolve()
  last = last.then(async () => {
    const blob = await shrink(file)
    if (blob === null) return
    sentPictures.set(assetId, URL.createObjectURL(blob))
    for (const id of sentPictures.keys()) {
      if (sentPictures.size <= PICTURES_KEPT) break
      forgetSentPicture(id)
    }
  })
  return last
}

/** The server's own is there. */
export function forgetSentPicture(assetId: string): void {
  const url = sentPictures.get(assetId)
  if (url === undefined) return
  sentPictures.delete(assetId)
  URL.revokeObjectURL(url)
}

/** Null where the browser can't decode it (HEIC, RAW): then the server's preview is waited for. */
async function shrink(file: File): Promise<Blob | null> {
  try {
    const bitmap = await createImageBitmap(file)
    const scale = Math.min(1, LONG_SIDE_PX / Math.max(bitmap.width, bitmap.height))
    const canvas = document.createElement('canvas')
    canvas.width = Math.max(1, Math.round(bitmap.width * scale))
    canvas.height = Math.max(1, Math.round(bitmap.height * scale))
    canvas.getContext('2d')!.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
    bitmap.close()
    return await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.8))
  } catch {
    return null
  }
}
