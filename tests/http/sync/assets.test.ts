import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Client } from '../../support/client.ts'
import { startTestServer } from '../../support/server.ts'
import { ackAll, ackAndExpectNothing, dataOf, post, sync, typesOf } from '../../support/sync/sync-client.ts'
import { addAsset } from '../routes/asset-rows.ts'

test("the user's own assets, in the sync stream", async (t) => {
  const server = await startTestServer(t)
  let count = 0
  const newUser = () => server.newUser(`user${count++}`)
  const remove = async (user: Client, ids: string[]) => {
    const response = await post(user, '/assets', { ids, force: true }, 'DELETE')
    assert.equal(response.status, 204, await response.text())
  }

  await t.test('21. AssetV2 has all fields', async () => {
    const me = await newUser()
    const thumbhash = Buffer.from('3OcRJYB4d3h/iIeHeEh3eIhw+j2w', 'base64')
    const id = await addAsset(server.db, me.userId, {
      type: 'VIDEO',
      checksum: Buffer.alloc(20, 255),
      thumbhash,
      duration_ms: 600_000,
      width: 1920,
      height: 1080,
      original_file_name: 'a "quoted" \\ back\nslash \u{1f600}.mp4',
      file_created_at: '0044-03-15T12:00:00.000Z',
      file_modified_at: '2024-05-01T10:00:00.1239Z',
      created_at: '2024-06-01T10:00:00.000Z',
      local_date_time: '0044-03-15 13:00:00.5',
      is_favorite: true,
      visibility: 'archive',
    })
    const lines = await sync(me, 'AssetsV2')
    assert.deepEqual(dataOf(lines), [
      {
        id,
        ownerId: me.userId,
        originalFileName: 'a "quoted" \\ back\nslash \u{1f600}.mp4',
        checksum: Buffer.alloc(20, 255).toString('base64'),
        thumbhash: thumbhash.toString('base64'),
        fileCreatedAt: '0044-03-15T12:00:00.000Z',
        fileModifiedAt: '2024-05-01T10:00:00.123Z',
        createdAt: '2024-06-01T10:00:00.000Z',
        localDateTime: '0044-03-15T13:00:00.500Z',
        duration: 600_000,
        type: 'VIDEO',
        deletedAt: null,
        isFavorite: true,
        visibility: 'archive',
        livePhotoVideoId: null,
        stackId: null,
        libraryId: null,
        width: 1920,
        height: 1080,
        isEdited: false,
      },
    ])
    await ackAndExpectNothing(me, lines, 'AssetsV2')
  })

  await t.test('22. one that was removed before the first stream', async () => {
    const me = await newUser()
    const id = await addAsset(server.db, me.userId)
    await remove(me, [id])
    const lines = await sync(me, 'AssetsV2')
    assert.deepEqual([typesOf(lines), dataOf(lines)], [['AssetDeleteV1'], [{ assetId: id }]])
    await ackAndExpectNothing(me, lines, 'AssetsV2')
  })

  await t.test("23. another's asset is nobody else's", async () => {
    const [me, other] = [await newUser(), await newUser()]
    const id = await addAsset(server.db, other.userId)
    assert.deepEqual(typesOf(await sync(other, 'AssetsV2')), ['AssetV2'])
    assert.deepEqual(await sync(me, 'AssetsV2'), [])
    await remove(other, [id])
    assert.deepEqual(typesOf(await sync(other, 'AssetsV2')), ['AssetDeleteV1'])
    assert.deepEqual(await sync(me, 'AssetsV2'), [])
  })

  await t.test('24. AssetExifV1 has all fields', async () => {
    const me = await newUser()
    const assetId = await addAsset(server.db, me.userId, {}, { make: 'Canon', fps: Number.NaN })
    const lines = await sync(me, 'AssetExifsV1')
    const none = [
      ...['exifImageWidth', 'exifImageHeight', 'orientation', 'dateTimeOriginal', 'modifyDate', 'timeZone'],
      ...[
        'latitude',
        'longitude',
        'projectionType',
        'city',
        'state',
        'country',
        'model',
        'lensModel',
        'fNumber',
      ],
      ...['focalLength', 'iso', 'exposureTime', 'profileDescription', 'rating', 'fps'],
    ]
    assert.deepEqual(dataOf(lines), [
      {
        assetId,
        description: '',
        fileSizeInByte: 1000,
        make: 'Canon',
        ...Object.fromEntries(none.map((name) => [name, null])),
      },
    ])
    await ackAndExpectNothing(me, lines, 'AssetExifsV1')
  })

  await t.test("25. another's metadata is nobody else's", async () => {
    const [me, other] = [await newUser(), await newUser()]
    await addAsset(server.db, other.userId, {}, { make: 'Canon', latitude: 0.1 + 0.2, f_number: 1e-7 })
    const lines = await sync(other, 'AssetExifsV1')
    assert.deepEqual([lines[0]!.data.latitude, lines[0]!.data.fNumber], [0.1 + 0.2, 1e-7])
    assert.deepEqual(await sync(me, 'AssetExifsV1'), [])
  })

  await t.test('a file that is uploaded again comes after its removal', async () => {
    const me = await newUser()
    const checksum = Buffer.alloc(20, 7)
    const first = await addAsset(server.db, me.userId, { checksum })
    await ackAll(me, await sync(me, 'AssetsV2'))
    await remove(me, [first])
    const second = await addAsset(server.db, me.userId, { checksum })
    const lines = await sync(me, 'AssetsV2')
    assert.deepEqual(
      [typesOf(lines), lines.map(({ data }) => data.assetId ?? data.id)],
      [
        ['AssetDeleteV1', 'AssetV2'],
        [first, second],
      ],
    )
    await ackAndExpectNothing(me, lines, 'AssetsV2')
  })

  const METADATA = 'AssetMetadataV1'
  const keep = async (user: Client, assetId: string, value: object, key = 'mobile-app') => {
    const response = await post(user, `/assets/${assetId}/metadata`, { items: [{ key, value }] }, 'PUT')
    assert.equal(response.status, 200, await response.text())
  }

  await t.test('26. what a client keeps with an asset', async () => {
    const [me, other] = [await newUser(), await newUser()]
    const assetId = await addAsset(server.db, me.userId)
    const value = { iCloudId: 'ABC/L0/001', createdAt: null, nested: { kept: null } }
    await keep(me, assetId, value, 'mobile-app "1"')
    const lines = await sync(me, METADATA)
    assert.deepEqual(
      [typesOf(lines), dataOf(lines)],
      [
        [METADATA],
        [
          {
            assetId,
            key: 'mobile-app "1"',
            value: { iCloudId: 'ABC/L0/001', nested: { kept: null } },
          },
        ],
      ],
    )
    await ackAndExpectNothing(me, lines, METADATA)
    assert.deepEqual(await sync(other, METADATA), [])
  })

  await t.test('27. a replaced value of it', async () => {
    const me = await newUser()
    const assetId = await addAsset(server.db, me.userId)
    await keep(me, assetId, { iCloudId: 'first' })
    await ackAll(me, await sync(me, METADATA))
    await keep(me, assetId, { iCloudId: 'second' })
    const lines = await sync(me, METADATA)
    assert.deepEqual(dataOf(lines), [{ assetId, key: 'mobile-app', value: { iCloudId: 'second' } }])
    await ackAndExpectNothing(me, lines, METADATA)
  })

  await t.test('28. a deleted key of it; what goes with its asset is not told', async () => {
    const me = await newUser()
    const assetId = await addAsset(server.db, me.userId)
    await keep(me, assetId, { iCloudId: 'first' })
    await keep(me, assetId, { iCloudId: 'other' }, 'other')
    await ackAll(me, await sync(me, METADATA))
    const response = await me.call(`/assets/${assetId}/metadata/mobile-app`, { method: 'DELETE' })
    assert.equal(response.status, 204)
    const lines = await sync(me, METADATA)
    assert.deepEqual(
      [typesOf(lines), dataOf(lines)],
      [['AssetMetadataDeleteV1'], [{ assetId, key: 'mobile-app' }]],
    )
    await ackAll(me, lines)
    await remove(me, [assetId])
    await server.runJobs()
    assert.deepEqual(typesOf(await sync(me, 'AssetsV2', METADATA)), ['AssetDeleteV1'])
  })

  await t.test('trash, restore and a change by the user are sent; work of our own is not', async () => {
    const me = await newUser()
    const id = await addAsset(server.db, me.userId)
    await ackAll(me, await sync(me, 'AssetsV2', 'AssetExifsV1'))
    await post(me, '/assets', { ids: [id] }, 'DELETE')
    let lines = await sync(me, 'AssetsV2')
    assert.ok(lines[0]!.data.deletedAt)
    await post(me, '/trash/restore/assets', { ids: [id] })
    lines = await sync(me, 'AssetsV2')
    assert.equal(lines[0]!.data.deletedAt, null)
    await post(me, `/assets/${id}`, { isFavorite: true, description: 'Wien' }, 'PUT')
    lines = await sync(me, 'AssetsV2', 'AssetExifsV1')
    assert.deepEqual([lines[0]!.data.isFavorite, lines[1]!.data.description], [true, 'Wien'])
    await ackAll(me, lines)

    const untouched = [
      `update asset set processing = 'failed', processing_error = 'x', decoder_failures = 1, updated_at = now(),
         live_photo_id = 'x', is_embedded = false, original_mime_type = 'image/png', is_favorite = is_favorite`,
      `update asset_exif set updated_at = now(), user_set = '{make}', make = make`,
      `insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
         select original_object_id, 'local', 'k' || id, 'writing', 'test', now() from asset where id = '${id}'`,
      `insert into asset_file (asset_id, kind, object_id) select id, 'thumbnail', original_object_id from asset where id = '${id}'`,
      `update app_user set updated_at = now(), password_hash = 'x' where id = '${me.userId}'`,
    ]
    for (const statement of untouched) await server.pool.query(statement)
    assert.deepEqual(await sync(me, 'AssetsV2', 'AssetExifsV1'), [])
  })

  await t.test('a change that commits late is not lost, and holds nobody up', async () => {
    const me = await newUser()
    const late = await addAsset(server.db, me.userId)
    const other = await addAsset(server.db, me.userId)
    await ackAll(me, await sync(me, 'AssetsV2'))
    const client = await server.pool.connect()
    await client.query('begin')
    await client.query('update asset set is_favorite = true where id = $1', [late])
    await server.pool.query('update asset set is_favorite = true where id = $1', [other])
    // Seen at once, and acknowledged below what the other transaction has not committed.
    let lines = await sync(me, 'AssetsV2')
    assert.deepEqual(
      lines.map(({ data }) => data.id),
      [other],
    )
    await ackAll(me, lines)
    await client.query('commit')
    client.release()
    lines = await sync(me, 'AssetsV2')
    assert.deepEqual(
      lines.map(({ data }) => data.id),
      [late, other],
    )
    await ackAndExpectNothing(me, lines, 'AssetsV2')
  })

  await t.test('a clock that goes back makes no ids below those that were acknowledged', async () => {
    const me = await newUser()
    const id = await addAsset(server.db, me.userId)
    // As if the clock had been an hour ahead until now.
    await server.pool.query(`select setval('sync_state_clock_seq',
      (extract(epoch from clock_timestamp() + interval '1 hour') * 1e6)::bigint)`)
    await server.pool.query('update asset set is_favorite = true where id = $1', [id])
    await ackAll(me, await sync(me, 'AssetsV2'))
    await server.pool.query('update asset set is_favorite = false where id = $1', [id])
    const lines = await sync(me, 'AssetsV2')
    assert.deepEqual(
      lines.map(({ data }) => data.isFavorite),
      [false],
    )
    await ackAndExpectNothing(me, lines, 'AssetsV2')
  })
})
