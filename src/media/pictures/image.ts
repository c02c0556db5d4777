/** Runs in a media process. Pixels in, thumbnail, preview and thumbhash out. */
import sharp, {
  type CreateRaw,
  type Metadata,
  type OutputInfo,
  type ResizeOptions,
  type Sharp,
  type SharpOptions,
} from 'sharp'
import { MediaError } from '../media-error.ts'
import { readHead } from '../metadata/sniff.ts'
import { plainWords } from '../plain-words.ts'
import { type Colorspace, type ImageOutputs, LONGEST_EDGE_PX, type MadeImages, type Tasks } from '../tasks.ts'
import { displayP3, gamutOf, saysDisplayP3 } from './gamut.ts'
import { thumbhashOf } from './thumbhash.ts'
import { tiffHead } from './tiff.ts'

// One task per process, one thread per task, nothing kept: memory stays flat over a library's import.
sharp.concurrency(1)
sharp.cache(false)

/**
 * 0.5 gigapixel: twice the largest phone sensor and most stitched panoramas; 1.5 GB if a decoder needs all of
 * it.
 */
const MAX_PIXELS = 512 * 1024 * 1024
const TIMEOUT_SECONDS = 60
const PAPER = '#ffffff'
/** This is Immich's rule, too: with small files, coarser colours are wanted. */
const LEAST_QUALITY_OF_FULL_CHROMA = 80
/** To the owner of a file whose decoder gave up before its end. */
const DAMAGED = 'The picture is damaged. What can be decoded of it is shown.'

/**
 * `raw`: the source is bare pixels. `dropAlpha`: its fourth channel means nothing. `profile`: what its
 * numbers stand for, where the file says so in a way that sharp does not read.
 */
type SourceOptions = { raw?: CreateRaw; dropAlpha?: boolean; profile?: Buffer | undefined }

/** Pixels reduced to the preview's size: the only thing that all results are made from. */
type Reduced = { data: Buffer; info: OutputInfo }

/** A picture that sharp reads, by path. Decodes once. Throws `MediaError` for one that cannot be read. */
export async function makeImagesFromFile(input: Tasks['image']['in']): Promise<MadeImages> {
  const isP3 = saysDisplayP3((await readHead(input.path)).head)
  return makeImages(input.path, input.orientation, input, { profile: isP3 ? await displayP3() : undefined })
}

