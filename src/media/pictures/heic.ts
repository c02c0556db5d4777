/**
 * Runs in a media process. HEIC and HEIF by libheif (sharp's build has no HEVC for its patents): 0.5 to 1.2 s
 * for 12 megapixels, tiles, crop and rotation included. FFmpeg decodes the tiles twice as fast, but hands
 * them out one by one.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { MediaError } from '../media-error.ts'
import type { MadeImages, Tasks } from '../tasks.ts'
import { displayP3, saysDisplayP3 } from './gamut.ts'
import { makeImages } from './image.ts'
import { tiffHead, tiffHeadBytes } from './tiff.ts'

type HeifImage = {
  get_width(): number
  get_height(): number
  is_primary(): boolean
  has_alpha_channel(): boolean
  display(
    into: { data: Uint8Array; width: number; height: number },
    done: (result: object | null) => void,
  ): void
  free(): void
}
type HeifDecoder = { decode(file: Uint8Array): HeifImage[] }

const MAX_PIXELS = 256 * 1024 * 1024
const MAX_FILE_BYTES = 1024 * 1024 * 1024

/** Throws `MediaError` for a file that libheif refuses. */
export async function makeImagesFromHeic(input: Tasks['heic']['in']): Promise<MadeImages> {
  const file = await readFile(input.path)
  if (file.length > MAX_FILE_BYTES) throw new MediaError('The HEIC file is larger than 1 GiB.')
  const { tiff, hasAlpha } = await decode(file)
  // libheif has applied the rotation of the container; the EXIF orientation only repeats it.
  return makeImages(tiff, 1, input, { dropAlpha: !hasAlpha })
}

/** The primary picture as an uncompressed TIFF in memory, so that sharp sees the colour profile. */
async function decode(file: Buffer): Promise<{ tiff: Buffer; hasAlpha: boolean }> {
  const { images, complaint } = quietly(() => heifDecoder().decode(file))
  const picture = images.find((image) => image.is_primary()) ?? images[0]
  if (picture === undefined) throw damaged(complaint)
  try {
    const width = picture.get_width()
    const height = picture.get_height()
    if (width * height > MAX_PIXELS) {
      throw new MediaError(
        `The picture has ${Math.round((width * height) / 1e6)} megapixels; at most 256 are decoded.`,
      )
    }
    const profile = colourProfile(file) ?? (saysDisplayP3(file) ? await displayP3() : null)
    const headBytes = tiffHeadBytes(profile)
    const tiff = Buffer.allocUnsafe(headBytes + width * height * 4)
    tiffHead({ width, height, profile }).copy(tiff)
    await display(picture, { data: tiff.subarray(headBytes), width, height })
    return { tiff, hasAlpha: picture.has_alpha_channel() }
  } finally {
    for (const image of images) image.free()
  }
}

function display(
  picture: HeifImage,
  into: { data: Uint8Array; width: number; height: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    // libheif-js tells the reason on the console only.
    const restore = muteConsole()
    picture.display(into, (result) => {
      const complaint = restore()
      if (result === null) reject(damaged(complaint))
      else resolve()
    })
  })
}

function damaged(complaint: string): MediaError {
  const why =
    /(?:Invalid input|Decoder plugin generated an error|Unsupported[a-z ]*|Error while loading plugin): [^\n'"{\\]+/i
  const found = why.exec(complaint)?.[0]?.trim()
  return new MediaError(
    found === undefined ? 'The HEIC file is damaged.' : `The HEIC file is damaged (${found}).`,
  )
}

function quietly(decode: () => HeifImage[]): { images: HeifImage[]; complaint: string } {
  const restore = muteConsole()
  try {
    return { images: decode(), complaint: restore() }
  } catch (error) {
    throw damaged(`${restore()} ${String(error)}`)
  }
}

function muteConsole(): () => string {
  const { log } = console
  let said = ''
  console.log = (...args: unknown[]) => {
    said += args.map((arg) => (typeof arg === 'string' ? arg : JSON.stringify(arg))).join(' ')
  }
  return () => {
    console.log = log
    return said
  }
}

/** The ICC profile of the first `colr` property: iPhones write Display P3 there. */
function colourProfile(file: Buffer): Buffer | null {
  const at = file.indexOf('colrprof', 0, 'latin1')
  if (at < 4) return null
  const profile = file.subarray(at + 8, at - 4 + file.readUInt32BE(at - 4))
  return profile.length > 128 && profile.toString('latin1', 36, 40) === 'acsp' ? profile : null
}

let decoder: HeifDecoder | null = null

/** One for all files: it frees the last file's memory when it is given the next. */
function heifDecoder(): HeifDecoder {
  // CommonJS without types; the bundle carries its WebAssembly, nothing is fetched.
  const load = createRequire(import.meta.url)
  decoder ??= new (load('libheif-js/wasm-bundle') as { HeifDecoder: new () => HeifDecoder }).HeifDecoder()
  return decoder
}
