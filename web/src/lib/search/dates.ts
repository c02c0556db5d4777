/** Times that people write, as whole days. Pure. */
import { formatDay, formatMonth, MONTH_NAMES, parseDate } from '../format.ts'

/** Both days are included; `YYYY-MM-DD`, on the wall clock. */
export type DayRange = { from: string; to: string; label: string }

const SEASONS: Record<string, [firstMonth: number, name: string]> = {
  spring: [3, 'Spring'],
  summer: [6, 'Summer'],
  autumn: [9, 'Autumn'],
  fall: [9, 'Autumn'],
  winter: [12, 'Winter'],
}

/**
 * `2019`, `July 2019`, `07/2019`, `1.7.2019`, `1/7/2019` (the day first), `yesterday`, `last week`, `this
 * year`, `summer 2019`, `last summer` (the newest one that is over; months of the northern half of the
 * earth). Null for anything else.
 */
export function parseDays(text: string, now: Date): DayRange | null {
  const words = text.trim().toLowerCase().replace(/\s+/g, ' ')
  const relative = parseRelative(words, now)
  if (relative) return relative
  const season = /^(?:(last|this) )?(spring|summer|autumn|fall|winter)(?: (\d{4}))?$/.exec(words)
  if (season && (season[1] === undefined) !== (season[3] === undefined)) {
    const year = season[3] === undefined ? null : Number(season[3])
    return seasonRange(season[2]!, year, season[1] === 'this', now)
  }
  const numbers =
    /^(?:(\d{1,2})[./](?:\s*))?(\d{1,2})[./]\s*(\d{4})$/.exec(words) ?? /^()(\d{1,2})-(\d{4})$/.exec(words)
  const date = numbers
    ? { year: Number(numbers[3]), month: Number(numbers[2]), day: numbers[1] ? Number(numbers[1]) : null }
    : parseDate(words)
  return date && rangeOf(date)
}

function rangeOf({ year, month, day }: { year: number; month: number | null; day: number | null }) {
  if (year < 1) return null
  if (month === null) return { from: iso(year, 1, 1), to: iso(year, 12, 31), label: String(year) }
  if (month < 1 || month > 12) return null
  const last = lastDay(year, month)
  const key = iso(year, month, 1)
  if (day === null) return { from: key, to: iso(year, month, last), label: formatMonth(key) }
  if (day < 1 || day > last) return null
  const at = iso(year, month, day)
  return { from: at, to: at, label: formatDay(at, day) }
}

function parseRelative(words: string, now: Date): DayRange | null {
  const today = dayOf(now)
  const back = (days: number) => dayOf(new Date(now.getFullYear(), now.getMonth(), now.getDate() - days))
  const year = now.getFullYear()
  const month = now.getMonth() + 1
  switch (words) {
    case 'today':
      return { from: today, to: today, label: 'Today' }
    case 'yesterday':
      return { from: back(1), to: back(1), label: 'Yesterday' }
    case 'this week':
      return { from: back((now.getDay() + 6) % 7), to: today, label: 'This week' }
    case 'last week': {
      const monday = ((now.getDay() + 6) % 7) + 7
      return { from: back(monday), to: back(monday - 6), label: 'Last week' }
    }
    case 'this month':
      return rangeOf({ year, month, day: null })
    case 'last month':
      return rangeOf(
        month === 1 ? { year: year - 1, month: 12, day: null } : { year, month: month - 1, day: null },
      )
    case 'this year':
      return rangeOf({ year, month: null, day: null })
    case 'last year':
      return rangeOf({ year: year - 1, month: null, day: null })
    default: {
      // A month alone is the newest one of its name that has begun.
      const index = MONTH_NAMES.findIndex((name) => name.toLowerCase() === words.replace(/^last /, ''))
      if (index < 0) return null
      return rangeOf({ year: index < month ? year : year - 1, month: index + 1, day: null })
    }
  }
}

function seasonRange(word: string, wantedYear: number | null, isThis: boolean, now: Date): DayRange {
  const [firstMonth, name] = SEASONS[word]!
  // A winter ends in the year after the one it is called by.
  const of = (year: number): DayRange => {
    const endYear = firstMonth === 12 ? year + 1 : year
    const endMonth = ((firstMonth + 1) % 12) + 1
    return {
      from: iso(year, firstMonth, 1),
      to: iso(endYear, endMonth, lastDay(endYear, endMonth)),
      label: `${name} ${year}`,
    }
  }
  if (wantedYear !== null) return of(wantedYear)
  const today = dayOf(now)
  for (let year = now.getFullYear(); ; year--) {
    const range = of(year)
    if (isThis ? range.from <= today : range.to < today) return range
  }
}

function iso(year: number, month: number, day: number): string {
  return `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
}

function lastDay(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate()
}

function dayOf(date: Date): string {
  return iso(date.getFullYear(), date.getMonth() + 1, date.getDate())
}
