/**
 * Wall-clock time: what a clock on the wall of that place showed. Kept as text (`YYYY-MM-DD HH:mm:ss.SSS`, PostgreSQL's
 * `timestamp`), since a Date would bend it to some zone.
 */
import { AppError } from '../errors.ts'

/** The wall clock of a zone at an instant. `zone`: an IANA name, `UTC`, or `UTC+02:00`. Null: no such zone. */
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
      `timeZone: "${zone}" is none; use an IANA name or an offset such as UTC+02:00`,
    )
  }
  return text
}

/**
 * ISO 8601 as clients send it: with an offset, that is the place's (`Z` is UTC); without one it is taken for the wall clock
 * of an unknown place, read as UTC. Null: not a date of the years 1 to 9999.
 */
export function parseZonedTime(
  text: string,
): { instant: Date; wallClock: string; zone: string | null } | null {
  const match = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/i.exec(
    text.trim(),
  )
  if (!match) return null
  const offset = match[1]
  const iso = text.trim().replace(' ', 'T')
  const instant = new Date(offset === undefined && iso.length > 10 ? `${iso}Z` : iso)
  if (Number.isNaN(instant.getTime()) || instant.getUTCFullYear() < 1) return null
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
