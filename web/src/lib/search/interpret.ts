/** What a typed text may mean: dates, places, cameras and kinds before parts of names. Pure. */
import { parseDays } from './dates.ts'
import type { SearchQuery, TextField } from './query.ts'

export type KnownField = Exclude<TextField, 'originalFileName' | 'description' | 'originalPath'>
/** The values that this person's photos have. */
export type KnownValues = Record<KnownField, readonly string[]>

/** `what` says which field it is. */
export type Suggestion = { label: string; what: string; query: SearchQuery }

const FIELD_WORDS: Record<KnownField, string> = {
  city: 'Place',
  state: 'Place',
  country: 'Country',
  make: 'Camera',
  model: 'Camera',
  lensModel: 'Lens',
}
/** Of one field, so that forty lenses leave room for the rest. */
const VALUES_OF_FIELD = 3

const KINDS: [RegExp, Suggestion][] = [
  [/^(videos?|films?|movies?|clips?)$/, { label: 'Videos', what: 'Kind', query: { type: 'VIDEO' } }],
  [/^(photos?|photographs?|pictures?|images?)$/, { label: 'Photos', what: 'Kind', query: { type: 'IMAGE' } }],
  [
    /^(live|motion)( photos?)?$/,
    { label: 'Live photos', what: 'Kind', query: { type: 'IMAGE', isMotion: true } },
  ],
  [/^fav(o(u(rites?|r)?)?|orites?)?$/, { label: 'Favourites', what: 'Marked', query: { isFavorite: true } }],
  [/^archived?$/, { label: 'Archived', what: 'Marked', query: { isArchived: true } }],
  [
    /^((in )?no album|not in (an|any) album)$/,
    { label: 'In no album', what: 'Album', query: { isNotInAlbum: true } },
  ],
  [/^(unrated|not rated)$/, { label: 'Not rated', what: 'Rating', query: { rating: 0 } }],
]

/** The most likely first; at the end always the text itself, as part of a name or of a description. */
export function interpret(text: string, known: KnownValues, now: Date): Suggestion[] {
  const words = text.trim().replace(/\s+/g, ' ')
  if (words === '') return []
  const whole = meaningsOf(words, known, now)
  return [
    ...whole,
    ...(whole.length === 0 ? pairsOf(words, known, now) : []),
    { label: words, what: 'File name contains', query: { originalFileName: words } },
    { label: words, what: 'Description contains', query: { description: words } },
  ]
}

function meaningsOf(words: string, known: KnownValues, now: Date): Suggestion[] {
  const days = parseDays(words, now)
  const dated: Suggestion[] = days
    ? [{ label: days.label, what: 'Taken', query: { takenFrom: days.from, takenTo: days.to } }]
    : []
  const kinds = KINDS.filter(([pattern]) => pattern.test(words.toLowerCase())).map(([, found]) => found)
  const stars = /^([1-5]) ?(?:stars?|★)$|^(★{1,5})$/.exec(words.toLowerCase())
  if (stars) {
    const rating = stars[2]?.length ?? Number(stars[1])
    kinds.push({ label: '★'.repeat(rating), what: 'Rating', query: { rating } })
  }
  return [...dated, ...kinds, ...valuesOf(words, known)]
}

function valuesOf(words: string, known: KnownValues): Suggestion[] {
  // One letter is in every name.
  if (words.length < 2) return []
  const wanted = plain(words)
  const found = Object.entries(known).flatMap(([field, values]) => {
    const ranked = values
      .map((value) => ({ value, rank: rankOf(plain(value), wanted) }))
      .filter(({ rank }) => rank >= 0)
      .sort((a, b) => a.rank - b.rank)
      .slice(0, VALUES_OF_FIELD)
    return ranked.map(({ value, rank }) => ({
      rank,
      suggestion: { label: value, what: FIELD_WORDS[field as KnownField], query: { [field]: value } },
    }))
  })
  return found.sort((a, b) => a.rank - b.rank).map(({ suggestion }) => suggestion)
}

/** 0: it is that; 1: it begins so; 2: a word of it does; 3: it contains it; -1: it does not. */
function rankOf(value: string, wanted: string): number {
  if (value === wanted) return 0
  const at = value.indexOf(wanted)
  if (at <= 0) return at === 0 ? 1 : -1
  return /[\s-]/.test(value[at - 1]!) ? 2 : 3
}

/** `canon 2019`, `summer 2019 videos`: two things, each of which means something. */
function pairsOf(words: string, known: KnownValues, now: Date): Suggestion[] {
  const parts = words.split(' ')
  for (let at = 1; at < parts.length; at++) {
    const [left] = meaningsOf(parts.slice(0, at).join(' '), known, now)
    const [right] = meaningsOf(parts.slice(at).join(' '), known, now)
    if (!left || !right) continue
    return [
      {
        label: `${left.label}, ${right.label}`,
        what: `${left.what} and ${right.what.toLowerCase()}`,
        query: { ...left.query, ...right.query },
      },
    ]
  }
  return []
}

/** Without case and accents. */
function plain(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
}
