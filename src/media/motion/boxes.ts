import type { FileWindow } from './file-window.ts'

export type ByteRange = { offset: number; length: number }

/** Files have a dozen of them; more is damage. */
const MOST_BOXES = 10_000

/**
 * The content of the first box of that name within `range` (ISO/IEC 14496-12, 4.2), or null. A box that
 * reaches beyond the end, or is smaller than its head, ends the search.
 */
export function findBox(file: FileWindow, name: string, range?: ByteRange): ByteRange | null {
  const end = range === undefined ? file.size : range.offset + range.length
  let at = range?.offset ?? 0
  for (let count = 0; count < MOST_BOXES && at + 8 <= end; count++) {
    const head = file.read(at, 16)
    if (head.length < 8) return null
    const short = head.readUInt32BE(0)
    const headBytes = short === 1 ? 16 : 8
    if (head.length < headBytes) return null
    const size = short === 1 ? Number(head.readBigUInt64BE(8)) : short === 0 ? end - at : short
    if (size < headBytes || at + size > end) return null
    if (head.toString('latin1', 4, 8) === name) return { offset: at + headBytes, length: size - headBytes }
    at += size
  }
  return null
}

/** Whether an MP4 or MOV begins there. */
export function beginsWithFilm(file: FileWindow, at: number): boolean {
  if (at < 0) return false
  const head = file.read(at, 12)
  return head.length === 12 && head.toString('latin1', 4, 8) === 'ftyp' && head.readUInt32BE(0) >= 8
}
