/** What a camera wrote, in the words that photographers use. Pure. */
import type { AssetExif } from '../api-types.ts'

/** `Fujifilm X-T4`: the maker once, even where the model repeats it. */
export function describeCamera({ make, model }: AssetExif): string | null {
  if (!model) return make ?? null
  if (!make || model.toLowerCase().startsWith(make.toLowerCase().split(' ')[0]!)) return model
  return `${make} ${model}`
}

/** `1/250 s · f/2.8 · 35 mm · ISO 400`, of these what is known. */
export function describeExposure({ exposureTime, fNumber, focalLength, iso }: AssetExif): string | null {
  const parts = [
    exposureTime ? `${exposureTime} s` : null,
    fNumber ? `f/${round(fNumber)}` : null,
    focalLength ? `${round(focalLength)} mm` : null,
    iso ? `ISO ${iso}` : null,
  ].filter((part) => part !== null)
  return parts.length === 0 ? null : parts.join(' · ')
}

export function describePlace(exif: AssetExif): { name: string | null; position: string | null } | null {
  const name = [exif.city, exif.state, exif.country].filter(Boolean).join(', ') || null
  const hasPosition = exif.latitude != null && exif.longitude != null
  const position = hasPosition
    ? `${degrees(exif.latitude!, 'N', 'S')} ${degrees(exif.longitude!, 'E', 'W')}`
    : null
  return name === null && position === null ? null : { name, position }
}

function degrees(value: number, positive: string, negative: string): string {
  return `${Math.abs(value).toFixed(5)}° ${value < 0 ? negative : positive}`
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10)
}
