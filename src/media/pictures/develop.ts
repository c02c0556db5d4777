/**
 * Runs in a media process. Develops a RAW file by LibRaw, in WebAssembly: for those without a picture of the
 * camera's own that is worth showing. 1.6 s of CPU and 550 MB for 24 megapixels; half as large in each
 * direction, 0.4 s and 320 MB.
 */
import { readFile } from 'node:fs/promises'
import { MediaError } from '../media-error.ts'
import type { MadeImages, Tasks } from '../tasks.ts'
import { makeImages } from './image.ts'

type Developed = { width: number; height: number; colors: number; bits: number; data: Uint8Array }
type LibRaw = {
  open(file: Uint8Array, settings: Record<string, unknown>): Promise<void> | void
  imageData(): Developed | undefined
  delete(): void
}
type Loaded = { LibRaw: new () => LibRaw }

const MAX_FILE_BYTES = 1024 * 1024 * 1024

/** Throws `MediaError` for a file that LibRaw refuses. */
export async function makeImagesByDeveloping(input: Tasks['develop']['in']): Promise<MadeImages> {
  const file = await readFile(input.path)
  if (file.length > MAX_FILE_BYTES) throw new MediaError('The RAW file is larger than 1 GiB.')
  const { LibRaw } = await loaded()
  const raw = new LibRaw()
  try {
    const { width, height, colors, data } = await develop(raw, file, input.isHalfEnough)
    const channels = colors === 1 ? 1 : 3
    if (data.length < width * height * channels) throw refused()
    const pixels = Buffer.from(data.buffer, data.byteOffset, width * height * channels)
    return await makeImages(pixels, input.orientation, input, { raw: { width, height, channels } })
  } finally {
    raw.delete()
  }
}

/** sRGB with 8 bits, with the camera's white balance, as the sensor lay. */
async function develop(raw: LibRaw, file: Buffer, isHalfEnough: boolean): Promise<Developed> {
  const settings = { useCameraWb: true, outputColor: 1, outputBps: 8, userFlip: 0, halfSize: isHalfEnough }
  try {
    await raw.open(file, settings)
    const developed = raw.imageData()
    if (developed?.data && developed.width > 0 && developed.height > 0) return developed
  } catch (error) {
    throw refused(error)
  }
  throw refused()
}

function refused(cause?: unknown): MediaError {
  return new MediaError(
    'The RAW file holds no embedded picture, and its own data is damaged or of a kind that is not known.',
    {
      cause,
    },
  )
}

let loading: Promise<Loaded> | null = null

/** The part of the package that needs no browser. */
function loaded(): Promise<Loaded> {
  loading ??= load()
  return loading
}

async function load(): Promise<Loaded> {
  const script = import.meta.resolve('libraw-wasm/dist/libraw.js')
  const wasmBinary = await readFile(new URL('libraw.wasm', script))
  const { default: start } = (await import(script)) as { default(options: object): Promise<Loaded> }
  return start({ wasmBinary, print: () => undefined, printErr: () => undefined })
}
