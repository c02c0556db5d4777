import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FITTED, fitBox, keepInside, largestScale, swipeOf, zoomAt } from '../../web/src/lib/viewer/zoom.ts'

const STAGE = { width: 1200, height: 800 }

test('a picture fits the stage in its ratio, and small ones are not blown up', () => {
  assert.deepEqual(fitBox(2, STAGE, null), { width: 1200, height: 600 })
  assert.deepEqual(fitBox(0.5, STAGE, null), { width: 400, height: 800 })
  assert.deepEqual(fitBox(1, STAGE, { width: 160, height: 160 }), { width: 240, height: 240 })
})

test('zooming keeps the point under the pointer and the picture’s edges outside', () => {
  const box = fitBox(1.5, STAGE, { width: 6000, height: 4000 })
  const largest = largestScale(box, { width: 6000, height: 4000 }, 1)
  fc.assert(
    fc.property(
      fc.double({ min: 1.1, max: 6, noNaN: true }),
      fc.double({ min: -300, max: 300, noNaN: true }),
      fc.double({ min: -300, max: 300, noNaN: true }),
      (factor, x, y) => {
        const view = zoomAt(FITTED, factor, { x, y }, box, STAGE, largest)
        assert.ok(view.scale <= largest && view.scale >= 1)
        // The picture fills the stage's width and height from scale 1 on, so no clamp moves the point.
        assert.ok(Math.abs((x - view.x) / view.scale - x) < 1e-6)
        assert.ok(Math.abs((y - view.y) / view.scale - y) < 1e-6)
        const back = zoomAt(view, 0.0001, { x, y }, box, STAGE, largest)
        assert.deepEqual({ scale: back.scale, x: back.x + 0, y: back.y + 0 }, { scale: 1, x: 0, y: 0 })
      },
    ),
  )
})

test('a pan ends at the edge', () => {
  const box = { width: 1200, height: 800 }
  assert.deepEqual(keepInside({ scale: 2, x: 5000, y: -5000 }, box, STAGE), { scale: 2, x: 600, y: -400 })
})

test('swipes: far or fast, and clearly in one direction', () => {
  assert.equal(swipeOf(-120, 10, 500), 'next')
  assert.equal(swipeOf(60, 10, 150), 'previous')
  assert.equal(swipeOf(60, 10, 500), null)
  assert.equal(swipeOf(5, 200, 500), 'close')
  assert.equal(swipeOf(120, 110, 200), null)
})
