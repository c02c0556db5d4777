import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  estimateMonthHeight,
  itemNear,
  layoutMonth,
  monthAt,
  rowOf,
  rowsBetween,
  stackMonths,
  timelineFor,
  usableRatio,
} from '../../../web/src/lib/timeline/geometry/layout.ts'

/** What cameras make, roughly: landscape, portrait, square, wide, panorama. */
const CAMERA_RATIOS = [1.5, 1.333, 1.333, 0.75, 0.667, 1, 1.778, 0.5625, 1.5, 3.2]

/** A fixed stream of numbers in [0, 1), so that a failure can be seen again. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state / 2_147_483_648
  }
}

function month(count: number, daysInUse: number, seed = 1): { ratios: number[]; days: number[] } {
  const next = numbers(seed)
  const ratios = Array.from(
    { length: count },
    () => CAMERA_RATIOS[Math.floor(next() * CAMERA_RATIOS.length)]!,
  )
  const days = Array.from({ length: count }, () => 31 - Math.floor(next() * daysInUse)).sort((a, b) => b - a)
  return { ratios, days }
}

const ratioArray = fc.array(fc.double({ min: 0, max: 40, noNaN: false }), { minLength: 1, maxLength: 300 })
const widths = fc.integer({ min: 300, max: 3800 })

test('every row but the last fills the width exactly, tiles touch by the gap, none is skipped', () => {
  fc.assert(
    fc.property(ratioArray, widths, (ratios, width) => {
      const timeline = timelineFor(width, 4)
      const layout = layoutMonth(
        ratios,
        ratios.map((_, index) => 31 - (index % 7)),
        timeline,
      )
      let expectedFirst = 0
      let bottom = timeline.titleHeight
      for (const [index, row] of layout.rows.entries()) {
        assert.equal(row.first, expectedFirst)
        assert.ok(row.last > row.first, 'a row holds something')
        expectedFirst = row.last
        assert.equal(row.top, bottom + (row.isLabelled ? timeline.labelHeight : 0))
        bottom = row.top + row.height + timeline.gap
        for (let item = row.first + 1; item < row.last; item++) {
          const gap = layout.lefts[item]! - layout.lefts[item - 1]! - layout.widths[item - 1]!
          assert.ok(Math.abs(gap - timeline.gap) <= 1, `gap of ${gap}`)
        }
        const right = layout.lefts[row.last - 1]! + layout.widths[row.last - 1]!
        if (index < layout.rows.length - 1) assert.equal(right, width)
        else assert.ok(right <= width)
      }
      assert.equal(expectedFirst, ratios.length)
      assert.equal(layout.height, bottom - timeline.gap + timeline.monthGap)
    }),
    { numRuns: 150 },
  )
})

test('rows of camera pictures stay near the height aimed at', () => {
  for (const width of [340, 900, 1250, 2400]) {
    const timeline = timelineFor(width, 4)
    const { ratios, days } = month(600, 20)
    const rows = layoutMonth(ratios, days, timeline).rows.slice(0, -1)
    for (const row of rows) {
      assert.ok(
        row.height > timeline.rowHeight / 1.9 && row.height < timeline.rowHeight * 1.9,
        `${row.height} at width ${width}`,
      )
    }
    const mean = rows.reduce((sum, row) => sum + row.height, 0) / rows.length
    assert.ok(
      Math.abs(mean / timeline.rowHeight - 1) < 0.08,
      `mean ${mean} of ${timeline.rowHeight} at width ${width}`,
    )
  }
})

test('a tile has the picture’s aspect ratio to the pixel, unless that is absurd', () => {
  const timeline = timelineFor(1240, 4)
  const { ratios, days } = month(80, 10)
  const layout = layoutMonth(ratios, days, timeline)
  for (const row of layout.rows) {
    for (let item = row.first; item < row.last; item++) {
      assert.ok(Math.abs(layout.widths[item]! - ratios[item]! * row.height) <= 2 + ratios[item]!)
    }
  }
  assert.equal(usableRatio(0), 1)
  assert.equal(usableRatio(Number.NaN), 1)
  assert.equal(usableRatio(40), 4.5)
  assert.equal(usableRatio(0.01), 0.35)
})

test('short days share a row, and each day is labelled once over its first picture', () => {
  const timeline = timelineFor(1240, 4)
  const layout = layoutMonth([1.5, 1.5, 1, 1.5], [20, 19, 19, 11], timeline)
  assert.equal(layout.rows.length, 1)
  assert.deepEqual(
    layout.days.map(({ day, first, count, row }) => ({ day, first, count, row })),
    [
      { day: 20, first: 0, count: 1, row: 0 },
      { day: 19, first: 1, count: 2, row: 0 },
      { day: 11, first: 3, count: 1, row: 0 },
    ],
  )
  for (const day of layout.days) assert.equal(day.left, layout.lefts[day.first])
  assert.equal(layout.days[0]!.left + layout.days[0]!.width + timeline.gap, layout.days[1]!.left)
})

test('a row in which no day begins has no label strip', () => {
  const timeline = timelineFor(1240, 4)
  const layout = layoutMonth(Array(20).fill(1.5), Array(20).fill(3), timeline)
  assert.deepEqual(
    layout.rows.map((row) => row.isLabelled),
    [true, ...Array(layout.rows.length - 1).fill(false)],
  )
})

test('the last row is not blown up', () => {
  const timeline = timelineFor(1240, 4)
  const layout = layoutMonth([1.5], [1], timeline)
  assert.equal(layout.rows[0]!.height, timeline.rowHeight)
})

test('a whole library’s height is estimated within 3 %, a large month’s within 8 %', () => {
  for (const width of [350, 1240, 1900]) {
    const timeline = timelineFor(width, 4)
    let actual = 0
    let estimated = 0
    for (let index = 0; index < 120; index++) {
      const count = 1 + ((index * 97) % 420)
      const { ratios, days } = month(count, Math.min(28, 1 + Math.floor(Math.sqrt(count))), index + 1)
      const height = layoutMonth(ratios, days, timeline).height
      const estimate = estimateMonthHeight(
        count,
        ratios.reduce((sum, ratio) => sum + ratio, 0),
        timeline,
      )
      if (count > 150)
        assert.ok(Math.abs(estimate / height - 1) < 0.08, `${estimate} for ${height}, ${count} at ${width}`)
      actual += height
      estimated += estimate
    }
    assert.ok(Math.abs(estimated / actual - 1) < 0.03, `${estimated} for ${actual} at width ${width}`)
  }
})

test('an empty month has no height', () => {
  assert.equal(estimateMonthHeight(0, 0, timelineFor(1240, 4)), 0)
})

test('the month at a pixel is found by bisection, also outside the timeline', () => {
  const tops = stackMonths([100, 50, 200], 64)
  assert.deepEqual([...tops], [64, 164, 214, 414])
  for (const [y, expected] of [
    [-500, 0],
    [0, 0],
    [163, 0],
    [164, 1],
    [213, 1],
    [214, 2],
    [9999, 2],
  ] as const) {
    assert.equal(monthAt(tops, y), expected, `at ${y}`)
  }
  assert.equal(monthAt(stackMonths([], 64), 10), -1)
})

test('rows between two pixels are those that touch them, labels included', () => {
  const timeline = timelineFor(1240, 4)
  const { ratios, days } = month(200, 8)
  const { rows } = layoutMonth(ratios, days, timeline)
  fc.assert(
    fc.property(fc.integer({ min: -500, max: 9000 }), fc.integer({ min: 0, max: 1500 }), (from, height) => {
      const [first, last] = rowsBetween(rows, from, from + height, timeline.labelHeight)
      for (const [index, row] of rows.entries()) {
        const upper = row.top - (row.isLabelled ? timeline.labelHeight : 0)
        const touches = row.top + row.height >= from && upper <= from + height
        assert.equal(index >= first && index < last, touches, `row ${index}`)
      }
    }),
  )
})

test('rowOf and itemNear agree with the rows', () => {
  const timeline = timelineFor(1240, 4)
  const { ratios, days } = month(90, 8)
  const layout = layoutMonth(ratios, days, timeline)
  for (const [index, row] of layout.rows.entries()) {
    for (let item = row.first; item < row.last; item++) {
      assert.equal(rowOf(layout, item), index)
      assert.equal(itemNear(layout, index, layout.lefts[item]! + layout.widths[item]! / 2), item)
    }
  }
})

test('a month of 50,000 pictures is laid out in under 150 ms of CPU', () => {
  const { ratios, days } = month(50_000, 31)
  const timeline = timelineFor(1240, 4)
  layoutMonth(ratios, days, timeline)
  const before = process.cpuUsage()
  layoutMonth(ratios, days, timeline)
  // Not the time on the clock, which is also that of whatever else runs here.
  const { user, system } = process.cpuUsage(before)
  assert.ok(user + system < 150_000, `${user + system} µs`)
})

test('with a break, pictures added above leave every row below as it was', () => {
  const timeline = timelineFor(1240, 4)
  const before = month(120, 12)
  const old = layoutMonth(before.ratios, before.days, timeline)
  const seen = old.rows[6]!
  for (const added of [1, 2, 3, 7, 40]) {
    const ratios = [...Array(added).fill(1.5), ...before.ratios]
    const days = [...Array(added).fill(31), ...before.days]
    const next = layoutMonth(ratios, days, timeline, seen.first + added)
    const from = next.rows.findIndex((row) => row.first === seen.first + added)
    assert.ok(from > 0, `a row begins at the break, ${added} added`)
    const moved = next.rows[from]!.top - seen.top
    assert.deepEqual(
      next.rows.slice(from).map((row) => [row.first - added, row.top - moved, row.height]),
      old.rows.slice(6).map((row) => [row.first, row.top, row.height]),
    )
  }
})
