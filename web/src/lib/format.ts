/** Numbers and dates as people read them. Pure; English only, so that a test can know the answer. */

const NUMBER = new Intl.NumberFormat('en-US')

export function formatCount(count: number): string {
  return NUMBER.format(count)
}

/** `1 photo`, `2 photos`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}

/** Binary units with three significant digits: `3.42 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)} ${units[unit]}`
}

/** A clip's length: `0:07`, `12:30`, `1:02:03`. */
export function formatClip(durationMs: number): string {
  const seconds = Math.round(durationMs / 1000)
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const shown = parts[0] === 0 ? parts.slice(1) : parts
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
}

/** Time left, roughly: `40 s`, `6 min`, `2 h 10 min`. */
export function formatTimeLeft(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.ceil(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export const MONTH_NAMES = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const
const DAY_NAMES = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const

/** `YYYY-MM-01` as `July 2019`. */
export function formatMonth(key: string): string {
  return `${MONTH_NAMES[Number(key.slice(5, 7)) - 1] ?? ''} ${Number(key.slice(0, 4))}`
}

/** Day 14 of `2019-07-01` as `Sunday 14 July 2019`. */
export function formatDay(monthKey: string, day: number): string {
  return `${weekday(monthKey, day)} ${day} ${formatMonth(monthKey)}`
}

/** Day 14 of `2019-07-01` as `Sun 14`; the number alone where there is no room for more. */
export function formatDayLabel(monthKey: string, day: number, widthPx: number): string {
  return widthPx < 56 ? String(day) : `${weekday(monthKey, day).slice(0, 3)} ${day}`
}

function weekday(monthKey: string, day: number): string {
  return DAY_NAMES[
    new Date(Date.UTC(Number(monthKey.slice(0, 4)), Number(monthKey.slice(5, 7)) - 1, day)).getUTCDay()
  ]!
}

/** A local wall clock written as if UTC, as `Sunday 14 July 2019, 18:05`. */
export function formatWallClock(iso: string): string {
  return `${formatDay(iso, Number(iso.slice(8, 10)))}, ${iso.slice(11, 16)}`
}

/** The same where there is little room: `14 Jul 2019, 18:05`. */
export function formatWallClockShort(iso: string): string {
  const [day, month, year] = [Number(iso.slice(8, 10)), formatMonth(iso).slice(0, 3), Number(iso.slice(0, 4))]
  return `${day} ${month} ${year}, ${iso.slice(11, 16)}`
}

/** How long ago, coarsely: `just now`, `5 min ago`, `3 h ago`, `12 days ago`. */
export function formatAgo(iso: string, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - new Date(iso).getTime()) / 1000)
  if (seconds < 10) return 'just now'
  if (seconds < 60) return `${Math.floor(seconds)} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return `${plural(Math.floor(seconds / 86_400), 'day')} ago`
}

/**
 * A date that people type: `2019`, `2019-07`, `2019-07-14`, `July 2019`, `14 july 2019`. Null where it is
 * none.
 */
export function parseDate(text: string): { year: number; month: number | null; day: number | null } | null {
  const trimmed = text.trim().toLowerCase()
  const iso = /^(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?$/.exec(trimmed)
  if (iso) return checkedDate(Number(iso[1]), iso[2] ? Number(iso[2]) : null, iso[3] ? Number(iso[3]) : null)
  const words = /^(?:(\d{1,2})\.?\s+)?([a-z]{3,})\s+(?:(\d{1,2}),?\s+)?(\d{4})$/.exec(trimmed)
  if (!words) return null
  const month = MONTH_NAMES.findIndex((name) => name.toLowerCase().startsWith(words[2]!))
  if (month < 0) return null
  const day = words[1] ?? words[3]
  return checkedDate(Number(words[4]), month + 1, day ? Number(day) : null)
}

function checkedDate(year: number, month: number | null, day: number | null) {
  if (month !== null && (month < 1 || month > 12)) return null
  if (day !== null && (day < 1 || day > 31)) return null
  return { year, month, day }
}
