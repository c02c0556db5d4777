/**
 * The variables of a path template, with Immich's names: a template that was written for it says the same
 * here. Pure.
 *
 * Times are those of the photo's own clock, as the timeline has them. Immich takes its server's zone, which
 * puts a photo of a New Year's night in Tokyo into another year than the timeline does.
 */
import { extname } from 'node:path'

/** What a path may be made of. */
export type PathSubject = {
  assetId: string
  /** With its extension. */
  name: string
  type: 'IMAGE' | 'VIDEO' | 'AUDIO' | 'OTHER'
  /** Of the photo's own clock, as a UTC instant with the same digits. */
  takenAt: Date
  make: string | null
  model: string | null
  lensModel: string | null
  /** The one that was made last, of all that hold the photo; days as `takenAt`. */
  album: { name: string; startsAt: Date; endsAt: Date } | null
}

const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
]
const DAY_MS = 86_400_000

const two = (value: number) => String(value).padStart(2, '0')

/** Of ISO 8601: the week of the year that the week's Thursday lies in. */
function weekOf(time: Date): number {
  const midnight = Date.UTC(time.getUTCFullYear(), time.getUTCMonth(), time.getUTCDate())
  const thursday = new Date(midnight + (4 - (time.getUTCDay() || 7)) * DAY_MS)
  return 1 + Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / (7 * DAY_MS))
}

const hour12 = (time: Date) => time.getUTCHours() % 12 || 12

/** Luxon's letters, as Immich documents them. Names of months are English, wherever the server stands. */
export const TIME_TOKENS: Readonly<Record<string, (time: Date) => string>> = {
  y: (time) => String(time.getUTCFullYear()),
  yy: (time) => two(time.getUTCFullYear() % 100),
  M: (time) => String(time.getUTCMonth() + 1),
  MM: (time) => two(time.getUTCMonth() + 1),
  MMM: (time) => MONTHS[time.getUTCMonth()]!.slice(0, 3),
  MMMM: (time) => MONTHS[time.getUTCMonth()]!,
  W: (time) => String(weekOf(time)),
  WW: (time) => two(weekOf(time)),
  d: (time) => String(time.getUTCDate()),
  dd: (time) => two(time.getUTCDate()),
  h: (time) => String(hour12(time)),
  hh: (time) => two(hour12(time)),
  H: (time) => String(time.getUTCHours()),
  HH: (time) => two(time.getUTCHours()),
  m: (time) => String(time.getUTCMinutes()),
  mm: (time) => two(time.getUTCMinutes()),
  s: (time) => String(time.getUTCSeconds()),
  ss: (time) => two(time.getUTCSeconds()),
  SSS: (time) => String(time.getUTCMilliseconds()).padStart(3, '0'),
}

const FILE_TYPES = { IMAGE: 'IMG', VIDEO: 'VID', AUDIO: 'AUD', OTHER: 'OTHER' } as const

const OTHERS: Readonly<Record<string, (subject: PathSubject) => string>> = {
  filename: ({ name }) => name.slice(0, name.length - extname(name).length),
  ext: ({ name }) => extname(name).slice(1).toLowerCase(),
  filetype: ({ type }) => FILE_TYPES[type],
  filetypefull: ({ type }) => type,
  assetId: ({ assetId }) => assetId,
  assetIdShort: ({ assetId }) => assetId.slice(-12),
  make: ({ make }) => make ?? '',
  model: ({ model }) => model ?? '',
  lensModel: ({ lensModel }) => lensModel ?? '',
  album: ({ album }) => album?.name ?? '',
}

/** Each variable and its value, which is empty where the photo has none. */
export const VARIABLES: ReadonlyMap<string, (subject: PathSubject) => string> = new Map([
  ...Object.entries(TIME_TOKENS).flatMap(([token, text]): [string, (subject: PathSubject) => string][] => [
    [token, ({ takenAt }) => text(takenAt)],
    [`album-startDate-${token}`, ({ album }) => (album === null ? '' : text(album.startsAt))],
    [`album-endDate-${token}`, ({ album }) => (album === null ? '' : text(album.endsAt))],
  ]),
  ...Object.entries(OTHERS),
])
