import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pruneRemovals } from '../../../src/library/sync/prune.ts'
import { ackAll, ackAndExpectNothing, dataOf, sync, typesOf } from '../../support/sync/sync-client.ts'
import { startAlbumWorld } from './album-world.ts'

test('albums in the sync stream', async (t) => {
  const world = await startAlbumWorld(t)
  const { newUser, album, share, unshare, deleteAlbum } = world

  for (const [types, type] of [
    ['AlbumsV1', 'AlbumV1'],
    ['AlbumsV2', 'AlbumV2'],
  ] as const) {
    await t.test(`84. ${types}: an album has all fields`, async () => {
      const me = await newUser()
      const asset = await world.asset(me)
      const id = await album(me, [asset])
      const lines = await sync(me, types)
      const { createdAt, updatedAt, ...data } = lines[0]!.data
      assert.deepEqual(data, {
        id,
        name: 'album',
        description: '',
        thumbnailAssetId: asset,
        isActivityEnabled: true,
        order: 'desc',
        ...(type === 'AlbumV1' && { ownerId: me.userId }),
      })
      assert.ok(createdAt && updatedAt)
      await ackAndExpectNothing(me, lines, types)
    })

    await t.test(`85. ${types}: a new album`, async () => {
      const me = await newUser()
      await ackAll(me, await sync(me, types))
      await album(me)
      const lines = await sync(me, types)
      assert.deepEqual(typesOf(lines), [type])
      await ackAndExpectNothing(me, lines, types)
    })

    await t.test(`86. ${types}: a deleted album`, async () => {
      const me = await newUser()
      const id = await album(me)
      assert.deepEqual(typesOf(await sync(me, types)), [type])
      await deleteAlbum(me, id)
      const lines = await sync(me, types)
      assert.deepEqual([typesOf(lines), dataOf(lines)], [['AlbumDeleteV1'], [{ albumId: id }]])
      await ackAndExpectNothing(me, lines, types)
    })

    await t.test(`87, 88. ${types}: a shared album`, async () => {
      const [me, other] = [await newUser(), await newUser()]
      const id = await album(other)
      await share(other, id, me)
      const lines = await sync(me, types)
      assert.deepEqual(
        lines.map(({ data }) => data.id),
        [id],
      )
      await ackAndExpectNothing(me, lines, types)
    })

    await t.test(`89. ${types}: an older album that is shared later`, async () => {
      const [me, other] = [await newUser(), await newUser()]
      const older = await album(other)
      await album(me)
      await ackAll(me, await sync(me, types))
      await share(other, older, me)
      const lines = await sync(me, types)
      assert.deepEqual(
        lines.map(({ data }) => data.id),
        [older],
      )
      await ackAndExpectNothing(me, lines, types)
    })

    await t.test(`90, 91. ${types}: a shared album is deleted, or no longer shared`, async () => {
      const [me, other] = [await newUser(), await newUser()]
      const [first, second] = [await album(other), await album(other)]
      await share(other, first, me)
      await share(other, second, me)
      await ackAndExpectNothing(me, await sync(me, types), types)
      await deleteAlbum(other, first)
      let lines = await sync(me, types)
      assert.deepEqual([typesOf(lines), dataOf(lines)], [['AlbumDeleteV1'], [{ albumId: first }]])
      await ackAndExpectNothing(me, lines, types)
      await unshare(other, second, me)
      lines = await sync(me, types)
      assert.deepEqual([typesOf(lines), dataOf(lines)], [['AlbumDeleteV1'], [{ albumId: second }]])
      await ackAndExpectNothing(me, lines, types)
    })

    await t.test(`${types}: who joins again is sent the removal first`, async () => {
      const [me, other] = [await newUser(), await newUser()]
      const id = await album(other)
      await share(other, id, me)
      await ackAll(me, await sync(me, types))
      await unshare(other, id, me)
      await share(other, id, me)
      const lines = await sync(me, types)
      assert.deepEqual(typesOf(lines), ['AlbumDeleteV1', type])
      await ackAndExpectNothing(me, lines, types)
    })
  }
})

