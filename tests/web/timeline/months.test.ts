/** What becomes of the months of a timeline when photographs come, change and go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { timelineFor } from '../../../web/src/lib/timeline/geometry/layout.ts'
import {
  findPhoto,
  type Month,
  newMonth,
  patched,
  type Sheet,
  withChanged,
  without,
  withPhotos,
} from '../../../web/src/lib/timeline/state/months.ts'
import type { Photo } from '../../../web/src/lib/timeline/state/photos.ts'

const sheet: Sheet = { measures: timelineFor(1200, 4, 'medium'), isAscending: false, firstSeenId: null }
const photo = (id: string, at: string): Photo => ({
  id,
  ratio: 1.5,
  isFavorite: false,
  isImage: true,
  thumbhash: 'x',
  isPreparing: false,
  durationMs: null,
  livePhotoVideoId: null,
  ownerId: 'anna',
  wallClockMs: Date.parse(`${at}T12:00:00Z`),
})
const loaded = (...photos: [id: string, at: string][]) =>
  photos.reduce<Month[]>((months, [id, at]) => withChanged(months, [photo(id, at)], sheet), [])
const seen = (months: readonly Month[]) =>
  months.map(({ key, count, photos }) => [key.slice(0, 7), count, photos?.map(({ id }) => id) ?? null])

test('what comes is in its month and in its place, newest first or oldest first', () => {
  const days: [string, string][] = [
    ['a', '2025-03-02'],
    ['b', '2025-05-01'],
    ['c', '2025-03-09'],
    ['d', '2025-04-01'],
  ]
  assert.deepEqual(seen(loaded(...days)), [
    ['2025-05', 1, ['b']],
    ['2025-04', 1, ['d']],
    ['2025-03', 2, ['c', 'a']],
  ])
  const ascending = { ...sheet, isAscending: true }
  const months = withChanged(
    [],
    days.map(([id, at]) => photo(id, at)),
    ascending,
  )
  assert.deepEqual(seen(months), [
    ['2025-03', 2, ['a', 'c']],
    ['2025-04', 1, ['d']],
    ['2025-05', 1, ['b']],
  ])
})

test('a photo that turns out to be of another month leaves its own, which goes when nothing is left', () => {
  const before = loaded(['a', '2025-03-02'], ['b', '2025-05-01'])
  const after = withChanged(before, [photo('a', '2025-05-03')], sheet)
  assert.deepEqual(seen(after), [['2025-05', 2, ['a', 'b']]])
  assert.deepEqual(findPhoto(after, 'a'), { month: 0, index: 0 })
  assert.equal(findPhoto(after, 'c'), null)
})

test('in a month that is not loaded, what comes only counts, and the month grows', () => {
  const before = [newMonth('2025-03-01', 40, 60, sheet)]
  const [month] = withChanged(before, [photo('a', '2025-03-02')], sheet)
  assert.deepEqual([month!.count, month!.ratioSum, month!.photos], [41, 61.5, null])
  assert.ok(month!.estimate >= before[0]!.estimate)
})

test('a month that is loaded keeps its estimate, so that the track stays as it is', () => {
  const before = [newMonth('2025-03-01', 2, 9, sheet)]
  const photos = [photo('a', '2025-03-02'), photo('b', '2025-03-01')]
  const [month] = withPhotos(before, '2025-03-01', photos, sheet)
  assert.equal(month!.estimate, before[0]!.estimate)
  assert.equal(month!.height, month!.layout!.height)
})

test('what goes is told apart from what was not loaded, and a change in place moves nothing', () => {
  const before = loaded(['a', '2025-03-02'], ['b', '2025-03-01'], ['c', '2025-05-01'])
  const { months, found } = without(before, new Set(['a', 'c', 'elsewhere']), sheet)
  assert.deepEqual(seen(months), [['2025-03', 1, ['b']]])
  assert.equal(found, 2)
  const [, march] = patched(before, new Set(['b']), (one) => ({ ...one, isFavorite: true }))
  assert.deepEqual(
    march!.photos!.map(({ id, isFavorite }) => [id, isFavorite]),
    [
      ['a', false],
      ['b', true],
    ],
  )
  assert.equal(march!.layout, before[1]!.layout)
})
