import { ExifDate, ExifDateTime, type Tags } from 'exiftool-vendored'

export type TakenAt = { takenAt: Date | null; localDateTime: string | null; timeZone: string | null }

/** Where the moment of taking is looked for, best first. */
const PHOTO_DATE_TAGS = [
  'SubSecDateTimeOriginal',
  'DateTimeOriginal',
  'SubSecCreateDate',
  'CreationDate',
  'CreateDate',
  'SubSecMediaCreateDate',
  'MediaCreateDate',
  'DigitalCreationDateTime',
  'DateTimeCreated',
  'DateCreated',
  'GPSDateTime',
] as const
/** A film's `CreationDate` (Apple) and `DateTimeOriginal` carry a zone, its `CreateDate` is UTC, often the end of it. */
const VIDEO_DATE_TAGS = ['CreationDate', 'DateTimeOriginal', 'SubSecDateTimeOriginal', 'CreateDate'] as const

/** Zero in QuickTime (1904) and in Unix time (1970): written by who knew nothing better. */
const UNSET_MS = new Set([Date.UTC(1904, 0), Date.UTC(1970, 0)])

/**
 * When a picture or film was taken. A sidecar's date comes before the file's. `localDateTime` is the wall clock as
 * written; the zone is that of the date itself, else one that exiftool-vendored inferred (offset tags, then the GPS
 * position, then the difference to GPS time). Without a zone the wall clock is read as UTC, so that the answer does not
 * depend on where the server stands.
 */
export function takenAtOf(tags: Tags, sidecar: Tags | null, isVideo: boolean): TakenAt {
  const names = isVideo ? [...VIDEO_DATE_TAGS, ...PHOTO_DATE_TAGS] : PHOTO_DATE_TAGS
  const zone = zoneOf(sidecar) ?? zoneOf(tags)
  for (const source of [sidecar, tags]) {
    for (const name of source === null ? [] : names) {
      // A film's UTC and a satellite's are instants, not what a clock at the place showed.
      const isInstant = isVideo || name === 'GPSDateTime'
      const found = readDate(source?.[name as keyof Tags], zone, isInstant)
      if (found !== null && !(isInstant && isUnset(found))) return found
    }
  }
  return { takenAt: null, localDateTime: null, timeZone: null }
}

/** When the file says that its picture was last changed. */
export function modifiedAtOf(tags: Tags): Date | null {
  return readDate(tags.SubSecModifyDate ?? tags.ModifyDate, zoneOf(tags), false)?.takenAt ?? null
}

function isUnset(found: TakenAt): boolean {
  return found.takenAt !== null && UNSET_MS.has(found.takenAt.getTime())
}

function zoneOf(tags: Tags | null): string | null {
  return tags === null || tags.tzSource === 'defaultVideosToUTC' ? null : (tags.tz ?? null)
}

/** `isInstant`: a value in UTC is moved to the zone of the place. */
function readDate(value: unknown, placeZone: string | null, isInstant: boolean): TakenAt | null {
  if (value instanceof ExifDate) {
    if (!value.isFullDate()) return null
    return readDate(new ExifDateTime(value.year, value.month, value.day, 0, 0, 0), placeZone, false)
  }
  if (!(value instanceof ExifDateTime)) return null
  const isUtc = value.zone !== undefined && zoneName(value.zone) === 'UTC'
  // exiftool-vendored takes a film without a place to be in UTC, which says nothing about where it was.
  const zone = isInstant && isUtc ? placeZone : (value.zone ?? placeZone)
  const written = value.toDateTime(value.zone ?? zone ?? 'UTC')
  const moment = zone === null ? written : written.setZone(zone)
  // PostgreSQL and every client take four-digit years only; before photography means a broken clock.
  if (!moment.isValid || moment.year < 1800 || moment.year > 9999) return null
  return {
    takenAt: moment.toJSDate(),
    localDateTime: moment.toFormat("yyyy-MM-dd'T'HH:mm:ss.SSS"),
    timeZone: zone === null ? null : zoneName(zone),
  }
}

/** `UTC+2` becomes `UTC+02:00`; names stay. */
function zoneName(zone: string): string {
  const offset = /^(?:UTC|GMT)([+-])(\d{1,2})(?::?(\d{2}))?$/i.exec(zone)
  if (offset === null) return /^(?:UTC|GMT|Z|Etc\/UTC)$/i.test(zone) ? 'UTC' : zone
  return `UTC${offset[1]}${(offset[2] ?? '').padStart(2, '0')}:${offset[3] ?? '00'}`
}
