import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { MediaFacts } from './facts.ts'
import { MediaError } from './media-error.ts'
import type { RunOptions } from './process-pool.ts'
import type { ImageOutputs, ImageSizes, MadeImages } from './tasks.ts'
import type { MediaTools } from './tools.ts'

export type DerivedImages = {
  thumbnail: { path: string; contentType: 'image/webp'; width: number; height: number }
  preview: { path: string; contentType: 'image/jpeg'; width: number; height: number }
  thumbhash: Uint8Array
  /** The original as displayed; truer than `MediaFacts`, for the pixels were decoded. */
  width: number
  height: number
}

/** A picture takes 0.2 to 3 s on a core; on a machine that is busy many times that. */
const SILENCE_MS = 120_000

const DEFAULT_QUALITY = 80

/**
 * Makes `thumbnail.webp`, `preview.jpg` and the thumbhash of a picture, or of a representative frame of a video, in
 * `outFolder`, upright, in sRGB, decoding the original once. Transparent pixels become white in the preview. Throws
 * `MediaError` for a file that cannot be shown, and then leaves nothing in the folder.
 */
export async function deriveImages(
  tools: MediaTools,
  path: string,
  facts: MediaFacts,
  outFolder: string,
  sizes: Pick<ImageSizes, 'thumbnailPx' | 'previewPx'> & Partial<ImageSizes>,
  options: { signal?: AbortSignal } = {},
): Promise<DerivedImages> {
  const outputs: ImageOutputs = {
    thumbnailPath: join(outFolder, 'thumbnail.webp'),
    previewPath: join(outFolder, 'preview.jpg'),
    thumbnailPx: sizes.thumbnailPx,
    previewPx: sizes.previewPx,
    thumbnailQuality: sizes.thumbnailQuality ?? DEFAULT_QUALITY,
    previewQuality: sizes.previewQuality ?? DEFAULT_QUALITY,
  }
  try {
    const made = await makeImages(tools, path, facts, outputs, options.signal)
    return {
      thumbnail: { path: outputs.thumbnailPath, contentType: 'image/webp', ...made.thumbnail },
      preview: { path: outputs.previewPath, contentType: 'image/jpeg', ...made.preview },
      thumbhash: made.thumbhash,
      width: made.width,
      height: made.height,
    }
  } catch (error) {
    await Promise.all([rm(outputs.thumbnailPath, { force: true }), rm(outputs.previewPath, { force: true })])
    throw error
  }
}

async function makeImages(
  tools: MediaTools,
  path: string,
  facts: MediaFacts,
  outputs: ImageOutputs,
  signal: AbortSignal | undefined,
): Promise<MadeImages> {
  const run = { silenceMs: SILENCE_MS, signal }
  switch (facts.decodedBy) {
    case 'sharp':
      return tools.quick.run('image', { path, orientation: sharpOrientation(facts), ...outputs }, run)
    case 'libheif':
      return tools.quick.run('heic', { path, ...outputs }, run)
    case 'embedded-jpeg':
      return makeImagesOfRaw(tools, path, facts, outputs, run)
    case 'ffmpeg':
      if (facts.demuxer === null) throw new MediaError('The file is not a video of a known format.')
      return tools.quick.run('frame', { path, demuxer: facts.demuxer, ...outputs }, run)
  }
}

async function makeImagesOfRaw(
  tools: MediaTools,
  path: string,
  facts: MediaFacts,
  outputs: ImageOutputs,
  run: RunOptions,
): Promise<MadeImages> {
  if (facts.embeddedPicture === null) {
    throw new MediaError('The RAW file holds no embedded picture, or is damaged.')
  }
  const { width, height, exifImageWidth, exifImageHeight } = facts
  const made = await tools.quick.run(
    'raw',
    {
      path,
      tag: facts.embeddedPicture.tag,
      orientation: facts.orientation ?? 1,
      isSensorLandscape: (exifImageWidth ?? 0) > (exifImageHeight ?? 0),
      ...outputs,
    },
    run,
  )
  // The sensor's size where it is known: the embedded picture may be smaller.
  const isSmaller = width !== null && height !== null && width * height > made.width * made.height
  return isSmaller ? { ...made, width, height } : made
}

/** libvips has applied the rotation of an AVIF's container; an EXIF orientation in it only repeats that. */
function sharpOrientation(facts: MediaFacts): number {
  return facts.mimeType === 'image/avif' ? 1 : (facts.orientation ?? 1)
}
