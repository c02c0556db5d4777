/** Files that are small on the disk and cost a decoder without limits minutes of CPU or gigabytes. */

import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { crc32, createDeflate } from 'node:zlib'

/** 1 kB that draws for minutes: nested blurs over the whole canvas. */
export async function writeEndlessSvg(path: string): Promise<void> {
  const filter =
    '<filter id="f" x="0" y="0" width="1" height="1"><feGaussianBlur stdDeviation="400"/>' +
    '<feTurbulence baseFrequency="0.9" numOctaves="200"/><feGaussianBlur stdDeviation="300"/></filter>'
  const shape = '<rect width="4000" height="4000" filter="url(#f)"/>'
  await writeFile(
    path,
    `<svg xmlns="http://www.w3.org/2000/svg" width="4000" height="4000">${filter}${shape.repeat(30)}</svg>`,
  )
}

/** The passes of an interlaced PNG: first column and row, and the steps (PNG 1.2, section 8.2). */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const

/**
 * A black PNG of `edgePx` squared, 16 bits a channel, interlaced: no decoder can do with less than all of it
 * at once.
 */
export async function writeHugePng(path: string, edgePx: number): Promise<void> {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(edgePx, 0)
  header.writeUInt32BE(edgePx, 4)
  header.set([16, 2, 0, 0, 1], 8)
  const deflate = createDeflate({ level: 1 })
  const packed: Buffer[] = []
  deflate.on('data', (piece: Buffer) => packed.push(piece))
  for (const [x, y, dx, dy] of PASSES) {
    const row = Buffer.alloc(1 + Math.ceil((edgePx - x) / dx) * 6)
    for (let at = y; at < edgePx; at += dy) if (!deflate.write(row)) await once(deflate, 'drain')
  }
  deflate.end()
  await once(deflate, 'end')
  const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10])
  const chunks = [chunk('IHDR', header), chunk('IDAT', Buffer.concat(packed)), chunk('IEND', Buffer.alloc(0))]
  await writeFile(path, Buffer.concat([signature, ...chunks]))
}

function chunk(type: string, data: Buffer): Buffer {
  const whole = Buffer.alloc(12 + data.length)
  whole.writeUInt32BE(data.length, 0)
  whole.write(type, 4, 'latin1')
  data.copy(whole, 8)
  whole.writeUInt32BE(crc32(whole.subarray(4, 8 + data.length)), 8 + data.length)
  return whole
}
