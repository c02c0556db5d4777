/**
 * Runs in a media process. The film that phones put into the file of a picture. What metadata say of its
 * place is often a little off (appended blocks, padding), so that nothing counts before a film begins there.
 */
import type { Tags } from 'exiftool-vendored'
import { type ByteRange, beginsWithFilm, findBox } from './boxes.ts'
import { type FileWindow, openFileWindow } from './file-window.ts'

/** `MotionPhoto_Data` among the blocks that Samsung's phones append (ExifTool's Samsung.pm). */
const SAMSUNG_FILM = 0x0a30
const MOST_SAMSUNG_BLOCKS = 1_000
/** Of a container's directory: the picture, its gain map, the film, depth maps. */
const MOST_ITEMS = 32

/** Where the film lies in the file; null: there is none. Throws what opening the file throws. */
export function findFilm(path: string, tags: Tags): ByteRange | null {
  using file = openFileWindow(path)
  const found = samsungFilm(file) ?? containedFilm(file) ?? appendedFilm(file, tags)
  return found !== null && beginsWithFilm(file, found.offset) ? found : null
}

/**
 * At the end: blocks, then `SEFH`, a version, a count, for each block its type, its distance from `SEFH` and
 * its length, then the length of all this and `SEFT`. A block is two zeros, its type, the length of its name,
 * the name, the content. The content of a HEIC's says by two numbers where the film is: the box `mpvd`.
 */
function samsungFilm(file: FileWindow): ByteRange | null {
  const tail = file.read(file.size - 8, 8)
  if (tail.length < 8 || tail.toString('latin1', 4, 8) !== 'SEFT') return null
  const directoryAt = file.size - 8 - tail.readUInt32LE(0)
  const head = file.read(directoryAt, 12)
  if (directoryAt < 0 || head.length < 12 || head.toString('latin1', 0, 4) !== 'SEFH') return null
  const count = Math.min(MOST_SAMSUNG_BLOCKS, head.readUInt32LE(8))
  for (let index = 0; index < count; index++) {
    const entry = file.read(directoryAt + 12 + index * 12, 12)
    if (entry.length < 12) return null
    if (entry.readUInt16LE(2) !== SAMSUNG_FILM) continue
    const blockAt = directoryAt - entry.readUInt32LE(4)
    const block = blockAt < 0 ? Buffer.alloc(0) : file.read(blockAt, 8)
    if (block.length < 8) continue
    const headBytes = 8 + block.readUInt32LE(4)
    const length = entry.readUInt32LE(8) - headBytes
    if (length > 12) return { offset: blockAt + headBytes, length }
  }
  return null
}

/** Of HEIC and AVIF: a box of its own at the end (Android's Motion Photo format 1.0, and Samsung's). */
function containedFilm(file: FileWindow): ByteRange | null {
  if (file.read(0, 8).toString('latin1', 4, 8) !== 'ftyp') return null
  return findBox(file, 'mpvd')
}

/**
 * As XMP says. Before 2018 how far from the end the film begins (`MicroVideoOffset`). Since then the lengths
 * of all that follows the picture, in order (`Container:Directory`); each may be followed by padding.
 * ExifTool lists the lengths without saying whose they are, so that each that may be meant is looked at.
 */
function appendedFilm(file: FileWindow, tags: Tags): ByteRange | null {
  const all = tags as Record<string, unknown>
  const isFlagged = [all.MotionPhoto, all.MicroVideo].some((flag) => Number(flag) === 1)
  if (!isFlagged && !listOf(all.DirectoryItemSemantic).includes('MotionPhoto')) return null
  const micro = numbersOf(all.MicroVideoOffset).map((length) => ({ fromEnd: length, length }))
  const lengths = numbersOf(all.DirectoryItemLength)
  const paddings = [0, ...numbersOf(all.DirectoryItemPadding)]
  const items = lengths.flatMap((length, index) => {
    const behind = lengths.slice(index + 1).reduce((sum, one) => sum + one, 0)
    return paddings.flatMap((padding) => [
      { fromEnd: length + behind + padding, length },
      { fromEnd: length + padding, length },
    ])
  })
  const found = [...items, ...micro].find(({ fromEnd }) => beginsWithFilm(file, file.size - fromEnd))
  return found === undefined ? null : { offset: file.size - found.fromEnd, length: found.length }
}

function listOf(value: unknown): unknown[] {
  return (Array.isArray(value) ? value : value === undefined ? [] : [value]).slice(0, MOST_ITEMS)
}

function numbersOf(value: unknown): number[] {
  return listOf(value)
    .map(Number)
    .filter((one) => Number.isSafeInteger(one) && one > 0)
}
