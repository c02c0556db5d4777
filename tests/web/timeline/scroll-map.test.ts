import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  contentTop,
  isScaled,
  jumpTo,
  LARGEST_SCROLL_DEVICE_PX,
  mustRecentre,
  openScrollMap,
  recentre,
  resized,
  type ScrollMap,
  scrolledTo,
} from '../../../web/src/lib/timeline/geometry/scroll-map.ts'

/** A million photographs at 1240 px: about 5 per row of 224 px. */
const MILLION_PX = 46_000_000
const VIEWPORT_PX = 900

/** A browser: clips what it is told to the element's height, and settles as the component does. */
function wheel(map: ScrollMap, deltaPx: number): ScrollMap {
  const scrollTop = Math.min(map.scrollPx - map.viewportPx, Math.max(0, map.scrollTop + deltaPx))
  const next = scrolledTo(map, scrollTop)
  return mustRecentre(next) ? recentre(next) : next
}

test('the scrolling element never passes the cap, at any pixel density', () => {
  for (const density of [0.5, 1, 1.5, 2, 3]) {
    const map = openScrollMap(MILLION_PX, VIEWPORT_PX, density)
    assert.ok(map.scrollPx * Math.max(1, density) <= LARGEST_SCROLL_DEVICE_PX)
    assert.ok(isScaled(map))
  }
  assert.equal(openScrollMap(120_000, VIEWPORT_PX, 2).scrollPx, 120_000)
})

test('every pixel of a million photographs can be reached, first and last included', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: MILLION_PX - VIEWPORT_PX }),
      fc.constantFrom(1, 2, 3),
      (wanted, density) => {
        const map = jumpTo(openScrollMap(MILLION_PX, VIEWPORT_PX, density), wanted)
        assert.equal(contentTop(map), wanted)
        assert.ok(map.scrollTop >= 0 && map.scrollTop <= map.scrollPx - VIEWPORT_PX)
      },
    ),
  )
  const map = openScrollMap(MILLION_PX, VIEWPORT_PX, 2)
  assert.equal(contentTop(jumpTo(map, -5)), 0)
  assert.equal(contentTop(jumpTo(map, 1e12)), MILLION_PX - VIEWPORT_PX)
})

test('the wheel moves by its own pixels anywhere on the timeline', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 10_000, max: MILLION_PX - 200_000 }),
      fc.array(fc.integer({ min: -600, max: 900 }), { maxLength: 60 }),
      (start, deltas) => {
        let map = jumpTo(openScrollMap(MILLION_PX, VIEWPORT_PX, 2), start)
        let expected = start
        for (const delta of deltas) {
          expected = Math.max(0, expected + delta)
          map = wheel(map, delta)
          if (expected > 2000) assert.equal(contentTop(map), expected)
          else return
        }
      },
    ),
  )
})

test('wheeling alone leads from one end to the other and back', () => {
  let map = jumpTo(openScrollMap(9_000_000, VIEWPORT_PX, 2), 8_960_000)
  for (let step = 0; step < 200; step++) map = wheel(map, 700)
  assert.equal(contentTop(map), 9_000_000 - VIEWPORT_PX)
  map = jumpTo(map, 30_000)
  for (let step = 0; step < 200; step++) map = wheel(map, -700)
  assert.equal(contentTop(map), 0)
})

test('settling moves nothing on the screen', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: MILLION_PX - VIEWPORT_PX }),
      fc.array(fc.integer({ min: -900, max: 900 }), { maxLength: 20 }),
      (start, deltas) => {
        let map = jumpTo(openScrollMap(MILLION_PX, VIEWPORT_PX, 1), start)
        for (const delta of deltas) map = wheel(map, delta)
        assert.equal(contentTop(recentre(map)), contentTop(map))
      },
    ),
  )
})

test('the browser’s own bar is read in proportion', () => {
  const map = openScrollMap(MILLION_PX, VIEWPORT_PX, 1)
  const middle = scrolledTo(map, (map.scrollPx - VIEWPORT_PX) / 2)
  assert.ok(Math.abs(contentTop(middle) - (MILLION_PX - VIEWPORT_PX) / 2) <= 1)
  const end = scrolledTo(map, map.scrollPx - VIEWPORT_PX)
  assert.equal(contentTop(end), MILLION_PX - VIEWPORT_PX)
  assert.equal(contentTop(scrolledTo(end, 0)), 0)
})

test('a timeline under the cap scrolls as any page', () => {
  const map = openScrollMap(120_000, VIEWPORT_PX, 1)
  const scrolled = scrolledTo(map, 77_777)
  assert.equal(contentTop(scrolled), 77_777)
  assert.equal(scrolled.base, 0)
  assert.equal(mustRecentre(scrolled), false)
})

test('what is looked at stays where it was when something above it grows, shrinks or appears', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(200_000, MILLION_PX),
      fc.integer({ min: 20_000, max: 150_000 }),
      fc.integer({ min: -10_000, max: 10_000 }),
      (height, top, growth) => {
        const map = jumpTo(openScrollMap(height, VIEWPORT_PX, 1), top)
        const anchor = top + 120
        const next = openScrollMap(height + growth, VIEWPORT_PX, 1)
        const moved = resized(map, next, anchor, anchor + growth)
        assert.equal(anchor + growth - contentTop(moved), anchor - contentTop(map))
        assert.ok(moved.scrollTop >= 0 && moved.scrollTop <= moved.scrollPx - VIEWPORT_PX)
      },
    ),
  )
})

test('a scaled timeline that grows does not touch the scroll position, so that momentum goes on', () => {
  const map = jumpTo(openScrollMap(MILLION_PX, VIEWPORT_PX, 1), 5_000_000)
  const moved = resized(map, openScrollMap(MILLION_PX + 300, VIEWPORT_PX, 1), 5_000_100, 5_000_400)
  assert.equal(moved.scrollTop, map.scrollTop)
})
