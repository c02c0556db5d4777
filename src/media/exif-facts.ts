import { BinaryField, type Tags } from 'exiftool-vendored'
import { modifiedAtOf, takenAtOf } from './dates.ts'
import type { MediaFacts, TagFacts } from './facts.ts'

/** The embedded pictures of RAW files that are whole photographs rather than stamps. */
const EMBEDDED_PICTURES = [
  'JpgFromRaw',
  'JpgFromRaw2',
  'PreviewImage',
  'OtherImage',
  'PreviewJXL',
  'ThumbnailImage',
] as const
const MAX_INT = 2 ** 31 - 1
const MAX_TEXT = 10_000

/** Facts from ExifTool's tags. A sidecar's value comes before the file's. What makes no sense becomes null. */
export function factsFromTags(tags: Tags, sidecar: Tags | null, isVideo: boolean): TagFacts {
  const first = (...names: (keyof Tags)[]) => firstText(sidecar, names) ?? firstText(tags, names)
  const stored = { width: count(tags.ImageWidth), height: count(tags.ImageHeight) }
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
    make: first('Make', 'AndroidMake' as keyof Tags),
    model: first('Model', 'AndroidModel' as keyof Tags),
    lensModel: lensOf(first('LensModel'), first('LensID'), first('Lens')),
    fNumber: apertureOf(sidecar?.FNumber) ?? apertureOf(tags.FNumber),
    focalLength: positive(sidecar?.FocalLength) ?? positive(tags.FocalLength),
    iso: count(sidecar?.ISO) ?? count(tags.ISO),
    exposureTime: exposureOf(tags.ExposureTime),
    ...(positionOf(sidecar) ?? positionOf(tags) ?? { latitude: null, longitude: null }),
    description: first('ImageDescription', 'Description', 'Caption-Abstract'),
    rating: ratingOf(sidecar?.Rating) ?? ratingOf(tags.Rating),
    projectionType: first('ProjectionType')?.toUpperCase() ?? null,
    durationMs: isVideo ? durationOf(tags.Duration) : null,
    livePhotoId: first('ContentIdentifier', 'MediaGroupUUID' as keyof Tags),
    motionPhoto: isVideo ? null : motionPhotoOf(tags),
    embeddedPicture: embeddedPictureOf(tags),
  }
}

/** Text that PostgreSQL can store and a person can read: no NUL, no control characters, no half characters. */
export function cleanText(value: unknown): string | null {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string') return null
  const cleaned = text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to go
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '')
    .toWellFormed()
    .trim()
    .slice(0, MAX_TEXT)
  return cleaned === '' ? null : cleaned
}

function firstText(tags: Tags | null, names: (keyof Tags)[]): string | null {
  for (const name of names) {
    const text = cleanText(tags?.[name])
    if (text !== null) return text
  }
  return null
}

function number(value: unknown): number | null {
  const parsed = typeof value === 'string' ? Number.parseFloat(value) : value
  return typeof parsed === 'number' && Number.isFinite(parsed) ? parsed : null
}

function positive(value: unknown): number | null {
  const parsed = number(value)
  return parsed !== null && parsed > 0 && parsed < MAX_INT ? parsed : null
}

function count(value: unknown): number | null {
  const parsed = positive(value)
  return parsed === null || Math.round(parsed) < 1 ? null : Math.round(parsed)
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

/** A number alone is the maker's code, not a name; `50.0 mm` is the focal length again. */
function lensOf(...names: (string | null)[]): string | null {
  return names.find((name) => name !== null && /[a-z]/i.test(name) && !/^[\d.-]+ ?mm$/i.test(name)) ?? null
}

/** Rounded as it is engraved on lenses. */
function apertureOf(value: unknown): number | null {
  const parsed = positive(value)
  return parsed === null ? null : Number(parsed.toFixed(parsed < 1 ? 2 : 1))
}

/** As ExifTool writes it: a fraction below a quarter of a second, else one decimal. */
function exposureOf(value: unknown): string | null {
  if (typeof value === 'number') {
    if (!(value > 0 && value < MAX_INT)) return null
    return value < 0.25001 ? `1/${Math.floor(0.5 + 1 / value)}` : String(Number(value.toFixed(1)))
  }
  const text = cleanText(value)
  return text !== null && /^(?:\d+\/[1-9]\d*|\d+(?:\.\d+)?)$/.test(text) && number(text) !== 0 ? text : null
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
  return seconds !== null && Number.isFinite(seconds) && seconds > 0 ? Math.round(seconds * 1000) : null
}

/**
 * Google (`MotionPhoto`, before 2018 `MicroVideo`) notes the film's length in XMP; Samsung appends it in a trailer.
 */
function motionPhotoOf(tags: Tags): MediaFacts['motionPhoto'] {
  const all = tags as Record<string, unknown>
  const isMotion =
    number(all.MotionPhoto) === 1 || number(all.MicroVideo) === 1 || cleanText(all.EmbeddedVideoType) !== null
  if (!isMotion) return null
  const lengths = Array.isArray(all.DirectoryItemLength) ? all.DirectoryItemLength : [all.DirectoryItemLength]
  const video = all.EmbeddedVideoFile
  const length =
    count(all.MicroVideoOffset) ??
    count(lengths.at(-1)) ??
    (video instanceof BinaryField ? video.bytes : null)
  return { bytesFromEnd: length }
}

function embeddedPictureOf(tags: Tags): MediaFacts['embeddedPicture'] {
  const all = tags as Record<string, unknown>
  return EMBEDDED_PICTURES.reduce<MediaFacts['embeddedPicture']>((best, tag) => {
    const field = all[tag]
    if (!(field instanceof BinaryField) || field.bytes <= (best?.bytes ?? 0)) return best
    return { tag, bytes: field.bytes }
  }, null)
}
