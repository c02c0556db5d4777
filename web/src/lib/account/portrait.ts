/** The picture beside somebody's name. */
import { deletePortrait, getMe, thumbnailUrl, uploadPortrait } from '../api.ts'
import { session } from '../session.svelte.ts'
import { say } from '../toasts.svelte.ts'

/** Square, as it is shown; twice the largest size on the page, for sharp screens. */
const SIDE_PX = 320

/** A file of this computer. Throws `ApiError`, or `Error` where the browser can't show it. */
export async function useFileAsPortrait(file: Blob): Promise<void> {
  await uploadPortrait(await cropSquare(file))
  session.user = await getMe()
  say('This is your picture now')
}

/** A photograph of the library, from its preview. */
export async function usePhotoAsPortrait(assetId: string): Promise<void> {
  const response = await fetch(thumbnailUrl(assetId, 'preview', null))
  if (!response.ok) throw new Error('This photo has no preview that could be used')
  await useFileAsPortrait(await response.blob())
}

export async function removePortrait(): Promise<void> {
  await deletePortrait()
  session.user = await getMe()
}

/** The middle of it, for faces are seldom at the edge. */
async function cropSquare(file: Blob): Promise<Blob> {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error('This browser cannot show that file. Choose a JPEG or PNG picture.')
  })
  const side = Math.min(bitmap.width, bitmap.height)
  const canvas = document.createElement('canvas')
  canvas.width = SIDE_PX
  canvas.height = SIDE_PX
  const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2]
  canvas.getContext('2d')!.drawImage(bitmap, left, top, side, side, 0, 0, SIDE_PX, SIDE_PX)
  bitmap.close()
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error('The picture could not be drawn'))),
      'image/jpeg',
      0.9,
    ),
  )
}
