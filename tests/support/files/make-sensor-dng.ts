import { type TiffEntry, tiffFile } from './tiff-file.ts'

/**
 * A DNG with nothing but a sensor's data, as phones' RAW modes and converters write it: 16 bits, a Bayer
 * pattern of red, green, green, blue, no embedded picture (DNG 1.7, chapters 4 and 6). `colourAt` says what
 * was before the lens, as linear light of 0 to 1 in sRGB's primaries.
 */
export function makeSensorDng(options: {
  width: number
  height: number
  orientation?: number
  colourAt: (x: number, y: number) => readonly [red: number, green: number, blue: number]
}): Buffer {
  const { width, height, orientation = 1, colourAt } = options
  const sensor = Buffer.alloc(width * height * 2)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [red, green, blue] = colourAt(x, y)
      const light = y % 2 === 0 ? (x % 2 === 0 ? red : green) : x % 2 === 0 ? green : blue
      sensor.writeUInt16LE(Math.round(light * 60_000), (y * width + x) * 2)
    }
  }
  const text = (value: string) => Buffer.from(`${value}\0`)
  // XYZ (D65) to the camera's colours: the inverse of sRGB's primaries, so that the camera sees sRGB.
  const matrix = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.204, 1.057]
  const entries: TiffEntry[] = [
    [254, 4, 1, 0],
    [256, 4, 1, width],
    [257, 4, 1, height],
    [258, 3, 1, 16],
    [259, 3, 1, 1],
    [262, 3, 1, 32_803], // colour filter array
    [271, 2, 9, text('Glassine')],
    [272, 2, 7, text('Sensor')],
    [273, 4, 1, sensor],
    [274, 3, 1, orientation],
    [277, 3, 1, 1],
    [278, 4, 1, height],
    [279, 4, 1, sensor.length],
    [284, 3, 1, 1],
    [33_421, 3, 2, Buffer.from([2, 0, 2, 0])], // the pattern repeats every 2 x 2
    [33_422, 1, 4, Buffer.from([0, 1, 1, 2])], // red, green, green, blue
    [50_706, 1, 4, Buffer.from([1, 4, 0, 0])], // DNGVersion
    [50_708, 2, 16, text('Glassine Sensor')],
    [50_717, 4, 1, 60_000], // WhiteLevel
    [50_721, 10, 9, rationals(matrix, true)], // ColorMatrix1
    [50_728, 5, 3, rationals([1, 1, 1], false)], // AsShotNeutral
    [50_778, 3, 1, 21], // D65
  ]
  return tiffFile([entries])
}

function rationals(values: readonly number[], isSigned: boolean): Buffer {
  const buffer = Buffer.alloc(values.length * 8)
  values.forEach((value, index) => {
    if (isSigned) buffer.writeInt32LE(Math.round(value * 10_000), index * 8)
    else buffer.writeUInt32LE(Math.round(value * 10_000), index * 8)
    buffer.writeUInt32LE(10_000, index * 8 + 4)
  })
  return buffer
}
