import { BinaryField, type Tags } from 'exiftool-vendored'
import type { MediaFacts, TagFacts } from '../facts.ts'
import { modifiedAtOf, takenAtOf } from './dates.ts'
import { detailsOf } from './details.ts'
import { lensOf } from './lens.ts'
import { cleanText, count, number, positive, stated } from './values.ts'

/** The embedded pictures of RAW files that are whole photographs rather than stamps. */
const EMBEDDED_PICTURES = [
  'JpgFromRaw',
  'JpgFromRaw2',
  'PreviewImage',
  'OtherImage',
  'PreviewJXL',
  'ThumbnailImage',
] as const
/** An electronic shutter is open for 1/180,000 s; a pinhole camera's for months. */
const EXPOSURE_SECONDS = { least: 1e-6, most: 1e8 }
/** 31 years: what is longer is a damaged header. */
export const MAX_DURATION_MS = 1e12

/**
 * Facts from ExifTool's tags. A sidecar's value comes before the file's. What makes no sense becomes null.
 */
export function factsFromTags(tags: Tags, sidecar: Tags | null, isVideo: boolean): TagFacts {
  const sources = [sidecar, tags]
  const text = (...names: string[]) => stated(sources, names, cleanText)
  const stored = sizeOf(tags)
  const orientation = orientationOf(sidecar?.Orientation) ?? orientationOf(tags.Orientation)
  const isTurned = orientation !== null && orientation >= 5
  return {
    width: isTurned ? stored.height : stored.width,
    height: isTurned ? stored.width : stored.height,
    exifImageWidth: stored.width,
    exifImageHeight: stored.height,
    orientation,
    ...takenAtOf(tags, sidecar, isVideo),
    modifiedAt: modifiedAtOf(tags),
    // Of a picture, `DeviceManufacturer` is who made its colour profile.
    make: text('Make', 'AndroidMake', ...(isVideo ? ['DeviceManufacturer'] : [])),
    model: text('Model', 'AndroidModel', ...(isVideo ? ['DeviceModelName'] : [])),
    lensModel: lensOf(sidecar, tags),
    fNumber: apertureOf(sidecar?.FNumber) ?? apertureOf(tags.FNumber),
    focalLength: positive(sidecar?.FocalLength) ?? positive(tags.FocalLength),
    iso: isoOf(sidecar?.ISO) ?? isoOf(tags.ISO),
    exposureTime: exposureOf(tags.ExposureTime),
    ...(positionOf(sidecar) ?? positionOf(tags) ?? { latitude: null, longitude: null }),
    description: text('ImageDescription', 'Description', 'Caption-Abstract'),
    rating: stated(sources, ['Rating'], ratingOf),
    projectionType: text('ProjectionType')?.toUpperCase() ?? null,
    durationMs: isVideo ? durationOf(tags.Duration) : null,
    livePhotoId: text('ContentIdentifier', 'MediaGroupUUID'),
    embeddedPicture: embeddedPictureOf(tags),
    details: detailsOf(tags, sidecar),
  }
}

/**
 * As stored. A RAW file's own `ImageWidth` may be that of a picture embedded in it; ExifTool's `ImageSize`
 * knows the makers' other places.
 */
function sizeOf(tags: Tags): { width: number | null; height: number | null } {
  const [width, height] = String(tags.ImageSize ?? '')
    .split(/[ x]/)
    .map(count)
  if (width && height) return { width, height }
  return { width: count(tags.ImageWidth), height: count(tags.ImageHeight) }
}

/** A number, or in words that hold one, such as `Auto (200)`. Of a list, the first. */
function isoOf(value: unknown): number | null {
  const first = Array.isArray(value) ? value[0] : value
  if (typeof first !== 'string' || number(first) !== null) return count(first)
  return count(/\b\d{2,7}\b/.exec(first)?.[0])
}

function orientationOf(value: unknown): number | null {
  const parsed = number(value)
  return parsed !== null && Number.isInteger(parsed) && parsed >= 1 && parsed <= 8 ? parsed : null
}

/** XMP: -1 is rejected, 0 is not rated. */
function ratingOf(value: unknown): number | null {
  const parsed = number(value)
  if (parsed === null) return null
  const rating = Math.round(parsed)
  return rating !== 0 && rating >= -1 && rating <= 5 ? rating : null
}

/** Rounded as it is engraved on lenses. */
function apertureOf(value: unknown): number | null {
  const parsed = positive(value)
  return parsed === null ? null : Number(parsed.toFixed(parsed < 1 ? 2 : 1))
}

/** As ExifTool writes it: a fraction below a quarter of a second, else one decimal. */
function exposureOf(value: unknown): string | null {
  const fraction = typeof value === 'string' ? /^(\d+)\/(\d+)$/.exec(value.trim()) : null
  const seconds = fraction ? Number(fraction[1]) / Number(fraction[2]) : Number(value ?? Number.NaN)
  if (seconds === null || !(seconds >= EXPOSURE_SECONDS.least && seconds <= EXPOSURE_SECONDS.most))
    return null
  return seconds < 0.25001 ? `1/${Math.floor(0.5 + 1 / seconds)}` : String(Number(seconds.toFixed(1)))
}

/** 0, 0 is a receiver without a fix, not a place off Ghana. */
function positionOf(tags: Tags | null): { latitude: number; longitude: number } | null {
  const latitude = number(tags?.GPSLatitude)
  const longitude = number(tags?.GPSLongitude)
  if (latitude === null || longitude === null || (latitude === 0 && longitude === 0)) return null
  if (Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return null
  return { latitude, longitude }
}

function durationOf(value: unknown): number | null {
  const seconds =
    typeof value === 'object' && value !== null && 'Scale' in value && 'Value' in value
      ? Number(value.Scale) * Number(value.Value)
      : number(value)
  return seconds !== null && seconds > 0 && seconds * 1000 <= MAX_DURATION_MS
    ? Math.round(seconds * 1000)
    : null
}

function embeddedPictureOf(tags: Tags): MediaFacts['embeddedPicture'] {
  const all = tags as Record<string, unknown>
  return EMBEDDED_PICTURES.reduce<MediaFacts['embeddedPicture']>((best, tag) => {
    const field = all[tag]
    if (!(field instanceof BinaryField) || field.bytes <= (best?.bytes ?? 0)) return best
    return { tag, bytes: field.bytes }
  }, null)
}
