import { readFile, writeFile } from 'node:fs/promises'

/** Where the matrix of a track header stands, counted from the name of its box (ISO/IEC 14496-12, 8.3.2). */
const MATRIX_AT = { 0: 44, 1: 56 }
const ONE = 65_536

/**
 * Writes a copy of an MP4 or MOV whose picture track is to be turned by `degrees` clockwise for display (0,
 * 90, 180, 270), and before that, where `isMirrored`, flipped upside down: the matrix of the track's header,
 * as phones write it. The pictures themselves stay.
 */
export async function turnFilm(
  path: string,
  to: string,
  degrees: number,
  { isMirrored = false }: { isMirrored?: boolean } = {},
): Promise<void> {
  const bytes = await readFile(path)
  const header = bytes.indexOf('tkhd')
  const at = header + MATRIX_AT[bytes[header + 4] as 0 | 1]
  const [cos, sin] = [
    Math.round(Math.cos((degrees * Math.PI) / 180)),
    Math.round(Math.sin((degrees * Math.PI) / 180)),
  ]
  const flip = isMirrored ? -1 : 1
  const matrix = [cos * ONE, sin * ONE, 0, -sin * flip * ONE, cos * flip * ONE, 0, 0, 0, 2 ** 30]
  matrix.forEach((value, index) => {
    bytes.writeInt32BE(value, at + index * 4)
  })
  await writeFile(to, bytes)
}
