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
  'DateTimeUTC',
  'SonyDateTime2',
  'SourceImageCreateTime',
] as const
/** Instants, not what a clock at the place showed. */
const UTC_TAGS: readonly string[] = ['GPSDateTime', 'DateTimeUTC', 'SonyDateTime2']
/**
 * A film's `CreationDate` (Apple) and `DateTimeOriginal` carry a zone, its `CreateDate` is UTC, often the end
 * of it.
 */
const VIDEO_DATE_TAGS = ['CreationDate', 'DateTimeOriginal', 'SubSecDateTimeOriginal', 'CreateDate'] as const

/** Zero in QuickTime (1904) and in Unix time (1970): written by who knew nothing better. */
const UNSET_MS = new Set([Date.UTC(1904, 0), Date.UTC(1970, 0)])

/**
 * When a picture or film was taken. A sidecar's date comes before the file's, and one with a time before a
 * bare date, wherever the list has them. `localDateTime` is the wall clock as written; the zone is that of
 * the date itself, else one that exiftool-vendored inferred (offset tags, the GPS position, another time of
 * the file that is in UTC). Without a zone the wall clock is read as UTC, so that the answer does not depend
 * on where the server stands.
 */
export function takenAtOf(tags: Tags, sidecar: Tags | null, isVideo: boolean): TakenAt {
  const zone = zoneOf(sidecar) ?? zoneOf(tags)
  const beside = datesOf(sidecar, zone, isVideo)
  const inside = datesOf(tags, zone, isVideo)
  if (beside.full !== null) return beside.full
  // A sidecar that knows the day alone does not take away the time of the same day.
  if (beside.day === null || isSameDay(beside.day, inside.full)) {
    return inside.full ?? beside.day ?? inside.day ?? { takenAt: null, localDateTime: null, timeZone: null }
  }
  return beside.day
}

/** The first date with a time, and the first without one. */
function datesOf(
  tags: Tags | null,
  zone: string | null,
  isVideo: boolean,
): { full: TakenAt | null; day: TakenAt | null } {
  const names = isVideo ? [...VIDEO_DATE_TAGS, ...PHOTO_DATE_TAGS] : PHOTO_DATE_TAGS
  let day: TakenAt | null = null
  for (const name of tags === null ? [] : names) {
    const value = tags?.[name as keyof Tags]
    // A film's dates are in UTC.
    const isInstant = isVideo || UTC_TAGS.includes(name)
    const found = readDate(value, zone, isInstant)
    if (found === null || (isInstant && isUnset(found))) continue
    if (value instanceof ExifDateTime) return { full: found, day }
    day ??= found
  }
  return { full: null, day }
}

function isSameDay(one: TakenAt, other: TakenAt | null): boolean {
  return one.localDateTime?.slice(0, 10) === other?.localDateTime?.slice(0, 10)
}

/** When the file says that its picture was last changed. */
export function modifiedAtOf(tags: Tags): Date | null {
  return readDate(tags.SubSecModifyDate ?? tags.ModifyDate, zoneOf(tags), false)?.takenAt ?? null
}

function isUnset(found: TakenAt): boolean {
  return found.takenAt !== null && UNSET_MS.has(found.takenAt.getTime())
}

/** A zone that somebody or something said; null where the library only took it for granted. */
function zoneOf(tags: Tags | null): string | null {
  if (tags === null || tags.tzSource === 'defaultVideosToUTC') return null
  // Only Samsung's `TimeStamp` is in UTC. Of others, such as Canon's, which is local, the difference is zero.
  if (tags.tzSource?.endsWith(' and TimeStamp') && zoneName(tags.tz ?? '') === 'UTC') return null
  return tags.tz ?? null
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
  // Every client takes four-digit years only, in any zone; before photography means a broken clock.
  if (!moment.isValid || moment.year < 1800 || moment.year > 9998) return null
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
