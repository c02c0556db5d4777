import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

const buckets = 'GET /api/timeline/buckets'
const bucket = 'GET /api/timeline/bucket'

test('months are of the wall clock where it was taken', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  // New Year's morning in Tokyo is still the old year in UTC.
  const tokyo = await addAsset(api.db, user.userId, {
    file_created_at: '2023-12-31T20:00:00.000Z',
    local_date_time: '2024-01-01 05:00:00.000',
  })
  const december = await addAsset(api.db, user.userId, {
    local_date_time: '2023-12-31 23:59:59.999',
    width: null,
    height: null,
  })
  const months = (await user.send(buckets)).body
  assert.deepEqual(months, [
    { timeBucket: '2024-01-01', count: 1, ratioSum: 1.333 },
    { timeBucket: '2023-12-01', count: 1, ratioSum: 1 },
  ])
  const ascending = (await user.send(`${buckets}?order=asc`)).body
  assert.deepEqual(ascending, months.toReversed())

  // A client may send any timestamp of the first of the month, in any zone's writing.
  for (const timeBucket of ['2024-01-01', '2024-01-01T00:00:00.000Z', '2024-01-01T00:00:00.000%2B09:00']) {
    const january = (await user.send(`${bucket}?timeBucket=${timeBucket}`)).body
    assert.deepEqual(january.id, [tokyo], timeBucket)
    assert.deepEqual(january.localOffsetHours, [9])
  }
  assert.deepEqual((await user.send(`${bucket}?timeBucket=2023-12-01`)).body.id, [december])
  for (const bad of ['', '2024-13-01', '0000-01-01', 'now', "2024-01-01'"]) {
    assert.equal((await user.send(`${bucket}?timeBucket=${bad}`)).status, 400, bad)
  }
})

test('a bucket is columnar, with every field, newest first', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const video = await addAsset(
    api.db,
    user.userId,
    {
      type: 'VIDEO',
      duration_ms: 12_345,
      is_favorite: true,
      thumbhash: Buffer.from('3OcRJYB4d3h/iIeHeEh3eIhw+j2w', 'base64'),
      local_date_time: '2024-05-02 12:00:00',
      width: 1080,
      height: 1920,
    },
    { city: 'Wien', country: 'Austria', latitude: 48.2, longitude: 16.4, projection_type: 'EQUIRECTANGULAR' },
  )
  const photo = await addAsset(api.db, user.userId, {
    visibility: 'archive',
    width: null,
    processing: 'failed',
  })
  const body = (await user.send(`${bucket}?timeBucket=2024-05-01&withCoordinates=true`)).body
  assertShape(body, 'TimeBucketAssetResponseDto', ['isPending'])
  const { createdAt, ...rest } = body
  for (const text of [...createdAt, ...body.fileCreatedAt])
    assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual(rest, {
    id: [video, photo],
    ownerId: [user.userId, user.userId],
    ratio: [0.5625, 1],
    isFavorite: [true, false],
    visibility: ['timeline', 'archive'],
    isTrashed: [false, false],
    isImage: [false, true],
    thumbhash: ['3OcRJYB4d3h/iIeHeEh3eIhw+j2w', null],
    fileCreatedAt: ['2024-05-01T10:00:00.000Z', '2024-05-01T10:00:00.000Z'],
    localOffsetHours: [26, 2],
    duration: [12_345, null],
    isPending: [true, false],
    projectionType: ['EQUIRECTANGULAR', null],
    livePhotoVideoId: [null, null],
    city: ['Wien', null],
    country: ['Austria', null],
    latitude: [48.2, null],
    longitude: [16.4, null],
  })
  const empty = (await user.send(`${bucket}?timeBucket=1999-01-01`)).body
  assertShape(empty, 'TimeBucketAssetResponseDto', ['isPending'])
  assert.deepEqual([empty.id, empty.createdAt, 'latitude' in empty], [[], [], false])
})

