import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackAll, ackAndExpectNothing, sync, typesOf } from '../../support/sync/sync-client.ts'
import { startAlbumWorld } from './album-world.ts'

const KINDS = [
  {
    S: 'AlbumAssetsV2',
    own: 'AssetsV2',
    ownLine: 'AssetV2',
    backfill: 'AlbumAssetBackfillV2',
    update: 'AlbumAssetUpdateV2',
    create: 'AlbumAssetCreateV2',
    keys: 20,
    numbers: ['109', '110', '111', '112', '113', '114'],
  },
  {
    S: 'AlbumAssetExifsV1',
    own: 'AssetExifsV1',
    ownLine: 'AssetExifV1',
    backfill: 'AlbumAssetExifBackfillV1',
    update: 'AlbumAssetExifUpdateV1',
    create: 'AlbumAssetExifCreateV1',
    keys: 25,
    numbers: ['117', '118', '119', '120', '121', '122'],
  },
] as const

test('assets in albums and what is said of them, in the sync stream', async (t) => {
  const world = await startAlbumWorld(t)
  const { newUser, album, asset, add, share, summary, update: updateAsset, server } = world

  for (const { S, own, ownLine, backfill, update, create, keys, numbers } of KINDS) {
    await t.test(`${numbers[0]}. a shared album: ${S}`, async () => {
      const [me, b] = [await newUser(), await newUser()]
      const id = await asset(b, {}, { make: 'Canon' })
      await share(b, await album(b, [id]), me)
      const { lines, told } = await summary(me, S)
      assert.deepEqual(told, [`SyncAckV1 ${update}`, `${create} ${id}`])
      assert.equal(Object.keys(lines[1]!.data).length, keys)
      await ackAndExpectNothing(me, lines, S)
    })

    await t.test(`${numbers[1]}. the own album and asset: ${S}`, async () => {
      const me = await newUser()
      const id = await asset(me)
      await album(me, [id])
      assert.deepEqual(typesOf(await sync(me, own)), [ownLine])
      assert.deepEqual((await summary(me, S)).told, [`SyncAckV1 ${update}`, `${create} ${id}`])
    })

    await t.test(`${numbers[2]}. an album of others: ${S}`, async () => {
      const [me, b, c] = [await newUser(), await newUser(), await newUser()]
      const id = await asset(c)
      const albumId = await album(b)
      await share(b, albumId, c)
      await add(c, albumId, id)
      assert.deepEqual(typesOf(await sync(c, own)), [ownLine])
      assert.deepEqual(await sync(me, S), [])
    })

    await t.test(`${numbers[3]}. older contents of an album that is shared later: ${S}`, async () => {
      const [me, b] = [await newUser(), await newUser()]
      const [a1, a2, a3] = [await asset(b), await asset(b), await asset(b)]
      const later = await album(b, [a1])
      await add(b, later, a2)
      const first = await album(b, [a2])
      await add(b, later, a3)
      await share(b, first, me)
      let { lines, told } = await summary(me, S)
      assert.deepEqual(told, [`SyncAckV1 ${update}`, `${create} ${a2}`])
      await ackAll(me, lines)
      await share(b, later, me)
      ;({ lines, told } = await summary(me, S))
      assert.deepEqual(told, [
        `${backfill} ${a1}`,
        `${backfill} ${a2}`,
        `SyncAckV1 ${backfill}`,
        `SyncAckV1 ${update}`,
        `${create} ${a3}`,
      ])
      await ackAndExpectNothing(me, lines, S)
    })

    await t.test(`${numbers[4]}. an album that is shared later and filled further: ${S}`, async () => {
      const [me, b] = [await newUser(), await newUser()]
      const [s, f, g] = [await asset(b), await asset(b), await asset(b)]
      const later = await album(b, [f])
      const first = await album(b, [g])
      await share(b, first, me)
      let { lines, told } = await summary(me, S)
      assert.deepEqual(told, [`SyncAckV1 ${update}`, `${create} ${g}`])
      await ackAll(me, lines)
      await share(b, later, me)
      ;({ lines, told } = await summary(me, S))
      assert.deepEqual(told, [`${backfill} ${f}`, `SyncAckV1 ${backfill}`])
      await ackAll(me, lines)
      await add(b, later, s)
      ;({ lines, told } = await summary(me, S))
      assert.deepEqual(told, [`SyncAckV1 ${update}`, `${create} ${s}`])
      await ackAndExpectNothing(me, lines, S)
    })

    await t.test(`${numbers[5]}. a change of what is in the album: ${S}`, async () => {
      const [me, b] = [await newUser(), await newUser()]
      const id = await asset(b)
      await share(b, await album(b, [id]), me)
      await ackAll(me, await sync(me, S))
      if (S === 'AlbumAssetsV2')
        await server.pool.query("update asset set original_file_name = 'new.jpg' where id = $1", [id])
      else await server.pool.query("update asset_exif set city = 'Wien' where asset_id = $1", [id])
      const { lines, told } = await summary(me, S)
      assert.deepEqual(told, [`${update} ${id}`])
      assert.equal(
        lines[0]!.data.originalFileName ?? lines[0]!.data.city,
        S === 'AlbumAssetsV2' ? 'new.jpg' : 'Wien',
      )
      await ackAndExpectNothing(me, lines, S)
    })
  }

  await t.test("115. another's favorite is none of mine", async () => {
    const [me, b] = [await newUser(), await newUser()]
    const id = await asset(b, { is_favorite: true })
    await share(b, await album(b, [id]), me, 'viewer')
    const lines = await sync(me, 'AlbumAssetsV2')
    assert.deepEqual(
      [typesOf(lines), lines[1]!.data.isFavorite],
      [['SyncAckV1', 'AlbumAssetCreateV2'], false],
    )
  })

  await t.test('116. the own favorite is one in an album of others', async () => {
    const [me, b] = [await newUser(), await newUser()]
    const id = await asset(me)
    const albumId = await album(b)
    await share(b, albumId, me)
    await add(me, albumId, id)
    await world.setRole(b, albumId, me, 'viewer')
    await updateAsset(me, id, { isFavorite: true })
    const lines = await sync(me, 'AlbumAssetsV2')
    assert.deepEqual(
      lines.map(({ data }) => data.isFavorite),
      [undefined, true],
    )
  })

  await t.test('123. metadata that is written later comes as a change', async () => {
    const [me, b] = [await newUser(), await newUser()]
    const [a1, a2, a3] = [await asset(b), await asset(b), await asset(b)]
    await server.pool.query('delete from asset_exif where asset_id = $1', [a2])
    const albumId = await album(b, [a1])
    await add(b, albumId, a2)
    await add(b, albumId, a3)
    await share(b, albumId, me)
    const S = 'AlbumAssetExifsV1'
    let { lines, told } = await summary(me, S)
    assert.deepEqual(told, [
      'SyncAckV1 AlbumAssetExifUpdateV1',
      `AlbumAssetExifCreateV1 ${a1}`,
      `AlbumAssetExifCreateV1 ${a3}`,
    ])
    await ackAll(me, lines)
    await server.pool.query('insert into asset_exif (asset_id) values ($1)', [a2])
    ;({ lines, told } = await summary(me, S))
    assert.deepEqual(told, [`AlbumAssetExifUpdateV1 ${a2}`])
    await ackAndExpectNothing(me, lines, S)
  })
})
