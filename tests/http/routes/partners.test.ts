import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

test('partners: each direction by itself, and what is seen of whom', async (t) => {
  const api = await startApi(t)
  const anna = await api.newClient()
  const bert = await api.newClient()
  const carl = await api.newClient()
  const shown = await addAsset(api.db, anna.userId, { is_favorite: true })
  const archived = await addAsset(api.db, anna.userId, { visibility: 'archive' })
  const locked = await addAsset(api.db, anna.userId, { visibility: 'locked' })
  const trashed = await addAsset(api.db, anna.userId, { deleted_at: new Date() })
  const own = await addAsset(api.db, bert.userId)
  const list = async (client: typeof anna, direction: string) =>
    (await client.send(`GET /api/partners?direction=${direction}`)).body

  await t.test('is made by who shows, once, to another user', async () => {
    assert.equal((await anna.send('GET /api/partners')).status, 400)
    const made = await anna.send('POST /api/partners', { sharedWithId: bert.userId })
    assert.equal(made.status, 201)
    assertShape(made.body, 'PartnerResponseDto')
    assert.deepEqual([made.body.id, made.body.inTimeline], [bert.userId, false])
    const again = await anna.send(`POST /api/partners/${bert.userId}`)
    assert.deepEqual([again.status, again.body], [400, { message: 'Partner already exists' }])
    for (const sharedWithId of [anna.userId, randomUUID()])
      assert.equal((await anna.send('POST /api/partners', { sharedWithId })).status, 400)
    assertShapes(await list(anna, 'shared-by'), 'PartnerResponseDto')
    assert.deepEqual(
      [await list(anna, 'shared-by'), await list(bert, 'shared-with')].map((found) => found[0].id),
      [bert.userId, anna.userId],
    )
    assert.deepEqual([await list(anna, 'shared-with'), await list(bert, 'shared-by')], [[], []])
  })

  const months = async (client: typeof anna, query: string) =>
    client.send(`GET /api/timeline/buckets?${query}`)
  const idsOf = async (client: typeof anna, query: string) =>
    (await client.send(`GET /api/timeline/bucket?timeBucket=2024-05-01&${query}`)).body.id.toSorted()

  await t.test('their timeline, and nothing else of theirs', async () => {
    assert.deepEqual(await idsOf(bert, `userId=${anna.userId}`), [shown])
    const refused = [
      [`userId=${anna.userId}&visibility=archive`, 'Not found or no archive.read access'],
      [`userId=${anna.userId}&visibility=locked`, "You may not access another user's locked timeline"],
      [`userId=${anna.userId}&isTrashed=true`, 'Not found or no timeline.read access'],
      [`userId=${carl.userId}`, 'Not found or no timeline.read access'],
    ]
    for (const [query, message] of refused) {
      const answer = await months(bert, query!)
      assert.deepEqual([answer.status, answer.body.message], [400, message], query)
    }
    assert.equal((await months(anna, `userId=${bert.userId}`)).status, 400, 'the other direction')
    const { body } = await bert.send(`GET /api/timeline/bucket?timeBucket=2024-05-01&userId=${anna.userId}`)
    assert.deepEqual(body.isFavorite, [false])
  })

  await t.test('in the timeline and in searches only where the recipient wants it', async () => {
    const search = async () =>
      (await bert.send('POST /api/search/metadata', { withDeleted: true })).body.assets.items
        .map((item: { id: string }) => item.id)
        .toSorted()
    assert.deepEqual(await idsOf(bert, 'withPartners=true&visibility=timeline'), [own])
    assert.deepEqual(await search(), [own])
    assert.equal((await anna.send(`PUT /api/partners/${bert.userId}`, { inTimeline: true })).status, 400)
    assert.equal((await bert.send(`PUT /api/partners/${carl.userId}`, { inTimeline: true })).status, 400)
    const changed = await bert.send(`PUT /api/partners/${anna.userId}`, { inTimeline: true })
    assertShape(changed.body, 'PartnerResponseDto')
    assert.deepEqual([changed.body.id, changed.body.inTimeline], [anna.userId, true])
    assert.deepEqual(await idsOf(bert, 'withPartners=true&visibility=timeline'), [own, shown].toSorted())
    assert.deepEqual(await idsOf(bert, 'visibility=timeline'), [own])
    assert.deepEqual(await search(), [own, shown].toSorted(), 'neither archive nor trash')
    for (const query of ['', '&visibility=archive', '&visibility=timeline&isFavorite=true']) {
      const answer = await months(bert, `withPartners=true${query}`)
      assert.match(answer.body.message, /^withPartners is only supported/)
    }
  })

  await t.test('goes into albums, and can not be changed', async () => {
    const wish = { albumName: 'x', assetIds: [shown, archived, locked, trashed] }
    const album = (await bert.send('POST /api/albums', wish)).body
    assert.equal(album.assetCount, 1)
    const ids = [shown, archived]
    assert.deepEqual((await bert.send(`PUT /api/albums/${album.id}/assets`, { ids })).body, [
      { id: shown, success: false, error: 'duplicate' },
      { id: archived, success: false, error: 'no_permission' },
    ])
  })

  await t.test('a partner who is deleted shows nothing until they are back', async () => {
    const mark = (deleted_at: Date | null) =>
      api.db.updateTable('app_user').set({ deleted_at }).where('id', '=', anna.userId).execute()
    await mark(new Date())
    assert.equal((await months(bert, `userId=${anna.userId}`)).status, 400)
    assert.deepEqual(await list(bert, 'shared-with'), [])
    assert.deepEqual(await idsOf(bert, 'withPartners=true&visibility=timeline'), [own])
    await mark(null)
    assert.equal((await list(bert, 'shared-with')).length, 1)
  })

  await t.test('is ended by who shows', async () => {
    const wrong = await bert.send(`DELETE /api/partners/${anna.userId}`)
    assert.deepEqual([wrong.status, wrong.body], [400, { message: 'Partner not found' }])
    assert.equal((await anna.send(`DELETE /api/partners/${bert.userId}`)).status, 204)
    assert.equal((await months(bert, `userId=${anna.userId}`)).status, 400)
    assert.deepEqual(await idsOf(bert, 'withPartners=true&visibility=timeline'), [own])
  })
})