test('members of albums in the sync stream', async (t) => {
  const world = await startAlbumWorld(t)
  const { newUser, album, share, unshare, setRole, summary } = world
  const S = 'AlbumUsersV1'

  await t.test('92, 93. owner and editor', async () => {
    const [me, b] = [await newUser(), await newUser()]
    const albumId = await album(me)
    await share(me, albumId, b)
    const lines = await sync(me, S)
    assert.deepEqual(dataOf(lines), [
      { albumId, userId: me.userId, role: 'owner' },
      { albumId, userId: b.userId, role: 'editor' },
    ])
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test('94, 95. a changed role, and a member who is gone', async () => {
    const [me, b] = [await newUser(), await newUser()]
    const albumId = await album(me)
    await share(me, albumId, b)
    await ackAll(me, await sync(me, S))
    await setRole(me, albumId, b, 'viewer')
    let lines = await sync(me, S)
    assert.deepEqual(dataOf(lines), [{ albumId, userId: b.userId, role: 'viewer' }])
    await ackAndExpectNothing(me, lines, S)
    await unshare(me, albumId, b)
    lines = await sync(me, S)
    assert.deepEqual(
      [typesOf(lines), dataOf(lines)],
      [['AlbumUserDeleteV1'], [{ albumId, userId: b.userId }]],
    )
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test("96-98. the members of another's album", async () => {
    const [me, b, c] = [await newUser(), await newUser(), await newUser()]
    const albumId = await album(b)
    await share(b, albumId, me)
    let { lines, told } = await summary(me, S)
    assert.deepEqual(told, [`AlbumUserV1 ${b.userId}`, `AlbumUserV1 ${me.userId}`])
    await ackAndExpectNothing(me, lines, S)
    await share(b, albumId, c)
    await ackAll(me, await sync(me, S))
    await setRole(b, albumId, c, 'viewer')
    ;({ lines, told } = await summary(me, S))
    assert.deepEqual(told, [`AlbumUserV1 ${c.userId}`])
    await ackAndExpectNothing(me, lines, S)
    await unshare(b, albumId, c)
    ;({ lines, told } = await summary(me, S))
    assert.deepEqual(told, [`AlbumUserDeleteV1 ${c.userId}`])
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test('99. older members of an album that is shared later', async () => {
    const [me, b, c, d] = [await newUser(), await newUser(), await newUser(), await newUser()]
    const first = await album(b)
    const second = await album(b)
    await share(b, first, c)
    await share(b, second, me)
    await share(b, first, d)
    let { lines, told } = await summary(me, S)
    assert.deepEqual(told, [`AlbumUserV1 ${b.userId}`, `AlbumUserV1 ${me.userId}`])
    await ackAll(me, lines)
    await share(b, first, me)
    ;({ lines, told } = await summary(me, S))
    assert.deepEqual(told, [
      `AlbumUserBackfillV1 ${b.userId}`,
      `AlbumUserBackfillV1 ${c.userId}`,
      'SyncAckV1 AlbumUserBackfillV1',
      `AlbumUserV1 ${d.userId}`,
      `AlbumUserV1 ${me.userId}`,
    ])
    await ackAndExpectNothing(me, lines, S)
  })
})

test('what is in albums, in the sync stream', async (t) => {
  const world = await startAlbumWorld(t)
  const { newUser, album, asset, add, take, share, purge, deleteAlbum, summary } = world
  const S = 'AlbumToAssetsV1'

  await t.test('100-103. own and shared albums, with own and others’ assets', async () => {
    const [me, b] = [await newUser(), await newUser()]
    const [mine, theirs] = [await asset(me), await asset(b)]
    const shared = await album(b, [theirs])
    await share(b, shared, me)
    await add(me, shared, mine)
    const own = await album(me, [mine])
    await album(b, [theirs])
    const lines = await sync(me, S)
    assert.deepEqual(dataOf(lines), [
      { albumId: shared, assetId: theirs },
      { albumId: shared, assetId: mine },
      { albumId: own, assetId: mine },
    ])
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test('104, 105. older contents of an album that is shared later, read in two goes', async () => {
    const [me, b] = [await newUser(), await newUser()]
    const [a1, a2, a3] = [await asset(b), await asset(b), await asset(me)]
    const older = await album(b, [a1])
    await add(b, older, a2)
    const own = await album(me, [a3])
    let { lines, told } = await summary(me, S)
    assert.deepEqual(told, [`AlbumToAssetV1 ${a3}`])
    assert.ok(own)
    await ackAll(me, lines)
    await share(b, older, me)
    ;({ lines, told } = await summary(me, S))
    const end = 'SyncAckV1 AlbumToAssetBackfillV1'
    assert.deepEqual(told, [`AlbumToAssetBackfillV1 ${a1}`, `AlbumToAssetBackfillV1 ${a2}`, end])
    await ackAll(me, lines.slice(0, 1))
    ;({ lines, told } = await summary(me, S))
    assert.deepEqual(told, [`AlbumToAssetBackfillV1 ${a2}`, end])
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test('106-108. taken out, removed for good, and gone with its album', async () => {
    const me = await newUser()
    const [a1, a2, a3] = [await asset(me), await asset(me), await asset(me)]
    const id = await album(me, [a1, a2, a3])
    await ackAll(me, await sync(me, S))
    await take(me, id, a1)
    let { lines, told } = await summary(me, S)
    assert.deepEqual(told, [`AlbumToAssetDeleteV1 ${a1}`])
    await ackAndExpectNothing(me, lines, S)
    await purge(me, a2)
    ;({ lines, told } = await summary(me, S))
    assert.deepEqual(told, [`AlbumToAssetDeleteV1 ${a2}`])
    await ackAndExpectNothing(me, lines, S)
    await deleteAlbum(me, id)
    assert.deepEqual(await sync(me, S), [])
  })

  await t.test("another's photo that is uploaded again comes after its removal", async () => {
    const [me, b] = [await newUser(), await newUser()]
    const checksum = Buffer.alloc(20, 9)
    const [first, own] = [await asset(b, { checksum }), await asset(me)]
    const id = await album(b, [first])
    await share(b, id, me)
    await add(me, id, own)
    const types = ['PartnerAssetsV2', 'AlbumAssetsV2']
    await ackAll(me, await sync(me, ...types))
    await purge(b, first)
    await purge(me, own)
    const second = await asset(b, { checksum })
    await add(b, id, second)
    const { lines, told } = await summary(me, ...types)
    assert.deepEqual(told, [
      `PartnerAssetDeleteV1 ${first}`,
      `PartnerAssetDeleteV1 ${first}`,
      'SyncAckV1 AlbumAssetUpdateV2',
      `AlbumAssetCreateV2 ${second}`,
    ])
    await ackAndExpectNothing(me, lines, ...types)

    // It was taken out before, so that nothing told of it when it went.
    await take(b, id, second)
    await purge(b, second)
    await ackAll(me, await sync(me, ...types))
    const third = await asset(b, { checksum })
    await add(b, id, third)
    const expected = [
      ...[first, second].toSorted().map((gone) => `PartnerAssetDeleteV1 ${gone}`),
      'SyncAckV1 AlbumAssetUpdateV2',
      `AlbumAssetCreateV2 ${third}`,
    ]
    assert.deepEqual((await summary(me, ...types)).told, expected)

    // However long ago it went: removals are forgotten after 31 days, and the device still has the row.
    await world.server.pool.query(`update sync_removal set id = sync_floor(
      (extract(epoch from now() - interval '40 days') * 1e6)::bigint + row.n)
      from (select id as old, row_number() over (order by id) as n from sync_removal) as row where row.old = id`)
    await pruneRemovals(world.server.db)
    assert.deepEqual((await summary(me, ...types)).told, expected)
  })
})