/** The same from an encoded file in memory (`Buffer`) or, with `raw`, from bare pixels. */
export async function makeImages(
  source: string | Buffer,
  orientation: number,
  outputs: ImageOutputs,
  options: SourceOptions = {},
): Promise<MadeImages> {
  const stored = await readHeader(source, options)
  const way = await wayOfColours(stored, options, outputs.colorspace)
  const { isDamaged, ...reduced } = await reduce(source, options, way, sizeFor(stored, outputs.previewPx))
  const converted = way.convertFrom === null ? reduced : await toDisplayP3(reduced, way.convertFrom)
  const upright = orientation > 1 ? await turn(converted, orientation) : converted
  const shown = way.profile === null ? pixels(upright) : withProfile(upright, way.profile)
  const [thumbnail, preview, thumbhash] = await Promise.all([
    writeThumbnail(shown, upright.info, outputs),
    writePreview(shown, outputs),
    thumbhashOf(shown.clone()),
  ])
  const isTurned = orientation >= 5
  return {
    width: isTurned ? stored.height : stored.width,
    height: isTurned ? stored.width : stored.height,
    thumbnail: { width: thumbnail.width, height: thumbnail.height },
    preview: { width: preview.width, height: preview.height },
    thumbhash,
    damage: isDamaged ? DAMAGED : null,
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

/**
 * How the colours get to the results. `profile`: what the results carry; null: sRGB, which needs none.
 * `whileReducing`: whether the numbers are kept or converted then. `convertFrom`: what those that were kept
 * stand for, where the reduced pixels are still to be converted: an Adobe RGB photo of 12 megapixels takes a
 * third of what it takes to convert it first.
 */
type WayOfColours = {
  profile: Buffer | null
  whileReducing: 'keepsNumbers' | 'p3' | 'srgb'
  convertFrom: Buffer | null
}

async function wayOfColours(
  { icc, depth }: Metadata,
  { profile = icc }: SourceOptions,
  wanted: Colorspace,
): Promise<WayOfColours> {
  const gamut = gamutOf(profile)
  if (wanted === 'srgb' || gamut === 'srgb' || profile === undefined) {
    return { profile: null, whileReducing: 'srgb', convertFrom: null }
  }
  if (gamut === 'p3') return { profile, whileReducing: 'keepsNumbers', convertFrom: null }
  // More than 8 bits are converted before they become 8.
  return depth === 'uchar'
    ? { profile: await displayP3(), whileReducing: 'keepsNumbers', convertFrom: profile }
    : { profile: await displayP3(), whileReducing: 'p3', convertFrom: null }
}

async function reduce(
  source: string | Buffer,
  options: SourceOptions,
  way: WayOfColours,
  size: ResizeOptions,
): Promise<Reduced & { isDamaged: boolean }> {
  try {
    return { ...(await reducePixels(source, options, way, 'error', size)), isDamaged: false }
  } catch {
    // How much of it is there is the decoder's to say: a photo of a white wall looks like a missing part.
    const reduced = await explained(() => reducePixels(source, options, way, 'none', size))
    return { ...reduced, isDamaged: true }
  }
}

/** 8 bits; JPEG and WebP are shrunk while decoding. Colour profiles are converted, CMYK too. */
function reducePixels(
  source: string | Buffer,
  { raw, dropAlpha }: SourceOptions,
  { whileReducing }: WayOfColours,
  failOn: SharpOptions['failOn'],
  size: ResizeOptions,
): Promise<Reduced> {
  // libvips gives up on a JPEG after some warnings unless it is `unlimited`: then a scratch costs the whole
  // photo.
  const reduced = sharp(source, { raw, failOn, limitInputPixels: MAX_PIXELS, unlimited: failOn === 'none' })
    .timeout({ seconds: TIMEOUT_SECONDS })
    .resize(size)
  const coloured = {
    srgb: () => reduced.toColourspace('srgb'),
    keepsNumbers: () => reduced.toColourspace('srgb').keepIccProfile(),
    p3: () => reduced.pipelineColourspace('rgb16').toColourspace('srgb').withIccProfile('p3'),
  }[whileReducing]()
  const opaque = dropAlpha === true ? coloured.removeAlpha() : coloured
  return opaque.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
}

/** Sizes are the shorter edge's, until the longer one becomes too long. */
function sizeFor({ width, height }: { width: number; height: number }, shortEdgePx: number): ResizeOptions {
  const [short, long] = [Math.min(width, height), Math.max(width, height)]
  const isTooLong = Math.min(1, shortEdgePx / short) * long > LONGEST_EDGE_PX
  const edge = isTooLong ? LONGEST_EDGE_PX : shortEdgePx
  return { width: edge, height: edge, fit: isTooLong ? 'inside' : 'outside', withoutEnlargement: true }
}

function pixels({ data, info }: Reduced): Sharp {
  const { width, height, channels } = info
  return sharp(data, { raw: { width, height, channels } })
}

/** The same pixels, with what their numbers stand for. */
function withProfile({ data, info }: Reduced, profile: Buffer): Sharp {
  const { width, height } = info
  const head = tiffHead({ width, height, channels: info.channels === 4 ? 4 : 3, profile })
  return sharp(Buffer.concat([head, data]))
}

/** It goes through 16 bits, so that no steps appear in smooth areas. */
function toDisplayP3(reduced: Reduced, from: Buffer): Promise<Reduced> {
  return withProfile(reduced, from)
    .pipelineColourspace('rgb16')
    .toColourspace('srgb')
    .withIccProfile('p3')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
}

/** Turns the small picture upright; sharp mirrors before it rotates. */
function turn(reduced: Reduced, orientation: number): Promise<Reduced> {
  const mirrored = [2, 4, 5, 7].includes(orientation) ? pixels(reduced).flop() : pixels(reduced)
  const degrees = { 3: 180, 4: 180, 5: 270, 6: 90, 7: 90, 8: 270 }[orientation] ?? 0
  return mirrored.rotate(degrees).raw().toBuffer({ resolveWithObject: true })
}

/** `keepIccProfile`: the numbers stay as they are, and so does the profile, where there is one. */
function writeThumbnail(shown: Sharp, info: OutputInfo, outputs: ImageOutputs): Promise<OutputInfo> {
  return shown
    .clone()
    .keepIccProfile()
    .resize(sizeFor(info, outputs.thumbnailPx))
    .webp({ quality: outputs.thumbnailQuality })
    .toFile(outputs.thumbnailPath)
}

function writePreview(shown: Sharp, outputs: ImageOutputs): Promise<OutputInfo> {
  const { previewQuality: quality } = outputs
  return shown
    .clone()
    .keepIccProfile()
    .flatten({ background: PAPER })
    .jpeg({ quality, chromaSubsampling: quality >= LEAST_QUALITY_OF_FULL_CHROMA ? '4:4:4' : '4:2:0' })
    .toFile(outputs.previewPath)
}

async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const complaint = complaintOf(error)
    if (complaint === 'no-picture') {
      throw new MediaError('The file is not a picture that can be decoded, or its beginning is damaged.', {
        cause: error,
      })
    }
    if (complaint === 'too-slow') {
      throw new MediaError(`Decoding took longer than ${TIMEOUT_SECONDS} s.`, {
        cause: error,
        fault: 'exhausted',
      })
    }
    const message = plainWords(error instanceof Error ? error.message : String(error))
    throw new MediaError(`The picture is damaged (${message}).`, { cause: error })
  }
}

/**
 * What sharp has to say of a picture. Its errors have neither code nor class, so their texts decide, which a
 * test provokes. Other loaders of libvips may have said something before the time was over, each in a line of
 * its own.
 */
export function complaintOf(error: unknown): 'no-picture' | 'too-slow' | 'other' {
  const message = error instanceof Error ? error.message : ''
  if (/^Input (file|buffer) contains unsupported image format/m.test(message)) return 'no-picture'
  return /^timeout: \d+% complete/m.test(message) ? 'too-slow' : 'other'
}
