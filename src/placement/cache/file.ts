/**
 * A unit of an object as a file of the cache: the bytes, and after them a sum of each block. Nothing is
 * served from it that its sum doesn't vouch for, so that the files need no fsync, and damage, a torn write or
 * a wrong file is a miss.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

/** Read and checked at a time; small enough that a seek in a film costs little. */
const BLOCK_BYTES = 64 * 1024
const BLOCKS_PER_READ = 4
/** Half a SHA-256: enough against every accident. */
const SUM_BYTES = 16
/** The file's time says when it was last used; finer than this it need not be known. */
const TOUCH_AFTER_MS = 10 * 60_000

/** A whole small object, or one aligned chunk of a large one. */
export type Unit = {
  objectId: string
  /** Of the whole object, lower-case hex. */
  sha256: string
  name: string
  /** Offset of its first byte in the object. */
  start: number
  size: number
}

export type UnitFile = {
  /** Some bytes from `offset` (in the unit) on, checked. Throws `DamagedUnit`. */
  read(offset: number): Promise<Buffer>
  close(): Promise<void>
}

export class DamagedUnit extends Error {
  constructor(name: string) {
    super(`the cached file ${name} is damaged`)
    this.name = 'DamagedUnit'
  }
}

/** What a unit takes on the disk. */
export function fileBytesOf(unit: Pick<Unit, 'size'>): number {
  return unit.size + Math.ceil(unit.size / BLOCK_BYTES) * SUM_BYTES
}

/** Bound to the object and the place in it, so that a file under a wrong name is found out, too. */
function sumOf(unit: Unit, block: number, bytes: Buffer): Buffer {
  return createHash('sha256')
    .update(`${unit.sha256}:${unit.start}:${block}:`)
    .update(bytes)
    .digest()
    .subarray(0, SUM_BYTES)
}

/** Writes a new file; the caller moves it into place, or removes it when this throws. */
export async function writeUnit(path: string, unit: Unit, bytes: Buffer): Promise<void> {
  const sums: Buffer[] = []
  for (let start = 0; start < unit.size; start += BLOCK_BYTES) {
    sums.push(sumOf(unit, start / BLOCK_BYTES, bytes.subarray(start, start + BLOCK_BYTES)))
  }
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(bytes)
    await file.writeFile(Buffer.concat(sums))
  } finally {
    await file.close()
  }
}

/** Null where there is no such file. Throws `DamagedUnit` for one of another length. */
export async function openUnit(path: string, unit: Unit): Promise<UnitFile | null> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  try {
    const { size, mtimeMs } = await file.stat()
    if (size !== fileBytesOf(unit)) throw new DamagedUnit(unit.name)
    const now = Date.now()
    if (now - mtimeMs > TOUCH_AFTER_MS) await file.utimes(now / 1000, now / 1000)
    const sums = await readExactly(file, unit, unit.size, size - unit.size)
    return {
      read: (offset) => readBlocks(file, unit, sums, offset),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function readBlocks(file: FileHandle, unit: Unit, sums: Buffer, offset: number): Promise<Buffer> {
  const first = Math.floor(offset / BLOCK_BYTES)
  const start = first * BLOCK_BYTES
  const bytes = await readExactly(
    file,
    unit,
    start,
    Math.min(BLOCKS_PER_READ * BLOCK_BYTES, unit.size - start),
  )
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const block = first + at / BLOCK_BYTES
    const sum = sums.subarray(block * SUM_BYTES, (block + 1) * SUM_BYTES)
    if (!sum.equals(sumOf(unit, block, bytes.subarray(at, at + BLOCK_BYTES))))
      throw new DamagedUnit(unit.name)
  }
  return bytes.subarray(offset - start)
}

async function readExactly(file: FileHandle, unit: Unit, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done)
    if (bytesRead === 0) throw new DamagedUnit(unit.name) // cut since it was opened
    done += bytesRead
  }
  return bytes
}
