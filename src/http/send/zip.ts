/**
 * ZIP archives as a stream: entries stored as they are (photos don't compress), one source read at a time and
 * the next one opened while it ends, memory flat however many there are. Sizes are known beforehand and CRCs
 * are not, so each entry is followed by a data descriptor. Format: PKWARE APPNOTE 6.3.10; zip64 where a size
 * or an offset needs it.
 */
import type { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'

export type ZipEntry = {
  /** With `/` between folders. Made safe and unique by `safeEntryNames`. */
  name: string
  size: number
  modifiedAt: Date
  /** Buffers little until it is read. Destroyed in every case. */
  open(): Promise<Readable>
}

/**
 * With so much of an entry left, the next source is opened: its round trip is over by the time it is needed.
 */
const OPEN_NEXT_AT_BYTES = 1024 * 1024

const MAX_32 = 0xffffffff
const MAX_NAME_BYTES = 255
/** What is longer is part of the name. */
const MAX_EXTENSION_LENGTH = 20
/** Bit 3: a data descriptor follows; bit 11: names are UTF-8. */
const FLAGS = 0x0808
const STORED = 0

/**
 * The archive's bytes. Throws when an entry's source fails or is not as long as it said. At most two sources
 * are open at a time, and none any more once the generator has ended or was returned from.
 */
export async function* zipStream(entries: readonly ZipEntry[]): AsyncGenerator<Buffer> {
  const central: Buffer[] = []
  let offset = 0
  let next: Opening | null = null
  try {
    for (const [index, entry] of entries.entries()) {
      const name = Buffer.from(entry.name)
      const isBig = entry.size >= MAX_32
      const header = localHeader(entry, name, isBig)
      yield header
      let crc = 0
      let size = 0
      const current: Opening = next ?? beginToOpen(entry)
      next = current
      const source = await current.source
      const following = entries[index + 1]
      next = null
      for await (const chunk of source as AsyncIterable<Buffer>) {
        crc = crc32(chunk, crc)
        size += chunk.length
        if (next === null && following && entry.size - size <= OPEN_NEXT_AT_BYTES)
          next = beginToOpen(following)
        yield chunk
      }
      if (size !== entry.size) throw new Error(`${entry.name} has ${size} bytes instead of ${entry.size}`)
      const descriptor = dataDescriptor(crc, size, isBig)
      yield descriptor
      central.push(centralHeader(entry, name, crc, offset))
      offset += header.length + size + descriptor.length
    }
  } finally {
    next?.discard()
  }
  const directory = Buffer.concat(central)
  yield directory
  yield endOfDirectory(entries.length, directory.length, offset)
}

type Opening = { source: Promise<Readable>; discard(): void }

/** A failure is thrown where the source is awaited, and nowhere else. */
function beginToOpen(entry: ZipEntry): Opening {
  const source = entry.open()
  source.catch(() => undefined)
  return { source, discard: () => void source.then((stream) => stream.destroy()).catch(() => undefined) }
}

/** How long the whole archive will be. */
export function zipLength(entries: readonly ZipEntry[]): number {
  let offset = 0
  let directory = 0
  for (const entry of entries) {
    const name = Buffer.from(entry.name)
    const isBig = entry.size >= MAX_32
    directory += centralHeader(entry, name, 0, offset).length
    offset += localHeader(entry, name, isBig).length + entry.size + (isBig ? 24 : 16)
  }
  return offset + directory + endOfDirectory(entries.length, directory, offset).length
}

/** Names that stay inside the folder they are unpacked to, and each only once: `a.jpg`, `a+1.jpg`. */
export function safeEntryNames(names: readonly string[]): string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
    const plain = name.replace(/[\u0000-\u001f<>:"/\\|?*]/g, '_').replace(/^\.+/, '_') || '_'
    const dot = plain.lastIndexOf('.')
    const hasExtension = dot > 0 && plain.length - dot <= MAX_EXTENSION_LENGTH
    const [stem, extension] = hasExtension ? [plain.slice(0, dot), plain.slice(dot)] : [plain, '']
    let unique = shortName(stem, extension)
    for (let count = 1; taken.has(asUnpacked(unique)); count += 1)
      unique = shortName(stem, `+${count}${extension}`)
    taken.add(asUnpacked(unique))
    return unique
  })
}

/**
 * The same for names that some file system takes for one, so that the later file would replace the earlier:
 * case and composed characters are the same to macOS, and Windows cuts dots and blanks at the end.
 */
function asUnpacked(name: string): string {
  return name
    .normalize('NFC')
    .toLowerCase()
    .replace(/[. ]+$/, '')
}

/**
 * Cuts the stem so that the name has at most 255 bytes, which is what file systems take, and no half
 * character.
 */
