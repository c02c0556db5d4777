/** Runs in a media process. Pixels in, thumbnail, preview and thumbhash out. */
import sharp, { type CreateRaw, type Metadata, type OutputInfo, type Sharp, type SharpOptions } from 'sharp'
import { MediaError } from './media-error.ts'
import type { ImageOutputs, MadeImages, Tasks } from './tasks.ts'
import { thumbhashOf } from './thumbhash.ts'

// One task per process, one thread per task, nothing kept: memory stays flat over a library's import.
sharp.concurrency(1)
sharp.cache(false)

/** 0.5 gigapixel: twice the largest phone sensor and most stitched panoramas; 1.5 GB if a decoder needs all of it. */
const MAX_PIXELS = 512 * 1024 * 1024
const TIMEOUT_SECONDS = 60
/** Of a damaged picture, at least this much of the height must be there for a preview to be worth showing. */
const MIN_INTACT_FRACTION = 0.5
const PAPER = '#ffffff'

/** `raw`: the source is bare pixels. `dropAlpha`: its fourth channel means nothing. */
type SourceOptions = { raw?: CreateRaw; dropAlpha?: boolean }

/** Pixels reduced to the preview's size: the only thing that all results are made from. */
type Reduced = { data: Buffer; info: OutputInfo }

/** A picture that sharp reads, by path. Decodes once. Throws `MediaError` for one that cannot be read. */
export async function makeImagesFromFile(input: Tasks['image']['in']): Promise<MadeImages> {
  return makeImages(input.path, input.orientation, input)
}

/** The same from an encoded file in memory (`Buffer`) or, with `raw`, from bare pixels. */
export async function makeImages(
  source: string | Buffer,
  orientation: number,
  outputs: ImageOutputs,
  options: SourceOptions = {},
): Promise<MadeImages> {
  const stored = await readHeader(source, options)
  const reduced = await reduce(source, options, outputs.previewPx)
  const upright = orientation > 1 ? await turn(reduced, orientation) : reduced
  const [thumbnail, preview, thumbhash] = await Promise.all([
    writeThumbnail(upright, outputs),
    writePreview(upright, outputs),
    thumbhashOf(pixels(upright)),
  ])
  const isTurned = orientation >= 5
  return {
    width: isTurned ? stored.height : stored.width,
    height: isTurned ? stored.width : stored.height,
    thumbnail: { width: thumbnail.width, height: thumbnail.height },
    preview: { width: preview.width, height: preview.height },
    thumbhash,
  }
}

async function readHeader(source: string | Buffer, { raw }: SourceOptions): Promise<Metadata> {
  const header = await explained(() =>
    sharp(source, { raw, failOn: 'none', limitInputPixels: false }).metadata(),
  )
  // For a film strip of frames sharp tells the height of all; `pageHeight` is that of one.
  const height = header.pageHeight ?? header.height
  if (header.width * height > MAX_PIXELS) {
    const megapixels = Math.round((header.width * height) / 1e6)
    throw new MediaError(`The picture has ${megapixels} megapixels; at most ${MAX_PIXELS >> 20} are decoded.`)
  }
  return { ...header, height }
}

async function reduce(source: string | Buffer, options: SourceOptions, edgePx: number): Promise<Reduced> {
  try {
    return await reducePixels(source, options, 'error', edgePx)
  } catch (error) {
    const reduced = await explained(() => reducePixels(source, options, 'none', edgePx))
    const intact = intactFraction(reduced)
    if (intact >= MIN_INTACT_FRACTION) return reduced
    throw new MediaError(
      `The picture is damaged: only the first ${Math.floor(intact * 100)} % of it can be read.`,
      {
        cause: error,
      },
    )
  }
}

/** sRGB, 8 bits; JPEG and WebP are shrunk while decoding. Colour profiles are converted, CMYK too. */
function reducePixels(
  source: string | Buffer,
  { raw, dropAlpha }: SourceOptions,
  failOn: SharpOptions['failOn'],
  edgePx: number,
): Promise<Reduced> {
  // libvips gives up on a JPEG after some warnings unless it is `unlimited`: then a scratch costs the whole photo.
  const reduced = sharp(source, { raw, failOn, limitInputPixels: MAX_PIXELS, unlimited: failOn === 'none' })
    .timeout({ seconds: TIMEOUT_SECONDS })
    .resize(edgePx, edgePx, { fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
  const opaque = dropAlpha === true ? reduced.removeAlpha() : reduced
  return opaque.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
}

/** A cut picture ends in rows of one colour, where the decoder had nothing: the share of rows before them. */
function intactFraction({ data, info }: Reduced): number {
  const rowBytes = info.width * info.channels
  let row = info.height
  while (row > 0 && isFlat(data.subarray((row - 1) * rowBytes, row * rowBytes), info.channels)) row--
  return row / info.height
}

function isFlat(row: Buffer, channels: number): boolean {
  for (let at = channels; at < row.length; at++) {
    if (Math.abs((row[at] ?? 0) - (row[at - channels] ?? 0)) > 1) return false
  }
  return true
}

function pixels({ data, info }: Reduced): Sharp {
  const { width, height, channels } = info
  return sharp(data, { raw: { width, height, channels } })
}

/** Turns the small picture upright; sharp mirrors before it rotates. */
function turn(reduced: Reduced, orientation: number): Promise<Reduced> {
  const mirrored = [2, 4, 5, 7].includes(orientation) ? pixels(reduced).flop() : pixels(reduced)
  const degrees = { 3: 180, 4: 180, 5: 270, 6: 90, 7: 90, 8: 270 }[orientation] ?? 0
  return mirrored.rotate(degrees).raw().toBuffer({ resolveWithObject: true })
}

function writeThumbnail(upright: Reduced, outputs: ImageOutputs): Promise<OutputInfo> {
  return pixels(upright)
    .resize(outputs.thumbnailPx, outputs.thumbnailPx, { fit: 'inside', withoutEnlargement: true })
    .webp({ quality: outputs.thumbnailQuality })
    .toFile(outputs.thumbnailPath)
}

function writePreview(upright: Reduced, outputs: ImageOutputs): Promise<OutputInfo> {
  return pixels(upright)
    .flatten({ background: PAPER })
    .jpeg({ quality: outputs.previewQuality })
    .toFile(outputs.previewPath)
}

async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const message = error instanceof Error ? (error.message.trim().split('\n')[0] ?? '') : String(error)
    if (/unsupported image format|missing or unsupported/i.test(message)) {
      throw new MediaError('The file is not a picture that can be decoded, or its beginning is damaged.', {
        cause: error,
      })
    }
    if (/timeout/i.test(message)) {
      throw new MediaError(`Decoding took longer than ${TIMEOUT_SECONDS} s.`, {
        cause: error,
        transient: true,
      })
    }
    throw new MediaError(`The picture is damaged (${message}).`, { cause: error })
  }
}
