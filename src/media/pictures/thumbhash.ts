import type { Sharp } from 'sharp'
import { rgbaToThumbHash } from 'thumbhash'

/** The largest edge that the algorithm takes. */
const EDGE_PX = 100

/** The 20 to 30 bytes from which clients paint a blurred stand-in (https://evanw.github.io/thumbhash/). */
export async function thumbhashOf(picture: Sharp): Promise<Uint8Array> {
  const { data, info } = await picture
    .resize(EDGE_PX, EDGE_PX, { fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  return rgbaToThumbHash(info.width, info.height, data)
}
