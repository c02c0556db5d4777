/**
 * Runs in a media process. Which colours a picture's numbers stand for: its ICC profile, read no further than
 * that.
 */
import sharp from 'sharp'

/** Every ICC profile (ICC.1, 7.2): a head of 128 bytes, then a table of tags of 12 bytes each. */
const HEAD_BYTES = 128
const MOST_TAGS = 100
const COLORANTS = ['rXYZ', 'gXYZ', 'bXYZ'] as const

type Vector = readonly [number, number, number]

/** XYZ relative to D50, as in profiles, to linear sRGB (IEC 61966-2-1, adapted with Bradford's matrix). */
const TO_LINEAR_SRGB: readonly Vector[] = [
  [3.1338561, -1.6168667, -0.4906146],
  [-0.9787684, 1.9161415, 0.033454],
  [0.0719453, -0.2289914, 1.4052427],
]
/** Display P3's, red, green and blue, as in the profile that Apple's devices write. */
const P3_COLORANTS: readonly Vector[] = [
  [0.5151, 0.2412, -0.0011],
  [0.292, 0.6922, 0.0419],
  [0.1571, 0.0666, 0.7841],
]
/** What rounding in a profile may make of sRGB's own colorants; Display P3's green is -0.22 there. */
const TOLERANCE = 0.02
/** Apple's has 548 bytes. What goes into every thumbnail must be small. */
const MOST_PROFILE_BYTES = 1_024

/**
 * `srgb`: no colour of the profile lies outside of sRGB, or it is not one of red, green and blue. `p3`: its
 * numbers are Display P3's already. `wide`: it reaches beyond sRGB otherwise (Adobe RGB, ProPhoto), or tells
 * its colours by a table.
 */
export function gamutOf(profile: Buffer | undefined): 'srgb' | 'p3' | 'wide' {
  if (profile === undefined || profile.length < HEAD_BYTES + 4) return 'srgb'
  if (profile.toString('latin1', 36, 40) !== 'acsp' || profile.toString('latin1', 16, 20) !== 'RGB ')
    return 'srgb'
  const colorants = COLORANTS.map((name) => xyzOf(profile, name))
  if (colorants.some((one) => one === null)) return 'wide'
  const primaries = colorants as Vector[]
  const isP3 = primaries.every((one, at) =>
    one.every((value, axis) => Math.abs(value - P3_COLORANTS[at]![axis]!) < 0.002),
  )
  if (isP3 && profile.length <= MOST_PROFILE_BYTES) return 'p3'
  return primaries.some(isOutsideSrgb) ? 'wide' : 'srgb'
}

function isOutsideSrgb(xyz: Vector): boolean {
  return TO_LINEAR_SRGB.some((row) => row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2] < -TOLERANCE)
}

function xyzOf(profile: Buffer, name: string): Vector | null {
  const count = Math.min(MOST_TAGS, profile.readUInt32BE(HEAD_BYTES))
  for (
    let entry = HEAD_BYTES + 4;
    entry + 12 <= profile.length && entry < HEAD_BYTES + 4 + count * 12;
    entry += 12
  ) {
    if (profile.toString('latin1', entry, entry + 4) !== name) continue
    const at = profile.readUInt32BE(entry + 4)
    if (at + 20 > profile.length || profile.toString('latin1', at, at + 4) !== 'XYZ ') return null
    const value = (index: number) => profile.readInt32BE(at + 8 + index * 4) / 65_536
    return [value(0), value(1), value(2)]
  }
  return null
}

/**
 * True where an ISO media file (HEIF, AVIF) says by numbers alone that its primaries are Display P3's
 * (ISO/IEC 23091-2: 12), with an ordinary curve: no decoder turns that into a profile.
 */
export function saysDisplayP3(file: Buffer): boolean {
  if (file.toString('latin1', 4, 8) !== 'ftyp') return false
  const at = file.indexOf('colrnclx', 0, 'latin1')
  if (at < 0 || at + 12 > file.length) return false
  const [primaries, transfer] = [file.readUInt16BE(at + 8), file.readUInt16BE(at + 10)]
  return primaries === 12 && [1, 2, 6, 13].includes(transfer)
}

let p3: Promise<Buffer> | null = null

/** libvips' own profile of Display P3, 480 bytes. */
export function displayP3(): Promise<Buffer> {
  p3 ??= sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } })
    .withIccProfile('p3')
    .png()
    .toBuffer()
    .then((png) => sharp(png).metadata())
    .then(({ icc }) => {
      if (icc === undefined) throw new Error('libvips has no profile of Display P3')
      return icc
    })
  return p3
}
