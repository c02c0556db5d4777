import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  dayOf,
  describePhoto,
  fromAsset,
  fromColumns,
  mergePhotos,
  monthKeyOf,
} from '../../../web/src/lib/timeline/state/photos.ts'

const asset = (id: string, localDateTime: string) => ({
  id,
  type: 'IMAGE' as const,
  originalFileName: 'a.jpg',
  fileCreatedAt: localDateTime,
  createdAt: '2025-03-05T10:00:00.000Z',
  ownerId: 'me',
  localDateTime,
  isFavorite: false,
  isTrashed: false,
  thumbhash: null,
  duration: null,
  width: 300,
  height: 200,
})

test('a photo lies in the month of its own wall clock, from the bucket and from the websocket alike', () => {
  // New Year's morning in Tokyo, still December in London.
  const [photo] = fromColumns({
    id: ['a'],
    ownerId: ['me'],
    ratio: [1.5],
    isFavorite: [false],
    isImage: [true],
    thumbhash: [null],
    fileCreatedAt: ['2024-12-31T22:30:00.000Z'],
    createdAt: ['2025-03-05T10:00:00.000Z'],
    localOffsetHours: [9],
    duration: [null],
    livePhotoVideoId: [null],
  })
  assert.equal(monthKeyOf(photo!), '2025-01-01')
  assert.equal(dayOf(photo!), 1)
  assert.deepEqual(fromAsset(asset('a', '2025-01-01T07:30:00.000Z')), photo)
})

test('an asset of unknown size is square, never NaN', () => {
  assert.equal(fromAsset({ ...asset('a', '2025-01-01T07:30:00.000Z'), width: null, height: null }).ratio, 1)
})

test('what moves is told to whoever does not see it', () => {
  const told = (change: Partial<Parameters<typeof fromAsset>[0]>) =>
    describePhoto(fromAsset({ ...asset('a', '2025-01-01T07:30:00.000Z'), thumbhash: 'x', ...change }))
  assert.equal(told({}), 'Photo, 2025-01-01 07:30')
  assert.equal(
    told({ livePhotoVideoId: 'film', isFavorite: true }),
    'Live photo, 2025-01-01 07:30, favourite',
  )
  assert.equal(told({ type: 'VIDEO', duration: 61_000 }), 'Video of 1:01, 2025-01-01 07:30')
})

test('merging puts new ones in their place and replaces known ones', () => {
  const day = (id: string, at: string) => fromAsset(asset(id, at))
  const before = [day('c', '2025-01-09T00:00:00Z'), day('a', '2025-01-02T00:00:00Z')]
  const after = mergePhotos(before, [
    day('b', '2025-01-05T00:00:00Z'),
    { ...day('a', '2025-01-02T00:00:00Z'), isFavorite: true },
  ])
  assert.deepEqual(
    after.map((photo) => [photo.id, photo.isFavorite]),
    [
      ['c', false],
      ['b', false],
      ['a', true],
    ],
  )
})
