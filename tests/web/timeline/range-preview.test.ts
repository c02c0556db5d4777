import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rangePreview } from '../../../web/src/lib/timeline/selection/range-preview.ts'

const MONTHS = [
  { photos: [{ id: 'a' }, { id: 'b' }] },
  { photos: null },
  { photos: [{ id: 'c' }, { id: 'd' }, { id: 'e' }] },
]
const preview = (from: string, to: string) => [...rangePreview(MONTHS, from, to)].join('')

test('a range holds both ends, in either order, over months that are not loaded', () => {
  assert.equal(preview('b', 'd'), 'bcd')
  assert.equal(preview('d', 'b'), 'bcd')
  assert.equal(preview('c', 'c'), 'c')
  assert.equal(preview('a', 'e'), 'abcde')
})

test('an end that is not loaded makes no range', () => {
  assert.equal(preview('b', 'z'), '')
  assert.equal(preview('z', 'y'), '')
})