test('filters', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const add = (asset: Parameters<typeof addAsset>[2], exif = {}) => addAsset(api.db, user.userId, asset, exif)
  await add({ created_at: '2025-02-03T00:00:00Z' }, { latitude: -17.7, longitude: 178 })
  await add({ is_favorite: true })
  await add({ visibility: 'archive' })
  await add({ visibility: 'hidden' })
  await add({ visibility: 'locked' })
  await add({ deleted_at: new Date(), is_favorite: true })
  const count = async (query: string) => {
    const months = (await user.send(`${buckets}?${query}`)).body as { timeBucket: string; count: number }[]
    let seen = 0
    for (const month of months) {
      const body = (await user.send(`${bucket}?timeBucket=${month.timeBucket}&${query}`)).body
      assertShape(body, 'TimeBucketAssetResponseDto', ['isPending'])
      assert.equal(body.id.length, month.count, 'a bucket holds what was promised')
      seen += month.count
    }
    return seen
  }
  assert.equal(await count(''), 3)
  assert.equal(await count('visibility=timeline&withPartners=true&withStacked=true'), 2)
  assert.equal(await count('visibility=archive'), 1)
  assert.equal(await count('visibility=hidden'), 1)
  assert.equal(await count('isFavorite=true'), 1)
  assert.equal(await count('isFavorite=false'), 2)
  assert.equal(await count('isTrashed=true'), 1)
  assert.equal(await count('isTrashed=true&isFavorite=false'), 0)
  assert.equal(await count(`userId=${user.userId}`), 3)
  assert.equal(await count(`personId=${randomUUID()}`), 0)
  assert.equal((await user.send(`${buckets}?tagId=${randomUUID()}`)).status, 400)
  assert.equal(await count('bbox=170,-20,-170,-10'), 1)
  assert.equal(await count('bbox=-10,-20,10,-10'), 0)
  assert.deepEqual((await user.send(`${buckets}?orderBy=createdAt`)).body.at(-1), {
    timeBucket: '2025-02-01',
    count: 1,
    ratioSum: 1.333,
  })
  assert.equal((await user.send(`${buckets}?bbox=1,2,3`)).status, 400)
  assert.equal((await user.send(`${buckets}?visibility=all`)).status, 400)
  assert.equal((await user.send(`${buckets}?visibility=locked`)).status, 401)
})

test("nobody sees another one's timeline, but members see their album", async (t) => {
  const api = await startApi(t)
  const owner = await api.newClient()
  const member = await api.newClient()
  const stranger = await api.newClient()
  const shown = await addAsset(api.db, owner.userId, { is_favorite: true })
  const trashed = await addAsset(api.db, owner.userId, { deleted_at: new Date() })
  const locked = await addAsset(api.db, owner.userId)
  const wish = { albumName: 'Both', albumUsers: [{ userId: member.userId, role: 'viewer' }] }
  const album = (await owner.send('POST /api/albums', { ...wish, assetIds: [shown, trashed, locked] })).body
    .id
  await api.db.updateTable('asset').set({ visibility: 'locked' }).where('id', '=', locked).execute()

  assert.deepEqual((await stranger.send(buckets)).body, [])
  const theirs = await stranger.send(`${buckets}?userId=${owner.userId}`)
  assert.deepEqual([theirs.status, theirs.body], [400, { message: 'Not found or no timeline.read access' }])
  for (const request of [`${buckets}?albumId=${album}`, `${bucket}?timeBucket=2024-05-01&albumId=${album}`]) {
    const refused = await stranger.send(request)
    assert.deepEqual([refused.status, refused.body], [400, { message: 'Not found or no album.read access' }])
  }
  const page = (await member.send(`${bucket}?timeBucket=2024-05-01&albumId=${album}`)).body
  assert.deepEqual([page.id, page.isFavorite], [[shown], [false]], "a favorite is its owner's only")
  assert.deepEqual((await member.send(`${buckets}?albumId=${album}&isTrashed=true`)).body, [])
  assert.equal((await owner.send(`${buckets}?albumId=${album}&isTrashed=true`)).body[0].count, 1)
})
