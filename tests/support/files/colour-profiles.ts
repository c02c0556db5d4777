import sharp from 'sharp'
import { tiffHead } from '../../../src/media/pictures/tiff.ts'

export type Rgb = [number, number, number]
type Matrix = [Rgb, Rgb, Rgb]

/** Red, green and blue as XYZ relative to D50: Adobe RGB (1998), and Display P3 as Apple writes it. */
const ADOBE_RGB: Matrix = [
  [0.60974, 0.31111, 0.01947],
  [0.20528, 0.62567, 0.06087],
  [0.14919, 0.06322, 0.74457],
]
const DISPLAY_P3: Matrix = [
  [0.51512, 0.2412, -0.00105],
  [0.29198, 0.69225, 0.04189],
  [0.1571, 0.06657, 0.78407],
]
const SRGB: Matrix = [
  [0.43607, 0.22249, 0.01392],
  [0.38515, 0.71687, 0.09708],
  [0.14307, 0.06061, 0.7141],
]
const ADOBE_GAMMA = 2.19921875

/** Profiles as cameras and phones embed them: three colorants and one curve (ICC.1, 8.3.3). */
export const profiles = {
  adobeRgb: makeProfile(ADOBE_RGB, gammaCurve(ADOBE_GAMMA)),
  displayP3: makeProfile(DISPLAY_P3, srgbCurve()),
  srgb: makeProfile(SRGB, srgbCurve()),
}

/** The Display P3 numbers, 0 to 255, of an Adobe RGB colour, from the definitions of both. */
export function adobeRgbToP3(colour: Rgb): Rgb {
  const linear = colour.map((value) => (value / 255) ** ADOBE_GAMMA) as Rgb
  const xyz = [0, 1, 2].map((axis) => sum(linear.map((value, at) => value * ADOBE_RGB[at]![axis]!))) as Rgb
  return solve(DISPLAY_P3, xyz).map((value) =>
    Math.round(255 * encode(Math.min(1, Math.max(0, value)))),
  ) as Rgb
}

/** A TIFF of one colour, with these numbers and this profile: nothing is converted. */
export function colouredTiff(numbers: Rgb, profile: Buffer, width = 300, height = 200): Buffer {
  const pixels = Buffer.alloc(width * height * 4, Buffer.from([...numbers, 255]))
  return Buffer.concat([tiffHead({ width, height, profile }), pixels])
}

/** The numbers of a pixel as stored, whatever they stand for, and the profile. */
export async function storedColour(path: string): Promise<{ numbers: Rgb; icc: Buffer | undefined }> {
  const { icc } = await sharp(path).metadata()
  const pixel = await sharp(path, { ignoreIcc: true })
    .extract({ left: 20, top: 20, width: 1, height: 1 })
    .removeAlpha()
    .raw()
    .toBuffer()
  return { numbers: [pixel[0]!, pixel[1]!, pixel[2]!], icc }
}

function makeProfile(colorants: Matrix, curve: Buffer): Buffer {
  const tags: [string, Buffer][] = [
    ['wtpt', xyz([0.9642, 1, 0.8249])],
    ['rXYZ', xyz(colorants[0])],
    ['gXYZ', xyz(colorants[1])],
    ['bXYZ', xyz(colorants[2])],
    ['rTRC', curve],
    ['gTRC', curve],
    ['bTRC', curve],
  ]
  const table = Buffer.alloc(4 + tags.length * 12)
  table.writeUInt32BE(tags.length, 0)
  let at = 128 + table.length
  const data: Buffer[] = []
  for (const [index, [name, value]] of tags.entries()) {
    table.write(name, 4 + index * 12, 'latin1')
    table.writeUInt32BE(at, 8 + index * 12)
    table.writeUInt32BE(value.length, 12 + index * 12)
    const padded = Buffer.concat([value, Buffer.alloc((4 - (value.length % 4)) % 4)])
    data.push(padded)
    at += padded.length
  }
  const head = Buffer.alloc(128)
  head.writeUInt32BE(at, 0)
  head.writeUInt32BE(0x04000000, 8)
  head.write('mntrRGB XYZ ', 12, 'latin1')
  head.write('acsp', 36, 'latin1')
  xyz([0.9642, 1, 0.8249]).copy(head, 68, 8)
  return Buffer.concat([head, table, ...data])
}

function xyz(values: Rgb): Buffer {
  const tag = Buffer.alloc(20)
  tag.write('XYZ ', 0, 'latin1')
  values.forEach((value, at) => {
    tag.writeInt32BE(Math.round(value * 65_536), 8 + at * 4)
  })
  return tag
}

function gammaCurve(gamma: number): Buffer {
  return parametricCurve(0, [gamma])
}

/** IEC 61966-2-1. */
function srgbCurve(): Buffer {
  return parametricCurve(3, [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045])
}

function parametricCurve(type: number, parameters: number[]): Buffer {
  const tag = Buffer.alloc(12 + parameters.length * 4)
  tag.write('para', 0, 'latin1')
  tag.writeUInt16BE(type, 8)
  parameters.forEach((value, at) => {
    tag.writeInt32BE(Math.round(value * 65_536), 12 + at * 4)
  })
  return tag
}

function encode(linear: number): number {
  return linear <= 0.0031308 ? linear * 12.92 : 1.055 * linear ** (1 / 2.4) - 0.055
}

/** How much of each column makes the target, by Cramer's rule. */
function solve(columns: Matrix, target: Rgb): Rgb {
  const whole = determinant(columns)
  return [0, 1, 2].map(
    (at) => determinant(columns.map((column, index) => (index === at ? target : column)) as Matrix) / whole,
  ) as Rgb
}

function determinant([a, b, c]: Matrix): number {
  return (
    a[0] * (b[1] * c[2] - b[2] * c[1]) -
    a[1] * (b[0] * c[2] - b[2] * c[0]) +
    a[2] * (b[0] * c[1] - b[1] * c[0])
  )
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
