/**
 * The geometry of the timeline. Pure: numbers in, numbers out, in CSS pixels.
 *
 * Words: a *timeline* is the whole timeline, newest month first. A *month* is a title and *rows*. A row holds
 * *tiles* of true aspect ratio, justified to the timeline's width. Days run on through the rows, as frames do
 * on a strip of film: the first tile of a day carries the day's label, in a strip above its row, so that
 * short days share a row and no row is left half empty because a day ended.
 */

/**
 * Measures of a timeline. `rowHeight` is the height aimed at; rows come out up to about a third above or
 * below it.
 */
export type TimelineMeasures = {
  width: number
  rowHeight: number
  gap: number
  /** Height of the strip with day labels, above a row in which a day begins. */
  labelHeight: number
  /** Height of the month's title. */
  titleHeight: number
  /** Space under a month. */
  monthGap: number
}

/**
 * `first` inclusive, `last` exclusive, both indexes into the month. `top` and `height` are of the
 * photographs.
 */
export type Row = { top: number; height: number; first: number; last: number; isLabelled: boolean }
/**
 * A day's label: it stands over tile `first` and may take `width` pixels; the day has `count` photographs.
 */
export type DayLabel = { day: number; first: number; count: number; row: number; left: number; width: number }
export type MonthLayout = {
  height: number
  rows: Row[]
  lefts: Float32Array
  widths: Float32Array
  days: DayLabel[]
}

/** Panoramas and strips beyond these are cropped to fit, or one picture would be a hair or a wall. */
const NARROWEST_RATIO = 0.35
const WIDEST_RATIO = 4.5
/**
 * A month's last row may be stretched to this multiple of the row height; beyond it stays ragged, as a
 * strip's end is.
 */
const LARGEST_STRETCH = 1.3

/** How large photographs are drawn, as each person likes it. */
export const PHOTO_SIZES = ['small', 'medium', 'large'] as const
export type PhotoSize = (typeof PHOTO_SIZES)[number]

/** Rows of a window up to 600 px wide, as a share of its width: four, three or two prints share one. */
const NARROW_SHARE: Record<PhotoSize, number> = { small: 4.2, medium: 3.1, large: 2 }
/**
 * Row heights of wider windows, up to 1100, 2000 and more pixels: some 50, 25 and 12 photos on 1440 x 900.
 */
const WIDE_ROWS: Record<PhotoSize, readonly [number, number, number]> = {
  small: [100, 108, 128],
  medium: [138, 146, 180],
  large: [220, 236, 280],
}

/**
 * The measures for a container of that width. Phones get lower rows, so that two or three prints share one.
 */
export function timelineFor(width: number, gap: number, size: PhotoSize = 'medium'): TimelineMeasures {
  const isNarrow = width < 600
  const rowHeight = isNarrow
    ? Math.max(72, Math.round(width / NARROW_SHARE[size]))
    : WIDE_ROWS[size][width < 1100 ? 0 : width < 2000 ? 1 : 2]
  return {
    width,
    rowHeight,
    gap,
    labelHeight: isNarrow ? 22 : 26,
    titleHeight: isNarrow ? 56 : 68,
    monthGap: isNarrow ? 20 : 28,
  }
}

/** A ratio that can be laid out: never zero, never absurd, 1 where it is unknown. */
export function usableRatio(ratio: number): number {
  if (!Number.isFinite(ratio) || ratio <= 0) return 1
  return Math.min(WIDEST_RATIO, Math.max(NARROWEST_RATIO, ratio))
}

/**
 * Lays out one month. `ratios` are width/height, `days` the day of the month of each, in display order, equal
 * days together. One pass: a row closes where its height is nearest to the one aimed at. A row also ends
 * before `breakBefore`, where that is given: what lies above it may then change without any row below being
 * made up anew.
 */
export function layoutMonth(
  ratios: ArrayLike<number>,
  days: ArrayLike<number>,
  timeline: TimelineMeasures,
  breakBefore = 0,
): MonthLayout {
  const count = ratios.length
  const lefts = new Float32Array(count)
  const widths = new Float32Array(count)
  const rows: Row[] = []
  const labels: DayLabel[] = []
  let top = timeline.titleHeight
  let first = 0
  while (first < count) {
    const { last, height: exactHeight } = takeRow(
      ratios,
      first,
      first < breakBefore ? breakBefore : count,
      timeline,
    )
    const height = Math.round(exactHeight)
    const labelsBefore = labels.length
    let exactLeft = 0
    for (let index = first; index < last; index++) {
      // Whole pixels, each edge rounded once: prints have sharp edges, and a full row ends exactly at the
      // timeline's.
      const left = Math.round(exactLeft)
      exactLeft += usableRatio(ratios[index]!) * exactHeight
      lefts[index] = left
      widths[index] = Math.round(exactLeft) - left
      if (index === 0 || days[index] !== days[index - 1]) {
        labels.push({ day: days[index]!, first: index, count: 0, row: rows.length, left, width: 0 })
      }
      exactLeft += timeline.gap
    }
    const isLabelled = labels.length > labelsBefore
    if (isLabelled) top += timeline.labelHeight
    for (let index = labelsBefore; index < labels.length; index++) {
      const next = labels[index + 1]
      labels[index]!.width = (next ? next.left - timeline.gap : timeline.width) - labels[index]!.left
    }
    rows.push({ top, height, first, last, isLabelled })
    top += height + timeline.gap
    first = last
  }
  for (let index = 0; index < labels.length; index++) {
    labels[index]!.count = (labels[index + 1]?.first ?? count) - labels[index]!.first
  }
  return {
    height: top - (rows.length > 0 ? timeline.gap : 0) + timeline.monthGap,
    rows,
    lefts,
    widths,
    days: labels,
  }
}

