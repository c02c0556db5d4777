/** What is searched for: in the address of the page, in words, and as the server is asked. Pure. */
import { formatDay, formatMonth } from '../format.ts'

export const TEXT_FIELDS = [
  'originalFileName',
  'description',
  'originalPath',
  'make',
  'model',
  'lensModel',
  'city',
  'state',
  'country',
] as const
export type TextField = (typeof TEXT_FIELDS)[number]
const FLAGS = ['isFavorite', 'isNotInAlbum', 'isMotion', 'isArchived'] as const
type Flag = (typeof FLAGS)[number]

/** `takenFrom`, `takenTo`: whole days, included, `YYYY-MM-DD`. `rating`: 1 to 5, 0 for none. */
export type SearchQuery = { [Name in TextField]?: string } & { [Name in Flag]?: true } & {
  type?: 'IMAGE' | 'VIDEO'
  rating?: number
  takenFrom?: string
  takenTo?: string
}
export type SearchKey = keyof SearchQuery

const TEXT_WORDS: Record<TextField, (value: string) => string> = {
  originalFileName: (value) => `File name: ${value}`,
  description: (value) => `Description: ${value}`,
  originalPath: (value) => `Path: ${value}`,
  make: (value) => `Camera: ${value}`,
  model: (value) => `Camera: ${value}`,
  lensModel: (value) => `Lens: ${value}`,
  city: (value) => value,
  state: (value) => value,
  country: (value) => value,
}
const FLAG_WORDS: Record<Flag, string> = {
  isFavorite: 'Favourites',
  isNotInAlbum: 'In no album',
  isMotion: 'Live photos',
  isArchived: 'Archived',
}
const DAY = /^\d{4}-\d{2}-\d{2}$/

/** Only what the address may say: the rest of it is not for us, or was cut. */
export function readQuery(params: Pick<URLSearchParams, 'get'>): SearchQuery {
  const query: SearchQuery = {}
  for (const name of TEXT_FIELDS) {
    const value = params.get(name)?.trim()
    if (value) query[name] = value
  }
  for (const name of FLAGS) if (params.get(name) === 'true') query[name] = true
  const type = params.get('type')
  if (type === 'IMAGE' || type === 'VIDEO') query.type = type
  const rating = params.get('rating')
  if (rating !== null && /^[0-5]$/.test(rating)) query.rating = Number(rating)
  for (const name of ['takenFrom', 'takenTo'] as const) {
    const day = params.get(name)
    if (day !== null && DAY.test(day)) query[name] = day
  }
  return query
}

/** The part of the address after `?`; '' for a search of nothing in particular. */
export function writeQuery(query: SearchQuery): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, String(value))
  return params.toString()
}

export function isEmptyQuery(query: SearchQuery): boolean {
  return writeQuery(query) === ''
}

/** The fields of `POST /search/metadata`. Days are those of this browser's zone. */
export function toSearchBody(query: SearchQuery): Record<string, unknown> {
  const { takenFrom, takenTo, isArchived, rating, ...rest } = query
  return {
    ...rest,
    ...(isArchived && { visibility: 'archive' }),
    // Unrated is null for the server.
    ...(rating !== undefined && { rating: rating === 0 ? null : rating }),
    ...(takenFrom !== undefined && { takenAfter: new Date(`${takenFrom}T00:00:00`).toISOString() }),
    ...(takenTo !== undefined && { takenBefore: new Date(`${takenTo}T23:59:59.999`).toISOString() }),
  }
}

export type Chip = { keys: SearchKey[]; label: string }

/** One for each thing that is asked, to be read and to be taken away. */
export function chipsOf(query: SearchQuery): Chip[] {
  const chips: Chip[] = []
  for (const name of TEXT_FIELDS) {
    const value = query[name]
    if (value === undefined) continue
    // A model says its maker, mostly.
    if (name === 'make' && query.model?.toLowerCase().startsWith(value.toLowerCase())) continue
    chips.push({ keys: name === 'model' ? ['make', 'model'] : [name], label: TEXT_WORDS[name](value) })
  }
  if (query.type) chips.push({ keys: ['type'], label: query.type === 'VIDEO' ? 'Videos' : 'Photos' })
  if (query.rating !== undefined) chips.push({ keys: ['rating'], label: ratingWords(query.rating) })
  for (const name of FLAGS) if (query[name]) chips.push({ keys: [name], label: FLAG_WORDS[name] })
  const days = daysInWords(query)
  if (days !== null) chips.push({ keys: ['takenFrom', 'takenTo'], label: days })
  return chips
}

export function withoutKeys(query: SearchQuery, keys: readonly SearchKey[]): SearchQuery {
  return Object.fromEntries(Object.entries(query).filter(([key]) => !keys.includes(key as SearchKey)))
}

export function ratingWords(rating: number): string {
  return rating === 0 ? 'Not rated' : `Rated ${'★'.repeat(rating)}`
}

function daysInWords({ takenFrom: from, takenTo: to }: SearchQuery): string | null {
  if (from === undefined && to === undefined) return null
  const day = (iso: string) => formatDay(iso, Number(iso.slice(8)))
  if (to === undefined) return `Since ${day(from!)}`
  if (from === undefined) return `Until ${day(to)}`
  if (from === to) return day(from)
  if (from.endsWith('-01-01') && to === `${from.slice(0, 4)}-12-31`) return from.slice(0, 4)
  const isMonth = from.endsWith('-01') && from.slice(0, 7) === to.slice(0, 7) && isLastDay(to)
  if (isMonth) return formatMonth(from)
  if (from.endsWith('-01') && isLastDay(to)) return `${formatMonth(from)} to ${formatMonth(to)}`
  return `${day(from)} to ${day(to)}`
}

function isLastDay(iso: string): boolean {
  const next = new Date(`${iso}T00:00:00Z`)
  next.setUTCDate(next.getUTCDate() + 1)
  return next.getUTCDate() === 1
}
