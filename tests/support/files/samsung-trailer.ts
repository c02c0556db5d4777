/**
 * What Samsung's phones append to a JPEG: named blocks, then their directory (ExifTool's Samsung.pm,
 * ProcessSamsung: `SEFH`, version, count, for each its type, distance and length, then `SEFT`).
 */
export function samsungTrailer(blocks: readonly { type: number; name: string; value: Buffer }[]): Buffer {
  const written = blocks.map(({ type, name, value }) => {
    const head = Buffer.alloc(8)
    head.writeUInt16LE(type, 2)
    head.writeUInt32LE(name.length, 4)
    return { type, bytes: Buffer.concat([head, Buffer.from(name, 'latin1'), value]) }
  })
  const directory = Buffer.alloc(12 + written.length * 12)
  directory.write('SEFH', 0, 'latin1')
  directory.writeUInt32LE(101, 4)
  directory.writeUInt32LE(written.length, 8)
  written.forEach(({ type, bytes }, index) => {
    const at = 12 + index * 12
    directory.writeUInt16LE(type, at + 2)
    const rest = written.slice(index).reduce((sum, block) => sum + block.bytes.length, 0)
    directory.writeUInt32LE(rest, at + 4)
    directory.writeUInt32LE(bytes.length, at + 8)
  })
  const end = Buffer.alloc(8)
  end.writeUInt32LE(directory.length, 0)
  end.write('SEFT', 4, 'latin1')
  return Buffer.concat([...written.map(({ bytes }) => bytes), directory, end])
}
