/**
 * The scrubber: a track beside the timeline. Its marks come from estimated heights only, which are known from
 * the first answer on and never change as months load; so it stands still.
 */

/** `key` is `YYYY-MM-01`; `weight` the estimated height of the month in pixels. */
export type ScrubberMonth = { key: string; weight: number }
/** `at` is 0 at the top and 1 at the bottom. A mark without `label` is a dot. */
export type ScrubberMark = { month: number; at: number; label: string | null }

export type ScrubberTrack = { months: readonly ScrubberMonth[]; starts: Float64Array; total: number }

const LABEL_SPACE_PX = 22
const DOT_SPACE_PX = 7

export function makeRuler(months: readonly ScrubberMonth[]): ScrubberTrack {
  const starts = new Float64Array(months.length + 1)
  for (let index = 0; index < months.length; index++)
    starts[index + 1] = starts[index]! + months[index]!.weight
  return { months, starts, total: starts[months.length]! }
}

/**
 * Years as labels, months as dots, each only where there is room for it; the first month of the timeline is
 * always labelled.
 */
export function scrubberMarks(track: ScrubberTrack, trackPx: number): ScrubberMark[] {
  const marks: ScrubberMark[] = []
  if (track.total === 0) return marks
  let lastLabelPx = Number.NEGATIVE_INFINITY
  let lastMarkPx = Number.NEGATIVE_INFINITY
  let year = ''
  for (let month = 0; month < track.months.length; month++) {
    const at = track.starts[month]! / track.total
    const px = at * trackPx
    const monthYear = track.months[month]!.key.slice(0, 4)
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

/** A place on the timeline: a month and how far into it, 0 to 1. */
export type TimelinePosition = { month: number; within: number }

/** The place at a fraction of the track. */
export function placeAt(track: ScrubberTrack, fraction: number): TimelinePosition {
  if (track.months.length === 0) return { month: -1, within: 0 }
  const wanted = Math.min(1, Math.max(0, fraction)) * track.total
  let low = 0
  let high = track.months.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (track.starts[middle]! <= wanted) low = middle
    else high = middle - 1
  }
  const weight = track.months[low]!.weight
  return { month: low, within: weight === 0 ? 0 : Math.min(1, (wanted - track.starts[low]!) / weight) }
}

/** Where a place is on the track, 0 to 1. */
export function fractionOf(track: ScrubberTrack, place: TimelinePosition): number {
  if (track.total === 0 || place.month < 0) return 0
  return Math.min(
    1,
    (track.starts[place.month]! + place.within * track.months[place.month]!.weight) / track.total,
  )
}

/**
 * The month that a key on the scrubber leads to: arrows by month, Page keys by year. Null for any other key.
 */
export function monthAfterKey(track: ScrubberTrack, month: number, key: string): number | null {
  const last = track.months.length - 1
  if (last < 0) return null
  switch (key) {
    case 'ArrowUp':
    case 'ArrowRight':
      return Math.max(0, month - 1)
    case 'ArrowDown':
    case 'ArrowLeft':
      return Math.min(last, month + 1)
    case 'PageUp':
      return yearStart(track, month, -1)
    case 'PageDown':
      return yearStart(track, month, 1)
    case 'Home':
      return 0
    case 'End':
      return last
    default:
      return null
  }
}

/**
 * The first month of the next (1) or the previous (-1) year in timeline order; the timeline's end where there
 * is none.
 */
export function yearStart(track: ScrubberTrack, month: number, direction: 1 | -1): number {
  const yearOf = (index: number) => track.months[index]!.key.slice(0, 4)
  const last = track.months.length - 1
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