function shortName(stem: string, ending: string): string {
  const characters = [...stem]
  while (Buffer.byteLength(characters.join('') + ending) > MAX_NAME_BYTES) characters.pop()
  return characters.join('') + ending
}

function localHeader(entry: ZipEntry, name: Buffer, isBig: boolean): Buffer {
  const extra = isBig ? zip64Extra([entry.size, entry.size]) : Buffer.alloc(0)
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt16LE(isBig ? 45 : 20, 4)
  header.writeUInt16LE(FLAGS, 6)
  header.writeUInt16LE(STORED, 8)
  header.writeUInt32LE(dosTime(entry.modifiedAt), 10)
  // The CRC (14) is in the descriptor. The sizes are known, and unpackers that stream need them.
  header.writeUInt32LE(isBig ? MAX_32 : entry.size, 18)
  header.writeUInt32LE(isBig ? MAX_32 : entry.size, 22)
  header.writeUInt16LE(name.length, 26)
  header.writeUInt16LE(extra.length, 28)
  return Buffer.concat([header, name, extra])
}

function dataDescriptor(crc: number, size: number, isBig: boolean): Buffer {
  const descriptor = Buffer.alloc(isBig ? 24 : 16)
  descriptor.writeUInt32LE(0x08074b50, 0)
  descriptor.writeUInt32LE(crc, 4)
  if (isBig) {
    descriptor.writeBigUInt64LE(BigInt(size), 8)
    descriptor.writeBigUInt64LE(BigInt(size), 16)
  } else {
    descriptor.writeUInt32LE(size, 8)
    descriptor.writeUInt32LE(size, 12)
  }
  return descriptor
}

function centralHeader(entry: ZipEntry, name: Buffer, crc: number, offset: number): Buffer {
  const isBig = entry.size >= MAX_32
  const isFar = offset >= MAX_32
  const large = [...(isBig ? [entry.size, entry.size] : []), ...(isFar ? [offset] : [])]
  const extra = large.length > 0 ? zip64Extra(large) : Buffer.alloc(0)
  const header = Buffer.alloc(46)
  header.writeUInt32LE(0x02014b50, 0)
  header.writeUInt16LE(45, 4)
  header.writeUInt16LE(large.length > 0 ? 45 : 20, 6)
  header.writeUInt16LE(FLAGS, 8)
  header.writeUInt16LE(STORED, 10)
  header.writeUInt32LE(dosTime(entry.modifiedAt), 12)
  header.writeUInt32LE(crc, 16)
  header.writeUInt32LE(isBig ? MAX_32 : entry.size, 20)
  header.writeUInt32LE(isBig ? MAX_32 : entry.size, 24)
  header.writeUInt16LE(name.length, 28)
  header.writeUInt16LE(extra.length, 30)
  header.writeUInt32LE(isFar ? MAX_32 : offset, 42)
  return Buffer.concat([header, name, extra])
}

function endOfDirectory(count: number, size: number, offset: number): Buffer {
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Math.min(count, 0xffff), 8)
  end.writeUInt16LE(Math.min(count, 0xffff), 10)
  end.writeUInt32LE(Math.min(size, MAX_32), 12)
  end.writeUInt32LE(Math.min(offset, MAX_32), 16)
  if (count < 0xffff && size < MAX_32 && offset < MAX_32) return end

  const end64 = Buffer.alloc(56 + 20)
  end64.writeUInt32LE(0x06064b50, 0)
  end64.writeBigUInt64LE(44n, 4)
  end64.writeUInt16LE(45, 12)
  end64.writeUInt16LE(45, 14)
  end64.writeBigUInt64LE(BigInt(count), 24)
  end64.writeBigUInt64LE(BigInt(count), 32)
  end64.writeBigUInt64LE(BigInt(size), 40)
  end64.writeBigUInt64LE(BigInt(offset), 48)
  end64.writeUInt32LE(0x07064b50, 56)
  end64.writeBigUInt64LE(BigInt(offset + size), 64)
  end64.writeUInt32LE(1, 72)
  return Buffer.concat([end64, end])
}

function zip64Extra(values: number[]): Buffer {
  const extra = Buffer.alloc(4 + values.length * 8)
  extra.writeUInt16LE(0x0001, 0)
  extra.writeUInt16LE(values.length * 8, 2)
  for (const [index, value] of values.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + index * 8)
  return extra
}

/** MS-DOS date and time, two-second steps, 1980 to 2107. */
function dosTime(date: Date): number {
  const year = Math.min(Math.max(date.getUTCFullYear(), 1980), 2107) - 1980
  const day = (year << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate()
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1)
  return ((day << 16) | time) >>> 0
}
