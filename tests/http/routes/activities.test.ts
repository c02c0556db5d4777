import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

test('activities of an album', async (t) => {
  const api = await startApi(t)
  const [owner, viewer, stranger] = [await api.newClient(), await api.newClient(), await api.newClient()]
  const asset = await addAsset(api.db, owner.userId)
  const outside = await addAsset(api.db, owner.userId)
  const albumId = (
    await owner.send('POST /api/albums', {
      albumName: 'x',
      assetIds: [asset],
      albumUsers: [{ userId: viewer.userId, role: 'viewer' }],
    })
  ).body.id
  const say = (client: typeof owner, wish: object) =>
    client.send('POST /api/activities', { albumId, ...wish })
  const list = async (query = '') => (await owner.send(`GET /api/activities?albumId=${albumId}${query}`)).body
  const count = async (query = '') =>
    (await viewer.send(`GET /api/activities/statistics?albumId=${albumId}${query}`)).body

  await t.test('are comments with a text and likes without one', async () => {
    const cases: [object, string][] = [
      [{ type: 'comment' }, 'Comment is required when type is COMMENT'],
      [{ type: 'comment', comment: '' }, 'Comment is required when type is COMMENT'],
      [{ type: 'like', comment: 'x' }, 'Comment must not be provided when type is not COMMENT'],
      [{ type: 'like', assetId: outside }, 'assetId: choose an asset of this album'],
    ]
    for (const [wish, message] of cases) {
      const answer = await say(viewer, wish)
      assert.deepEqual([answer.status, answer.body.message], [400, message])
    }
    const said = await say(viewer, { type: 'comment', comment: 'Schön!', assetId: asset })
    assert.equal(said.status, 201)
    assertShape(said.body, 'ActivityResponseDto')
    const { type, comment, assetId, user } = said.body
    assert.deepEqual([type, comment, assetId, user.id], ['comment', 'Schön!', asset, viewer.userId])
    assert.equal((await say(viewer, { type: 'comment', comment: 'Schön!', assetId: asset })).status, 201)
  })

  await t.test('are liked once by each', async () => {
    const first = await say(viewer, { type: 'like' })
    const again = await say(viewer, { type: 'like' })
    assert.deepEqual([first.status, again.status, again.body.id], [201, 200, first.body.id])
    assertShape(first.body, 'ActivityResponseDto')
    assert.equal((await say(viewer, { type: 'like', assetId: asset })).status, 201)
    assert.equal((await say(owner, { type: 'like' })).status, 201)
  })

  await t.test('are listed and counted', async () => {
    assertShapes(await list(), 'ActivityResponseDto')
    const lengths = async (...queries: string[]) =>
      Promise.all(queries.map(async (query) => (await list(query)).length))
    assert.deepEqual(
      await lengths('', '&level=album', '&level=asset', '&type=like', `&userId=${owner.userId}`),
      [5, 2, 3, 3, 1],
    )
    assert.deepEqual(await lengths(`&assetId=${asset}`, `&assetId=${outside}`), [3, 0])
    assertShape(await count(), 'ActivityStatisticsResponseDto')
    assert.deepEqual(await count(), { comments: 2, likes: 3 })
    assert.deepEqual(await count(`&assetId=${asset}`), { comments: 2, likes: 1 })
    await api.db.updateTable('asset').set({ deleted_at: new Date() }).where('id', '=', asset).execute()
    assert.deepEqual([await count(), (await list()).length], [{ comments: 0, likes: 2 }, 2])
    await api.db.updateTable('asset').set({ deleted_at: null }).where('id', '=', asset).execute()
  })

  await t.test('are for members, where the album takes them', async () => {
    assert.equal((await say(stranger, { type: 'like' })).status, 400)
    assert.equal((await stranger.send(`GET /api/activities?albumId=${albumId}`)).status, 400)
    await owner.send(`PATCH /api/albums/${albumId}`, { isActivityEnabled: false })
    assert.equal((await say(owner, { type: 'comment', comment: 'x' })).status, 400)
    await owner.send(`PATCH /api/albums/${albumId}`, { isActivityEnabled: true })
  })

  await t.test('are deleted by their author or the owner of the album', async () => {
    const ofOwner = (await list(`&userId=${owner.userId}`))[0].id
    const [one, two] = await list(`&userId=${viewer.userId}&type=comment`)
    for (const client of [viewer, stranger]) {
      const answer = await client.send(`DELETE /api/activities/${ofOwner}`)
      assert.equal(answer.body.message, 'Not found or no activity.delete access')
    }
    assert.equal((await viewer.send(`DELETE /api/activities/${one.id}`)).status, 204)
    assert.equal((await owner.send(`DELETE /api/activities/${two.id}`)).status, 204)
    assert.equal((await list()).length, 3)
  })

  await t.test('go with what they are about', async () => {
    await owner.send(`DELETE /api/albums/${albumId}/assets`, { ids: [asset] })
    assert.deepEqual([(await list()).length, (await list('&level=asset')).length], [2, 0])
    const ofViewer = api.db.updateTable('app_user').set({ deleted_at: new Date() })
    await ofViewer.where('id', '=', viewer.userId).execute()
    assert.equal((await list()).length, 1, 'nothing is seen of who is deleted')
    const removed = { deleted_at: new Date(), removal_begun_at: new Date() }
    await api.db.updateTable('app_user').set(removed).where('id', '=', viewer.userId).execute()
    await api.db.deleteFrom('app_user').where('id', '=', viewer.userId).execute()
    assert.equal((await list()).length, 1)
    await owner.send(`DELETE /api/albums/${albumId}`)
    assert.deepEqual(await api.db.selectFrom('activity').selectAll().execute(), [])
  })
})
