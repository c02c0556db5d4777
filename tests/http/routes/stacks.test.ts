import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leaveStacks } from '../../../src/library/assets/leave-stacks.ts'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

const EXTRA = ['processingError']

test('stacks', async (t) => {
  const api = await startApi(t)
  const owner = await api.newClient()
  const stranger = await api.newClient()
  const add = (minute: number, more = {}) =>
    addAsset(api.db, owner.userId, { file_created_at: new Date(Date.UTC(2024, 4, 1, 10, minute)), ...more })
  const [a, b, c, d] = [await add(1), await add(2), await add(3), await add(4)]
  const foreign = await addAsset(api.db, stranger.userId)
  const membersOf = async (id: string) =>
    (await owner.send(`GET /api/stacks/${id}`)).body.assets.map((asset: { id: string }) => asset.id)
  const timeline = async (query: string) =>
    (await owner.send(`GET /api/timeline/bucket?timeBucket=2024-05-01&${query}`)).body
  const list = async () => (await owner.send('GET /api/stacks')).body as { id: string }[]
  let id = ''

  await t.test('has at least two assets of the actor, the first of which stands for it', async () => {
    for (const assetIds of [[], [a], [a, a], [a, foreign]])
      assert.equal((await owner.send('POST /api/stacks', { assetIds })).status, 400)
    const made = await owner.send('POST /api/stacks', { assetIds: [b, a] })
    assert.equal(made.status, 201)
    assertShape(made.body, 'StackResponseDto', EXTRA)
    id = made.body.id
    assert.equal(made.body.primaryAssetId, b)
    assert.deepEqual(await membersOf(id), [b, a])
    assertShapes(await list(), 'StackResponseDto', EXTRA)
    assert.equal((await owner.send(`GET /api/stacks?primaryAssetId=${a}`)).body.length, 0)
    assert.equal((await owner.send(`GET /api/stacks?primaryAssetId=${b}`)).body.length, 1)
  })

  await t.test('shows one asset for all of it in the timeline', async () => {
    const { id: ids, stack } = await timeline('withStacked=true')
    assert.deepEqual(ids.toSorted(), [b, c, d].toSorted())
    assert.deepEqual(stack[ids.indexOf(b)], [id, '2'])
    assert.equal(stack[ids.indexOf(c)], null)
    assert.equal((await timeline('')).id.length, 4)
    const months = (await owner.send('GET /api/timeline/buckets?withStacked=true')).body
    assert.equal(months[0].count, 3)
    // An album that holds only what does not stand for the stack shows it.
    const album = (await owner.send('POST /api/albums', { albumName: 'x', assetIds: [a] })).body.id
    assert.deepEqual((await timeline(`withStacked=true&albumId=${album}`)).id, [a])
    // A favourite is among the favourites, though another one of its stack is not.
    await api.db.updateTable('asset').set({ is_favorite: true }).where('id', '=', a).execute()
    assert.deepEqual((await timeline('withStacked=true&isFavorite=true')).id, [a])
    const liked = (await owner.send('GET /api/timeline/buckets?withStacked=true&isFavorite=true')).body
    assert.equal(liked[0].count, 1)
    await api.db.updateTable('asset').set({ is_favorite: false }).where('id', '=', a).execute()
    // So does the timeline when the primary lies in the trash.
    await api.db.updateTable('asset').set({ deleted_at: new Date() }).where('id', '=', b).execute()
    assert.deepEqual((await timeline('withStacked=true')).id.toSorted(), [a, c, d].toSorted())
    await api.db.updateTable('asset').set({ deleted_at: null }).where('id', '=', b).execute()
  })

  await t.test('is changed by its owner', async () => {
    const wrong = await owner.send(`PUT /api/stacks/${id}`, { primaryAssetId: c })
    assert.deepEqual([wrong.status, wrong.body.message], [400, 'Primary asset must be in the stack'])
    const changed = await owner.send(`PUT /api/stacks/${id}`, { primaryAssetId: a })
    assertShape(changed.body, 'StackResponseDto', EXTRA)
    assert.deepEqual(await membersOf(id), [a, b])
    const primary = await owner.send(`DELETE /api/stacks/${id}/assets/${a}`)
    assert.equal(primary.body.message, "Cannot remove stack's primary asset")
    assert.equal(
      (await owner.send(`DELETE /api/stacks/${id}/assets/${c}`)).body.message,
      'Asset not in stack',
    )
    assert.equal((await owner.send(`DELETE /api/stacks/${id}/assets/${b}`)).status, 204)
    assert.deepEqual(await membersOf(id), [a], 'one asset may stay alone')
  })

  await t.test('takes along what its new members stood for', async () => {
    await owner.send(`DELETE /api/stacks/${id}`)
    const first = (await owner.send('POST /api/stacks', { assetIds: [a, b] })).body.id
    const second = (await owner.send('POST /api/stacks', { assetIds: [c, a] })).body.id
    assert.deepEqual(await membersOf(second), [c, a, b])
    assert.deepEqual(
      (await list()).map((stack) => stack.id),
      [second],
    )
    // A member that is no primary is taken out of its stack, which is none with one asset left.
    const pair = (await owner.send('POST /api/stacks', { assetIds: [d, b] })).body.id
    assert.deepEqual(await membersOf(second), [c, a])
    assert.deepEqual(await membersOf(pair), [d, b])
    assert.equal((await owner.send(`GET /api/stacks/${first}`)).status, 400)
    id = second
    await owner.send('DELETE /api/stacks', { ids: [pair] })
  })

  await t.test('lives on while two of it are left when assets are purged', async () => {
    const triple = (await owner.send('POST /api/stacks', { assetIds: [d, c, b] })).body.id
    assert.deepEqual(await membersOf(triple), [d, a, b, c], 'c has brought a along')
    const purge = (gone: string[]) =>
      api.db.transaction().execute(async (tx) => {
        await leaveStacks(tx, gone)
        await tx.deleteFrom('asset').where('id', 'in', gone).execute()
      })
    await purge([d])
    assert.equal(
      (await owner.send(`GET /api/stacks/${triple}`)).body.primaryAssetId,
      a,
      'the earliest is next',
    )
    await purge([a, b])
    assert.deepEqual(await list(), [])
    const left = await api.db.selectFrom('asset').select('stack_id').where('id', '=', c).execute()
    assert.deepEqual(left, [{ stack_id: null }])
  })
})
