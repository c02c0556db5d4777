import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  fractionOf,
  makeRuler,
  monthAfterKey,
  placeAt,
  scrubberMarks,
  yearStart,
} from '../../../web/src/lib/timeline/geometry/scrubber.ts'

/** 2025-10 back to 2019-01, every month, heavier in summer. */
const MONTHS = Array.from({ length: 82 }, (_, index) => {
  const at = new Date(Date.UTC(2025, 9 - index, 1))
  return { key: at.toISOString().slice(0, 10), weight: 400 + (at.getUTCMonth() % 6) * 900 }
})
const RULER = makeRuler(MONTHS)

test('marks have room, and labels are the years in order', () => {
  for (const trackPx of [260, 640, 1100]) {
    const marks = scrubberMarks(RULER, trackPx)
    const labels = marks.filter((mark) => mark.label !== null)
    assert.equal(labels[0]!.label, '2025')
    assert.deepEqual(
      labels.map((mark) => mark.label),
      labels.map((mark) => mark.label).toSorted((a, b) => Number(b) - Number(a)),
    )
    for (let index = 1; index < labels.length; index++) {
      assert.ok((labels[index]!.at - labels[index - 1]!.at) * trackPx >= 22 - 1e-9)
    }
    for (let index = 1; index < marks.length; index++) {
      assert.ok(
        (marks[index]!.at - marks[index - 1]!.at) * trackPx >= 7 - 1e-9,
        `mark ${index} at ${trackPx}`,
      )
    }
  }
  assert.equal(scrubberMarks(RULER, 1100).filter((mark) => mark.label !== null).length, 7)
})

test('a place and its fraction are each other’s inverse', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (fraction) => {
      assert.ok(Math.abs(fractionOf(RULER, placeAt(RULER, fraction)) - fraction) < 1e-9)
    }),
  )
  assert.deepEqual(placeAt(RULER, -1), { month: 0, within: 0 })
  assert.deepEqual(placeAt(RULER, 2), { month: 81, within: 1 })
})

test('arrows go by month, Page keys by year, Home and End to the ends', () => {
  const keyOf = (month: number | null) => (month === null ? null : MONTHS[month]!.key)
  const july2022 = MONTHS.findIndex((month) => month.key === '2022-07-01')
  assert.equal(keyOf(monthAfterKey(RULER, july2022, 'ArrowUp')), '2022-08-01')
  assert.equal(keyOf(monthAfterKey(RULER, july2022, 'ArrowDown')), '2022-06-01')
  assert.equal(keyOf(monthAfterKey(RULER, july2022, 'PageDown')), '2021-12-01')
  assert.equal(keyOf(monthAfterKey(RULER, july2022, 'PageUp')), '2022-12-01')
  const december2022 = MONTHS.findIndex((month) => month.key === '2022-12-01')
  assert.equal(keyOf(monthAfterKey(RULER, december2022, 'PageUp')), '2023-12-01')
  assert.equal(monthAfterKey(RULER, july2022, 'Home'), 0)
  assert.equal(monthAfterKey(RULER, july2022, 'End'), 81)
  assert.equal(monthAfterKey(RULER, 0, 'ArrowUp'), 0)
  assert.equal(monthAfterKey(RULER, 81, 'ArrowDown'), 81)
  assert.equal(monthAfterKey(RULER, july2022, 'a'), null)
  assert.equal(yearStart(RULER, 81, 1), 81)
  assert.equal(yearStart(RULER, 0, -1), 0)
})

test('an empty timeline has an empty track', () => {
  const empty = makeRuler([])
  assert.deepEqual(scrubberMarks(empty, 800), [])
  assert.deepEqual(placeAt(empty, 0.5), { month: -1, within: 0 })
  assert.equal(fractionOf(empty, { month: -1, within: 0 }), 0)
  assert.equal(monthAfterKey(empty, 0, 'Home'), null)
})
