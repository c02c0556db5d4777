import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listingWarnings, listingWhen } from '../../../web/src/lib/storage/locations/listing.ts'

const now = new Date('2026-01-02T12:00:00Z')
const listing = {
  seenAt: '2026-01-02T09:00:00Z',
  finishedAt: '2026-01-02T09:01:00Z',
  listed: { count: 9, bytes: 9_000 },
  unknown: { count: 0, bytes: 0 },
  missing: 0,
  different: 0,
  underWay: null,
}

test('A5: the storage page says when a place was last listed, and what was missing or changed', () => {
  assert.equal(listingWhen(null, now), 'none yet')
  assert.match(listingWhen(listing, now), /3 hours? ago|3 h/)
  assert.match(
    listingWhen({ ...listing, unknown: { count: 2, bytes: 10 } }, now),
    /2 files .* that Glassine does not know, left alone/,
  )
  const underWay = { begunAt: '2026-01-02T11:00:00Z', count: 1_500, error: null }
  assert.equal(listingWhen({ ...listing, underWay }, now), 'under way, 1,500 so far')
  assert.deepEqual(listingWarnings(listing), [])
  assert.deepEqual(
    listingWarnings({ ...listing, missing: 5, different: 1, underWay: { ...underWay, error: 'no answer' } }),
    [
      '5 proven files missing in the last listing.',
      '1 proven file changed since the proof.',
      "The listing can't go on now: no answer",
    ],
  )
})
