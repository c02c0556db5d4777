/** Runs in a media process. How long a picture moves: what its frames say, added up without decoding one. */
import { findBox } from './boxes.ts'
import { type FileWindow, openFileWindow } from './file-window.ts'

/** A frame that is shown for less than 20 ms is shown for 100 by every browser, and by FFmpeg. */
const LEAST_GIF_CENTISECONDS = 2
const DEFAULT_GIF_CENTISECONDS = 10
/** 31 years, as for films. */
const MAX_DURATION_MS = 1e12
/** Blocks and chunks; more is damage, or nothing that anybody looks at. */
const MOST_PIECES = 5_000_000

type Frames = { count: number; milliseconds: number }

/** Milliseconds of one round; null for what does not move. Throws what opening the file throws. */
export function animationMs(path: string, mimeType: string): number | null {
  const read = READERS[mimeType]
  if (read === undefined) return null
  using file = openFileWindow(path)
  const { count, milliseconds } = read(file)
  return count > 1 && milliseconds > 0 && milliseconds <= MAX_DURATION_MS ? Math.round(milliseconds) : null
}

const READERS: Record<string, (file: FileWindow) => Frames> = {
  'image/gif': gifFrames,
  'image/webp': webpFrames,
  'image/png': pngFrames,
  'image/avif': sequenceFrames,
  'image/heic': sequenceFrames,
  'image/heif': sequenceFrames,
}

/** GIF89a, sections 17 to 27. A picture's delay stands in the extension before it. */
function gifFrames(file: FileWindow): Frames {
  const frames = { count: 0, milliseconds: 0 }
  const head = file.read(0, 13)
  if (head.length < 13) return frames
  let at = 13 + colourTableBytes(head[10]!)
  let delay = 0
  for (let pieces = 0; pieces < MOST_PIECES; pieces++) {
    const block = file.read(at, 10)
    if (block[0] === 0x21 && block.length > 6) {
      if (block[1] === 0xf9) delay = block.readUInt16LE(4)
      at = afterSubBlocks(file, at + 2)
    } else if (block[0] === 0x2c && block.length === 10) {
      frames.count++
      const shown = delay < LEAST_GIF_CENTISECONDS ? DEFAULT_GIF_CENTISECONDS : delay
      frames.milliseconds += shown * 10
      delay = 0
      at = afterSubBlocks(file, at + 10 + colourTableBytes(block[9]!) + 1)
    } else return frames
  }
  return frames
}

function colourTableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1)
}

function afterSubBlocks(file: FileWindow, from: number): number {
  let at = from
  for (let pieces = 0; pieces < MOST_PIECES; pieces++) {
    const length = file.read(at, 1)[0]
    at += 1 + (length ?? 0)
    if (length === undefined || length === 0) return at
  }
  return at
}

/** RIFF chunks; each frame is one `ANMF`, whose duration follows four numbers of 24 bits. */
function webpFrames(file: FileWindow): Frames {
  return framesOfChunks(file, 12, (chunk) => {
    const size = chunk.readUInt32LE(4)
    const isFrame = chunk.toString('latin1', 0, 4) === 'ANMF' && chunk.length >= 23
    return { bytes: 8 + size + (size % 2), frameMs: isFrame ? chunk.readUIntLE(20, 3) : null }
  })
}

/** `fcTL` before each frame: its delay as a fraction of a second, of hundredths where nothing is below. */
function pngFrames(file: FileWindow): Frames {
  return framesOfChunks(file, 8, (chunk) => {
    const name = chunk.toString('latin1', 4, 8)
    if (name === 'IEND') return null
    const isFrame = name === 'fcTL' && chunk.length >= 32
    const frameMs = isFrame ? (1_000 * chunk.readUInt16BE(28)) / (chunk.readUInt16BE(30) || 100) : null
    return { bytes: 12 + chunk.readUInt32BE(0), frameMs }
  })
}

/** What is looked at of a chunk; less only where the file ends. */
const CHUNK_HEAD_BYTES = 34

/**
 * `read` says how long a chunk is, and its frame shown, where it is one; null: nothing that counts follows.
 */
function framesOfChunks(
  file: FileWindow,
  from: number,
  read: (head: Buffer) => { bytes: number; frameMs: number | null } | null,
): Frames {
  const frames = { count: 0, milliseconds: 0 }
  let at = from
  for (let pieces = 0; pieces < MOST_PIECES; pieces++) {
    const head = file.read(at, CHUNK_HEAD_BYTES)
    const chunk = head.length < 8 ? null : read(head)
    if (chunk === null) return frames
    if (chunk.frameMs !== null) {
      frames.count++
      frames.milliseconds += chunk.frameMs
    }
    at += chunk.bytes
  }
  return frames
}

/**
 * AVIF and HEIC sequences are films without sound: the head of the film says its time (ISO/IEC 14496-12,
 * 8.2.2).
 */
function sequenceFrames(file: FileWindow): Frames {
  const film = findBox(file, 'moov')
  const header = film && findBox(file, 'mvhd', film)
  const box = header === null ? Buffer.alloc(0) : file.read(header.offset, 32)
  if (box.length < 32) return { count: 0, milliseconds: 0 }
  const isLong = box[0] === 1
  const scale = box.readUInt32BE(isLong ? 20 : 12)
  const duration = isLong ? Number(box.readBigUInt64BE(24)) : box.readUInt32BE(16)
  return { count: 2, milliseconds: scale === 0 ? 0 : (1_000 * duration) / scale }
}
