/** Runs in a media process. */
import { rm } from 'node:fs/promises'
import type { Tags } from 'exiftool-vendored'
import { MediaError } from '../media-error.ts'
import { extractTag, readTags } from '../metadata/exif.ts'
import { readHead, sniffContent } from '../metadata/sniff.ts'
import type { MadeImages, Tasks } from '../tasks.ts'
import { makeImages } from './image.ts'

/**
 * Makes the images from the largest JPEG inside a RAW file: the camera's own rendering, at no cost, where
 * developing would take seconds and look different. Throws `MediaError`.
 */
export async function makeImagesFromRaw(input: Tasks['raw']['in']): Promise<MadeImages> {
  const embeddedPath = `${input.previewPath}.embedded`
  try {
    await extractTag(input.tag, input.path, embeddedPath)
    const { head } = await readHead(embeddedPath)
    if (sniffContent(head, 'embedded.jpg')?.decodedBy !== 'sharp') {
      throw new MediaError("The RAW file's embedded picture is damaged.")
    }
    const orientation = embeddedOrientation(input, await readTags(embeddedPath))
    return await makeImages(embeddedPath, orientation, input)
  } finally {
    await rm(embeddedPath, { force: true })
  }
}

/**
 * Cameras leave the embedded picture as the sensor saw it, mostly without an orientation of its own: then
 * that of the RAW file counts, unless the picture already stands upright while the sensor's lies.
 */
function embeddedOrientation(raw: Tasks['raw']['in'], own: Tags): number {
  if (typeof own.Orientation === 'number' && own.Orientation >= 1 && own.Orientation <= 8)
    return own.Orientation
  const isAlreadyUpright = raw.orientation >= 5 && (own.ImageHeight ?? 0) > (own.ImageWidth ?? 0)
  return isAlreadyUpright && raw.isSensorLandscape ? 1 : raw.orientation
}
