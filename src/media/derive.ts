import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { MediaFacts } from './facts.ts'
import { MediaError } from './media-error.ts'
import { decodeNeed, developNeed } from './processes/decode-need.ts'
import type { RunOptions } from './processes/process-pool.ts'
import type { MediaTools } from './processes/tools.ts'
import type { ImageOutputs, ImageSizes, MadeImages } from './tasks.ts'

export type DerivedImages = {
  thumbnail: { path: string; contentType: 'image/webp'; width: number; height: number }
  preview: { path: string; contentType: 'image/jpeg'; width: number; height: number }
  thumbhash: Uint8Array
  /** The original as displayed; truer than `MediaFacts`, for the pixels were decoded. */
  width: number
  height: number
  /** What a person should know of a file whose pictures show a part of it only; null: it is whole. */
  damage: string | null
}

/** What an installation may choose; the rest has defaults. */
export type PictureSettings = Pick<ImageSizes, 'thumbnailPx' | 'previewPx'> & Partial<ImageSizes>

/** A picture takes 0.2 to 3 s on a core; on a machine that is busy many times that. */
const SILENCE_MS = 120_000

const DEFAULT_QUALITY = 80

/** An embedded picture of less than a quarter of the preview's edge is a stamp of 160 x 120. */
const STAMP_FRACTION = 4

/**
 * Makes `thumbnail.webp`, `preview.jpg` and the thumbhash of a picture, or of a representative frame of a
 * video, in `outFolder`, upright, decoding the original once. Colours beyond sRGB are kept in Display P3,
 * unless `colorspace` says otherwise. Transparent pixels become white in the preview. A damaged file is shown
 * as far as its decoder reads it. Throws `MediaError` for a file that cannot be shown, and then leaves
 * nothing in the folder.
 * `owner`: whose file it is, since owners take turns.
 */
export async function deriveImages(
  tools: MediaTools,
  path: string,
  facts: MediaFacts,
  outFolder: string,
  sizes: PictureSettings,
  options: { owner?: string; signal?: AbortSignal | undefined } = {},
): Promise<DerivedImages> {
  const outputs: ImageOutputs = {
    thumbnailPath: join(outFolder, 'thumbnail.webp'),
    previewPath: join(outFolder, 'preview.jpg'),
    thumbnailPx: sizes.thumbnailPx,
    previewPx: sizes.previewPx,
    thumbnailQuality: sizes.thumbnailQuality ?? DEFAULT_QUALITY,
    previewQuality: sizes.previewQuality ?? DEFAULT_QUALITY,
    colorspace: sizes.colorspace ?? 'p3',
  }
  try {
    const made = await makeImages(tools, path, facts, outputs, {
      silenceMs: SILENCE_MS,
      owner: options.owner ?? '',
      need: decodeNeed(facts),
      ...(options.signal && { signal: options.signal }),
    })
    return {
      thumbnail: { path: outputs.thumbnailPath, contentType: 'image/webp', ...made.thumbnail },
      preview: { path: outputs.previewPath, contentType: 'image/jpeg', ...made.preview },
      thumbhash: made.thumbhash,
      width: made.width,
      height: made.height,
      damage: made.damage,
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
  run: RunOptions,
): Promise<MadeImages> {
  switch (facts.decodedBy) {
    case 'sharp':
      return tools.quick.run('image', { path, orientation: sharpOrientation(facts), ...outputs }, run)
    case 'libheif':
      return tools.quick.run('heic', { path, ...outputs }, run)
    case 'embedded-jpeg':
      return makeImagesOfRaw(tools, path, facts, outputs, run)
    case 'ffmpeg': {
      const what = facts.type === 'VIDEO' ? 'video' : 'picture'
      if (facts.demuxer === null) throw new MediaError(`The file is not a ${what} of a known format.`)
      return tools.quick.run('frame', { path, demuxer: facts.demuxer, what, ...outputs }, run)
    }
  }
}

/**
 * The camera's own picture, which costs nothing; developed where there is none, it is damaged, or no more
 * than a stamp.
 */
async function makeImagesOfRaw(
  tools: MediaTools,
  path: string,
  facts: MediaFacts,
  outputs: ImageOutputs,
  run: RunOptions,
): Promise<MadeImages> {
  const { width, height, exifImageWidth, exifImageHeight, embeddedPicture } = facts
  const orientation = facts.orientation ?? 1
  const shortEdge = Math.min(width ?? 0, height ?? 0)
  const develop = () =>
    tools.quick.run(
      'develop',
      { path, orientation, isHalfEnough: shortEdge / 2 >= outputs.previewPx, ...outputs },
      { ...run, need: developNeed(facts) },
    )
  const made = await madeOfEmbedded()
  // The sensor's size where it is known: the embedded picture may be smaller.
  const isSmaller = width !== null && height !== null && width * height > made.width * made.height
  return isSmaller ? { ...made, width, height } : made

  async function madeOfEmbedded(): Promise<MadeImages> {
    if (embeddedPicture === null) return develop()
    const isSensorLandscape = (exifImageWidth ?? 0) > (exifImageHeight ?? 0)
    const input = { path, tag: embeddedPicture.tag, orientation, isSensorLandscape, ...outputs }
    let own: MadeImages
    try {
      own = await tools.quick.run('raw', input, run)
    } catch (error) {
      if (!isOfTheFile(error)) throw error
      return develop().catch((other) => Promise.reject(isOfTheFile(other) ? error : other))
    }
    const ownEdge = Math.min(own.preview.width, own.preview.height)
    if (ownEdge >= Math.min(shortEdge, outputs.previewPx) / STAMP_FRACTION) return own
    try {
      return await develop()
    } catch (error) {
      if (!isOfTheFile(error)) throw error
      return tools.quick.run('raw', input, run)
    }
  }
}

/** False: it was interrupted, or its decoder was, and another try may go well. */
function isOfTheFile(error: unknown): boolean {
  return error instanceof MediaError && error.fault === 'file'
}

/** libvips has applied the rotation of an AVIF's container; an EXIF orientation in it only repeats that. */
function sharpOrientation(facts: MediaFacts): number {
  return facts.mimeType === 'image/avif' ? 1 : (facts.orientation ?? 1)
}
