/** Files of TIFF's form, of which DNG is one (TIFF 6.0, section 2), little-endian. */

/**
 * A number or four bytes stand in the entry itself, longer bytes behind the directories; `directory`: where
 * that one of the file begins, counted from 0.
 */
export type TiffEntry = [
  tag: number,
  type: number,
  count: number,
  value: number | Buffer | { directory: number },
]

/** The first directory is the file's, the others are what it leads to. */
export function tiffFile(directories: readonly TiffEntry[][]): Buffer {
  const starts: number[] = []
  let end = 8
  for (const entries of directories) {
    starts.push(end)
    end += 2 + entries.length * 12 + 4
  }
  const head = Buffer.alloc(end)
  const behind: Buffer[] = []
  head.write('II*\0', 0, 'latin1')
  head.writeUInt32LE(starts[0]!, 4)
  for (const [number, entries] of directories.entries()) {
    const start = starts[number]!
    head.writeUInt16LE(entries.length, start)
    for (const [index, [tag, type, count, value]] of entries.entries()) {
      const at = start + 2 + index * 12
      head.writeUInt16LE(tag, at)
      head.writeUInt16LE(type, at + 2)
      head.writeUInt32LE(count, at + 4)
      if (typeof value === 'number') head.writeUInt32LE(value, at + 8)
      else if (!Buffer.isBuffer(value)) head.writeUInt32LE(starts[value.directory]!, at + 8)
      else if (value.length <= 4) value.copy(head, at + 8)
      else {
        head.writeUInt32LE(end, at + 8)
        behind.push(value)
        end += value.length
      }
    }
  }
  return Buffer.concat([head, ...behind])
}