/**
 * The row that begins at `first`, of pictures before `end`: where it ends, and how high it is once it fills
 * the width.
 */
function takeRow(
  ratios: ArrayLike<number>,
  first: number,
  end: number,
  timeline: TimelineMeasures,
): { last: number; height: number } {
  let ratioSum = 0
  let heightBefore = Number.POSITIVE_INFINITY
  for (let index = first; index < end; index++) {
    ratioSum += usableRatio(ratios[index]!)
    const height = (timeline.width - (index - first) * timeline.gap) / ratioSum
    if (height <= timeline.rowHeight) {
      // Nearest by ratio: 1.2 times too high is as far off as 1.2 times too low.
      const isNearerWithout = index > first && heightBefore / timeline.rowHeight < timeline.rowHeight / height
      return isNearerWithout ? { last: index, height: heightBefore } : { last: index + 1, height }
    }
    heightBefore = height
  }
  const height = heightBefore <= timeline.rowHeight * LARGEST_STRETCH ? heightBefore : timeline.rowHeight
  return { last: end, height }
}

/**
 * The height that a month will have, from its count and the sum of its aspect ratios only. Rows follow from
 * the sum. Two things are measured rather than known (mixes of camera formats, widths from 320 to 2600 px):
 * rows that close early or late come out lower on the whole, the more so the fewer share a row; and about 1.2
 * times the root of the count begin a day. A library is met within 3 % that way.
 */
export function estimateMonthHeight(count: number, ratioSum: number, timeline: TimelineMeasures): number {
  if (count === 0) return 0
  const mean = usableRatio(ratioSum / count)
  const filled = (count * (mean * timeline.rowHeight + timeline.gap)) / (timeline.width + timeline.gap)
  const rows = Math.max(1, filled < 6 ? Math.ceil(filled - 0.2) : filled + 0.4)
  const labelledRows = Math.min(rows, 31, Math.max(1, 1.2 * Math.sqrt(count)))
  const perRow = (timeline.width + timeline.gap) / (mean * timeline.rowHeight + timeline.gap)
  const shrink = rows < 3 ? 1 : 1 / (1 + 0.13 / perRow)
  const photos = rows * timeline.rowHeight * shrink + (rows - 1) * timeline.gap
  return Math.round(timeline.titleHeight + photos + labelledRows * timeline.labelHeight + timeline.monthGap)
}

/** Tops of months of these heights; one more entry than months, the last being the total. */
export function stackMonths(heights: ArrayLike<number>, startTop: number): Float64Array {
  const tops = new Float64Array(heights.length + 1)
  tops[0] = startTop
  for (let index = 0; index < heights.length; index++) tops[index + 1] = tops[index]! + heights[index]!
  return tops
}

/**
 * The month that holds content pixel `y`, by bisection; the nearest one where `y` lies outside. -1 where
 * there is none.
 */
export function monthAt(tops: Float64Array, y: number): number {
  let low = 0
  let high = tops.length - 2
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (tops[middle]! <= y) low = middle
    else high = middle - 1
  }
  return Math.min(low, tops.length - 2)
}

/** Rows of a month that touch `[from, to]`, both relative to the month's top: `[firstRow, lastRow)`. */
export function rowsBetween(
  rows: readonly Row[],
  from: number,
  to: number,
  labelHeight: number,
): [number, number] {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    const row = rows[middle]!
    if (row.top + row.height < from) low = middle + 1
    else high = middle
  }
  let last = low
  while (last < rows.length && rows[last]!.top - (rows[last]!.isLabelled ? labelHeight : 0) <= to) last++
  return [low, last]
}

/** The row that holds the item. */
export function rowOf(layout: MonthLayout, index: number): number {
  let low = 0
  let high = layout.rows.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (layout.rows[middle]!.first <= index) low = middle
    else high = middle - 1
  }
  return low
}

/** The item of a row whose middle is nearest to `x`: where the arrow key up or down leads. */
export function itemNear(layout: MonthLayout, row: number, x: number): number {
  const { first, last } = layout.rows[row]!
  let best = first
  let bestDistance = Number.POSITIVE_INFINITY
  for (let index = first; index < last; index++) {
    const distance = Math.abs(layout.lefts[index]! + layout.widths[index]! / 2 - x)
    if (distance < bestDistance) [best, bestDistance] = [index, distance]
  }
  return best
}
