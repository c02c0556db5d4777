import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deletionState, restorableUntil, whatGoes } from '../../web/src/lib/users/user-words.ts'

test('what goes with a user is told in numbers', () => {
  assert.equal(
    whatGoes({ photos: 1_204, videos: 1, usage: 3 * 1024 ** 3 }),
    '1,204 photos and 1 video, 3.00 GiB of originals',
  )
  assert.equal(whatGoes({ photos: 0, videos: 2, usage: 2_048 }), '2 videos, 2.00 KiB of originals')
  // The moving part of a live photo whose still is gone, say.
  assert.equal(whatGoes({ photos: 0, videos: 0, usage: 2_048 }), '2.00 KiB of originals')
  assert.equal(whatGoes({ photos: 0, videos: 0, usage: 0 }), 'no photos')
})

test('until when a user can be restored is told by the clock of whoever looks', () => {
  const deletedAt = new Date(2026, 10, 30, 18, 5)
  assert.equal(restorableUntil(deletedAt, 7), 'Monday 7 December 2026, 18:05')
  const iso = deletedAt.toISOString()
  assert.equal(deletionState({ status: 'active', deletedAt: null }, 7), '')
  assert.equal(
    deletionState({ status: 'deleted', deletedAt: iso }, 7),
    'deleted; can be restored until Monday 7 December 2026, 18:05',
  )
  assert.equal(deletionState({ status: 'removing', deletedAt: iso }, 7), 'is being removed for good')
})
