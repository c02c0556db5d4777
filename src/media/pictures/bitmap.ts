/**
 * Runs in a media process. Bitmaps whose channels are told by masks (BITFIELDS), which FFmpeg reads for some
 * masks only: 16 and 32 bits a pixel, with or without alpha
 * (learn.microsoft.com/windows/win32/gdi/bitmap-header-types).
 */
import { readFile } from 'node:fs/promises'
import { MediaError } from '../media-error.ts'

export type Pixels = { data: Buffer; width: number; height: number; hasAlpha: boolean }

const BITFIELDS = 3
const ALPHA_BITFIELDS = 6
const MASKS_AT = 54
const MAX_PIXELS = 256 * 1024 * 1024

/** RGBA from the top; null for a bitmap without masks. Throws `MediaError` for one that ends too soon. */
export async function readBitfields(path: string): Promise<Pixels | null> {
  const file = await readFile(path)
  const compression = file.length >= MASKS_AT + 12 ? file.readUInt32LE(30) : 0
  if (file.readUInt16LE(0) !== 0x4d42 || (compression !== BITFIELDS && compression !== ALPHA_BITFIELDS))
    return null
  const headerBytes = file.readUInt32LE(14)
  const width = file.readInt32LE(18)
  const height = Math.abs(file.readInt32LE(22))
  const bits = file.readUInt16LE(28)
  if (width < 1 || height < 1 || (bits !== 16 && bits !== 32)) throw damaged()
  if (width * height > MAX_PIXELS) throw new MediaError('The picture has more than 256 megapixels.')
  const rowBytes = Math.ceil((width * bits) / 32) * 4
  const pixelsAt = file.readUInt32LE(10)
  if (pixelsAt + rowBytes * height > file.length) throw damaged()
  // Headers of 56 bytes and more have a mask for alpha, and so has ALPHA_BITFIELDS; of 0 there is none.
  const hasAlphaMask = (headerBytes >= 56 || compression === ALPHA_BITFIELDS) && file.length >= MASKS_AT + 16
  const channels = [0, 1, 2, 3].map((index) =>
    channelOf(index < 3 || hasAlphaMask ? file.readUInt32LE(MASKS_AT + index * 4) : 0),
  )
  const isTopDown = file.readInt32LE(22) < 0
  const data = Buffer.alloc(width * height * 4, 255)
  for (let y = 0; y < height; y++) {
    const row = pixelsAt + (isTopDown ? y : height - 1 - y) * rowBytes
    for (let x = 0; x < width; x++) {
      const pixel = bits === 32 ? file.readUInt32LE(row + x * 4) : file.readUInt16LE(row + x * 2)
      const at = (y * width + x) * 4
      for (let index = 0; index < 4; index++) {
        const channel = channels[index]
        if (channel)
          data[at + index] = Math.round((((pixel & channel.mask) >>> channel.shift) * 255) / channel.most)
      }
    }
  }
  return { data, width, height, hasAlpha: channels[3] != null }
}

/** Null where no bit is the channel's. */
function channelOf(mask: number): { mask: number; shift: number; most: number } | null {
  if (mask === 0) return null
  const shift = 31 - Math.clz32(mask & -mask)
  return { mask, shift, most: mask >>> shift }
}

function damaged(): MediaError {
  return new MediaError('The bitmap is damaged: its pixels are not all there.')
}
