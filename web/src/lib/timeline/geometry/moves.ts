/**
 * Where a key leads on the timeline. Pure: months and their layouts in, a target out; loading what it names
 * is the caller's.
 */
import { itemNear, type MonthLayout, rowOf } from './layout.ts'

export type Move =
  | 'left'
  | 'right'
  | 'up'
  | 'down'
  | 'next-day'
  | 'previous-day'
  | 'next-month'
  | 'previous-month'
  | 'next-year'
  | 'previous-year'
  | 'start'
  | 'end'

/** Next is down the timeline, to older photographs. */
export const MOVE_KEYS: Record<string, Move> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
  d: 'next-day',
  D: 'previous-day',
  m: 'next-month',
  M: 'previous-month',
  y: 'next-year',
  Y: 'previous-year',
  Home: 'start',
  End: 'end',
}

export type MovableMonth = { key: string; count: number; layout: MonthLayout | null }
/**
 * `index` of a photograph, or which one to take once the month is loaded; `x` is the middle to stay near to.
 */
export type Target =
  | { month: number; index: number }
  | { month: number; pick: 'first' | 'last' | 'last-day' }
  | { month: number; pick: 'top-row' | 'bottom-row'; x: number }

/** Null where the move leads off the timeline. The month that `from` names is loaded. */
export function targetOf(
  months: readonly MovableMonth[],
  from: { month: number; index: number },
  move: Move,
): Target | null {
  const month = months[from.month]
  const layout = month?.layout
  if (!month || !layout) return null
  const above = from.month - 1
  const below = from.month + 1
  const hasAbove = above >= 0
  const hasBelow = below < months.length
  switch (move) {
    case 'left':
      if (from.index > 0) return { month: from.month, index: from.index - 1 }
      return hasAbove ? { month: above, pick: 'last' } : null
    case 'right':
      if (from.index + 1 < month.count) return { month: from.month, index: from.index + 1 }
      return hasBelow ? { month: below, pick: 'first' } : null
    case 'up':
    case 'down': {
      const row = rowOf(layout, from.index) + (move === 'up' ? -1 : 1)
      const x = layout.lefts[from.index]! + layout.widths[from.index]! / 2
      if (row >= 0 && row < layout.rows.length) return { month: from.month, index: itemNear(layout, row, x) }
      if (move === 'up') return hasAbove ? { month: above, pick: 'bottom-row', x } : null
      return hasBelow ? { month: below, pick: 'top-row', x } : null
    }
    case 'next-day': {
      const next = layout.days.find((day) => day.first > from.index)
      if (next) return { month: from.month, index: next.first }
      return hasBelow ? { month: below, pick: 'first' } : null
    }
    case 'previous-day': {
      const before = layout.days.findLast((day) => day.first < from.index)
      if (before) return { month: from.month, index: before.first }
      return hasAbove ? { month: above, pick: 'last-day' } : null
    }
    case 'next-month':
      return hasBelow ? { month: below, pick: 'first' } : null
    case 'previous-month':
      if (from.index > 0) return { month: from.month, index: 0 }
      return hasAbove ? { month: above, pick: 'first' } : null
    case 'next-year': {
      const found = months.findIndex(
        (candidate, index) => index > from.month && yearOf(candidate) !== yearOf(month),
      )
      return found < 0 ? null : { month: found, pick: 'first' }
    }
    case 'previous-year': {
      let found = from.month
      while (found > 0 && yearOf(months[found - 1]!) === yearOf(month)) found--
      if (found < from.month || from.index > 0) return { month: found, pick: 'first' }
      if (!hasAbove) return null
      found = above
      while (found > 0 && yearOf(months[found - 1]!) === yearOf(months[above]!)) found--
      return { month: found, pick: 'first' }
    }
    case 'start':
      return { month: 0, pick: 'first' }
    case 'end':
      return { month: months.length - 1, pick: 'last' }
  }
}

/** The target's index, once its month is loaded. */
export function resolveTarget(layout: MonthLayout, count: number, target: Target): number {
  if ('index' in target) return target.index
  switch (target.pick) {
    case 'first':
      return 0
    case 'last':
      return count - 1
    case 'last-day':
      return layout.days.at(-1)?.first ?? 0
    case 'top-row':
      return itemNear(layout, 0, target.x)
    case 'bottom-row':
      return itemNear(layout, layout.rows.length - 1, target.x)
  }
}

/**
 * The month that a date leads to (`YYYY-MM-DD`, the last day that is meant): the newest that is not after it;
 * the oldest of all where every one is. Months may be in either order.
 */
export function monthForDate(months: readonly { key: string }[], date: string): number {
  const wanted = `${date.slice(0, 7)}-01`
  const isAscending = months.length > 1 && months[0]!.key < months[1]!.key
  if (isAscending)
    return Math.max(
      0,
      months.findLastIndex((month) => month.key <= wanted),
    )
  const found = months.findIndex((month) => month.key <= wanted)
  return found < 0 ? months.length - 1 : found
}

const yearOf = (month: { key: string }) => month.key.slice(0, 4)
