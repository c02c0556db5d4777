/**
 * The scrubber: a ruler beside the sheet. Its marks come from estimated heights only, which are known from the first
 * answer on and never change as months load; so it stands still.
 */

/** `key` is `YYYY-MM-01`; `weight` the estimated height of the month in pixels. */
export type ScrubberMonth = { key: string; weight: number }
/** `at` is 0 at the top and 1 at the bottom. A mark without `label` is a dot. */
export type ScrubberMark = { month: number; at: number; label: string | null }

export type Ruler = { months: readonly ScrubberMonth[]; starts: Float64Array; total: number }

const LABEL_SPACE_PX = 22
const DOT_SPACE_PX = 7

export function makeRuler(months: readonly ScrubberMonth[]): Ruler {
  const starts = new Float64Array(months.length + 1)
  for (let index = 0; index < months.length; index++)
    starts[index + 1] = starts[index]! + months[index]!.weight
  return { months, starts, total: starts[months.length]! }
}

/** Years as labels, months as dots, each only where there is room for it; the first month of the sheet is always labelled. */
export function scrubberMarks(ruler: Ruler, trackPx: number): ScrubberMark[] {
  const marks: ScrubberMark[] = []
  if (ruler.total === 0) return marks
  let lastLabelPx = Number.NEGATIVE_INFINITY
  let lastMarkPx = Number.NEGATIVE_INFINITY
  let year = ''
  for (let month = 0; month < ruler.months.length; month++) {
    const at = ruler.starts[month]! / ruler.total
    const px = at * trackPx
    const monthYear = ruler.months[month]!.key.slice(0, 4)
    if (monthYear !== year && px - lastLabelPx >= LABEL_SPACE_PX) {
      // A dot too near above the label gives way to it.
      while (
        marks.length > 0 &&
        marks.at(-1)!.label === null &&
        px - marks.at(-1)!.at * trackPx < LABEL_SPACE_PX / 2
      )
        marks.pop()
      marks.push({ month, at, label: monthYear })
      lastLabelPx = px
      lastMarkPx = px + LABEL_SPACE_PX / 2 - DOT_SPACE_PX
    } else if (px - lastMarkPx >= DOT_SPACE_PX) {
      marks.push({ month, at, label: null })
      lastMarkPx = px
    }
    year = monthYear
  }
  return marks
}

/** A place on the sheet: a month and how far into it, 0 to 1. */
export type SheetPlace = { month: number; within: number }

/** The place at a fraction of the ruler. */
export function placeAt(ruler: Ruler, fraction: number): SheetPlace {
  if (ruler.months.length === 0) return { month: -1, within: 0 }
  const wanted = Math.min(1, Math.max(0, fraction)) * ruler.total
  let low = 0
  let high = ruler.months.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (ruler.starts[middle]! <= wanted) low = middle
    else high = middle - 1
  }
  const weight = ruler.months[low]!.weight
  return { month: low, within: weight === 0 ? 0 : Math.min(1, (wanted - ruler.starts[low]!) / weight) }
}

/** Where a place is on the ruler, 0 to 1. */
export function fractionOf(ruler: Ruler, place: SheetPlace): number {
  if (ruler.total === 0 || place.month < 0) return 0
  return Math.min(
    1,
    (ruler.starts[place.month]! + place.within * ruler.months[place.month]!.weight) / ruler.total,
  )
}

/** The month that a key on the scrubber leads to: arrows by month, Page keys by year. Null for any other key. */
export function monthAfterKey(ruler: Ruler, month: number, key: string): number | null {
  const last = ruler.months.length - 1
  if (last < 0) return null
  switch (key) {
    case 'ArrowUp':
    case 'ArrowRight':
      return Math.max(0, month - 1)
    case 'ArrowDown':
    case 'ArrowLeft':
      return Math.min(last, month + 1)
    case 'PageUp':
      return yearStart(ruler, month, -1)
    case 'PageDown':
      return yearStart(ruler, month, 1)
    case 'Home':
      return 0
    case 'End':
      return last
    default:
      return null
  }
}

/** The first month of the next (1) or the previous (-1) year in sheet order; the sheet's end where there is none. */
export function yearStart(ruler: Ruler, month: number, direction: 1 | -1): number {
  const yearOf = (index: number) => ruler.months[index]!.key.slice(0, 4)
  const last = ruler.months.length - 1
  let index = month
  if (direction === 1) {
    while (index < last && yearOf(index) === yearOf(month)) index++
    return index
  }
  // Up: to the start of this year first, then to the start of the one above.
  while (index > 0 && yearOf(index - 1) === yearOf(month)) index--
  if (index === month && index > 0) {
    index--
    while (index > 0 && yearOf(index - 1) === yearOf(index)) index--
  }
  return index
}
