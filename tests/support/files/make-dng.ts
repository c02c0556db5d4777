/**
 * A small DNG: a sensor of `width` x `height` without content, and a JPEG as its embedded picture, which is
 * all that Glassine looks at (DNG 1.7, chapter 4: the first IFD holds the preview, a SubIFD the sensor's
 * data).
 */
export function makeDng(
  jpeg: Buffer,
  options: { width: number; height: number; orientation: number },
): Buffer {
  const { width, height, orientation } = options
  const make = Buffer.from('Glassine\0')
  const model = Buffer.from('Test Camera\0')
  const first: Entry[] = [
    [254, 4, 1, 1], // a reduced picture
    [256, 4, 1, 640],
    [257, 4, 1, 480],
    [259, 3, 1, 7], // JPEG
    [262, 3, 1, 6], // YCbCr
    [271, 2, make.length, make],
    [272, 2, model.length, model],
    [273, 4, 1, jpeg],
    [274, 3, 1, orientation],
    [277, 3, 1, 3],
    [278, 4, 1, 480],
    [279, 4, 1, jpeg.length],
    [330, 4, 1, 'sensor'],
    [50706, 1, 4, Buffer.from([1, 4, 0, 0])], // DNGVersion
  ]
  const sensor: Entry[] = [
    [254, 4, 1, 0],
    [256, 4, 1, width],
    [257, 4, 1, height],
    [258, 3, 1, 8],
    [259, 3, 1, 1],
    [262, 3, 1, 32803], // colour filter array
    [273, 4, 1, Buffer.alloc(16)],
    [277, 3, 1, 1],
    [278, 4, 1, height],
    [279, 4, 1, 16],
  ]
  const firstAt = 8
  const sensorAt = firstAt + ifdBytes(first)
  const file: Buffer[] = [Buffer.alloc(sensorAt + ifdBytes(sensor))]
  let end = file[0]!.length
  const head = file[0]!
  head.write('II*\0', 0, 'latin1')
  head.writeUInt32LE(firstAt, 4)
  const writeIfd = (entries: Entry[], at: number) => {
    head.writeUInt16LE(entries.length, at)
    entries.forEach(([tag, type, count, value], index) => {
      const slot = at + 2 + index * 12
      head.writeUInt16LE(tag, slot)
      head.writeUInt16LE(type, slot + 2)
      head.writeUInt32LE(count, slot + 4)
      if (value === 'sensor') head.writeUInt32LE(sensorAt, slot + 8)
      else if (typeof value === 'number') head.writeUInt32LE(value, slot + 8)
      else if (value.length <= 4) value.copy(head, slot + 8)
      else {
        head.writeUInt32LE(end, slot + 8)
        file.push(value)
        end += value.length
      }
    })
  }
  writeIfd(first, firstAt)
  writeIfd(sensor, sensorAt)
  return Buffer.concat(file)
}

type Entry = [tag: number, type: number, count: number, value: number | Buffer | 'sensor']

function ifdBytes(entries: Entry[]): number {
  return 2 + entries.length * 12 + 4
}
