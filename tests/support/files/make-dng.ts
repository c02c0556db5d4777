import { type TiffEntry, tiffFile } from './tiff-file.ts'

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
  const first: TiffEntry[] = [
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
    [330, 4, 1, { directory: 1 }],
    [50706, 1, 4, Buffer.from([1, 4, 0, 0])], // DNGVersion
  ]
  const sensor: TiffEntry[] = [
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
  return tiffFile([first, sensor])
}
