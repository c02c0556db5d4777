import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layoutMonth, rowOf, timelineFor } from '../../../web/src/lib/timeline/geometry/layout.ts'
import {
  type Move,
  monthForDate,
  resolveTarget,
  targetOf,
} from '../../../web/src/lib/timeline/geometry/moves.ts'

const SHEET = timelineFor(1240, 4)

function month(key: string, days: number[]) {
  return {
    key,
    count: days.length,
    layout: layoutMonth(
      days.map((_, index) => [1.5, 0.75, 1][index % 3]!),
      days,
      SHEET,
    ),
  }
}

const MONTHS = [
  month('2025-02-01', [20, 20, 20, 20, 20, 20, 20, 14, 14, 14, 3, 3]),
  month('2024-12-01', [31, 31, 30]),
  month('2024-06-01', Array(30).fill(8)),
  month('2023-01-01', [1]),
]

function go(monthIndex: number, index: number, ...moves: Move[]): string {
  let at = { month: monthIndex, index }
  for (const move of moves) {
    const target = targetOf(MONTHS, at, move)
    if (target === null) return 'end'
    const to = MONTHS[target.month]!
    at = { month: target.month, index: resolveTarget(to.layout, to.count, target) }
  }
  return `${at.month}:${at.index}`
}

test('left and right go on across months', () => {
  assert.equal(go(0, 0, 'right'), '0:1')
  assert.equal(go(0, 11, 'right'), '1:0')
  assert.equal(go(1, 0, 'left'), '0:11')
  assert.equal(go(0, 0, 'left'), 'end')
  assert.equal(go(3, 0, 'right'), 'end')
})

test('up and down stay near the column, across months', () => {
  const { layout } = MONTHS[2]!
  const second = layout.rows[1]!
  for (let item = second.first; item < second.last; item++) {
    const [, index] = go(2, item, 'down').split(':')
    assert.equal(rowOf(layout, Number(index)), 2)
    const middle = (at: number) => layout.lefts[at]! + layout.widths[at]! / 2
    assert.ok(Math.abs(middle(Number(index)) - middle(item)) < 260)
  }
  assert.match(go(1, 1, 'down'), /^2:/)
  assert.match(go(2, 0, 'up'), /^1:/)
  assert.equal(go(0, 0, 'up'), 'end')
})

test('days, months and years, both ways', () => {
  assert.equal(go(0, 2, 'next-day'), '0:7')
  assert.equal(go(0, 2, 'next-day', 'next-day', 'next-day'), '1:0')
  assert.equal(go(0, 8, 'previous-day'), '0:7')
  assert.equal(go(0, 7, 'previous-day'), '0:0')
  assert.equal(go(1, 0, 'previous-day'), '0:10')
  assert.equal(go(0, 5, 'next-month'), '1:0')
  assert.equal(go(1, 2, 'previous-month'), '1:0')
  assert.equal(go(1, 0, 'previous-month'), '0:0')
  assert.equal(go(0, 5, 'next-year'), '1:0')
  assert.equal(go(1, 0, 'next-year'), '3:0')
  assert.equal(go(2, 4, 'previous-year'), '1:0')
  assert.equal(go(1, 0, 'previous-year'), '0:0')
  assert.equal(go(3, 0, 'next-year'), 'end')
  assert.equal(go(2, 4, 'start'), '0:0')
  assert.equal(go(0, 4, 'end'), '3:0')
})

test('a typed date leads to the newest month that is not after it', () => {
  assert.equal(monthForDate(MONTHS, '2024-08-31'), 2)
  assert.equal(monthForDate(MONTHS, '2024-12-31'), 1)
  assert.equal(monthForDate(MONTHS, '2030-01-31'), 0)
  assert.equal(monthForDate(MONTHS, '1970-01-31'), 3)
  const oldestFirst = MONTHS.toReversed()
  assert.equal(monthForDate(oldestFirst, '2024-08-31'), 1)
  assert.equal(monthForDate(oldestFirst, '1970-01-31'), 0)
})
