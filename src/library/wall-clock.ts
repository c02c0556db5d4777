/**
 * Wall-clock time: what a clock on the wall of that place showed. Kept as text (`YYYY-MM-DD HH:mm:ss.SSS`,
 * PostgreSQL's
 * `timestamp`), since a Date would bend it to some zone.
 */
import { AppError } from '../errors.ts'

/**
 * What is stored of times: years of four digits, in every zone. JavaScript writes others as `+010000-...`,
 * which neither PostgreSQL nor Immich's clients read; the database refuses them too
 * (0014-decoders-and-clock.sql).
 */
const EARLIEST_MS = Date.parse('0001-01-02T00:00:00Z')
const LATEST_MS = Date.parse('9999-12-30T00:00:00Z')

/** True for a time that can be stored; false for an invalid one too. */
export function isStorableTime(instant: Date): boolean {
  return instant.getTime() >= EARLIEST_MS && instant.getTime() <= LATEST_MS
}

/** The nearest time that can be stored: a file's date is no reason to refuse the file. Of a valid date. */
export function toStorableTime(instant: Date): Date {
  return new Date(Math.min(LATEST_MS, Math.max(EARLIEST_MS, instant.getTime())))
}

/**
 * False for text that begins with a day that no calendar has: JavaScript takes 30 February for the first or
 * second of March. True for any other text.
 */
export function isRealDay(text: string): boolean {
  const [, year, month, day] = /^\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)/.exec(text) ?? []
  if (year === undefined) return true
  const midnight = new Date(0)
  midnight.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  return midnight.getUTCMonth() === Number(month) - 1 && midnight.getUTCDate() === Number(day)
}

/**
 * The wall clock of a zone at an instant. `zone`: an IANA name, `UTC`, or `UTC+02:00`. Null: no such zone.
 */
export function tryWallClock(instant: Date, zone: string): string | null {
  const offsetMs = offsetOf(instant, zone)
  return offsetMs === null ? null : formatUtc(new Date(instant.getTime() + offsetMs))
}

/** As `tryWallClock`. @throws AppError invalid for a zone that does not exist. */
export function toWallClock(instant: Date, zone: string): string {
  const text = tryWallClock(instant, zone)
  if (text === null) {
    throw new AppError(
      'invalid',
      `timeZone: "${zone}" is not a time zone; use an IANA name or an offset such as UTC+02:00`,
    )
  }
  return text
}

/**
 * ISO 8601 as clients send it: with an offset, that is the place's (`Z` is UTC); without one it is taken for
 * the wall clock of an unknown place, read as UTC. Null: not a date of the years 1 to 9999.
 */
export function parseZonedTime(
  text: string,
): { instant: Date; wallClock: string; zone: string | null } | null {
  const match = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/i.exec(
    text.trim(),
  )
  if (!match) return null
  if (!isRealDay(text.trim())) return null
  const offset = match[1]
  const iso = text.trim().replace(' ', 'T')
  const instant = new Date(offset === undefined && iso.length > 10 ? `${iso}Z` : iso)
  if (!isStorableTime(instant)) return null
  if (offset === undefined) return { instant, wallClock: formatUtc(instant), zone: null }
  const zone = offset.toUpperCase() === 'Z' ? 'UTC' : `UTC${offset.slice(0, 3)}:${offset.slice(-2)}`
  const wallClock = tryWallClock(instant, zone)
  return wallClock === null ? null : { instant, wallClock, zone }
}

function offsetOf(instant: Date, zone: string): number | null {
  const fixed = /^(?:UTC|GMT)(?:([+-])(\d{1,2})(?::?(\d{2}))?)?$/i.exec(zone)
  if (fixed) {
    const minutes = Number(fixed[2] ?? 0) * 60 + Number(fixed[3] ?? 0)
    return minutes > 18 * 60 ? null : (fixed[1] === '-' ? -minutes : minutes) * 60_000
  }
  try {
    const parts = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    }).formatToParts(instant)
    const part = (type: string) => Number(parts.find((each) => each.type === type)?.value)
    const wall = Date.UTC(
      part('year'),
      part('month') - 1,
      part('day'),
      part('hour'),
      part('minute'),
      part('second'),
    )
    return wall - Math.floor(instant.getTime() / 1000) * 1000
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

function formatUtc(date: Date): string {
  return date.toISOString().replace('T', ' ').replace('Z', '')
}
