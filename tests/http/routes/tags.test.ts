import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

type Tag = { id: string; value: string; name: string; parentId?: string; color?: string }

test('tags', async (t) => {
  const api = await startApi(t)
  const [owner, other] = [await api.newClient(), await api.newClient()]
  const [a, b] = [await addAsset(api.db, owner.userId), await addAsset(api.db, owner.userId)]
  const foreign = await addAsset(api.db, other.userId)
  const list = async (client = owner) => (await client.send('GET /api/tags')).body as Tag[]
  const upsert = async (...tags: string[]) => (await owner.send('PUT /api/tags', { tags })).body as Tag[]
  const tagged = async (id: string) => {
    const found = await owner.send('POST /api/search/metadata', { tagIds: [id] })
    const bucket = await owner.send(`GET /api/timeline/bucket?timeBucket=2024-05-01&tagId=${id}`)
    const ids = found.body.assets.items.map((item: { id: string }) => item.id).toSorted()
    assert.deepEqual(bucket.body.id.toSorted(), ids, 'timeline and search agree')
    return ids
  }

  await t.test('are made by path, each part once', async () => {
    const made = await upsert('Orte/Wien', '/Orte//Graz/', 'Orte/Wien', '', 'Orte')
    assertShapes(made, 'TagResponseDto')
    assert.deepEqual(
      made.map(({ value }) => value),
      ['Orte/Wien', 'Orte/Graz', 'Orte'],
    )
    assert.deepEqual(
      (await list()).map(({ value, name }) => [value, name]),
      [
        ['Orte', 'Orte'],
        ['Orte/Graz', 'Graz'],
        ['Orte/Wien', 'Wien'],
      ],
    )
    const [wien, , orte] = made
    assert.deepEqual([wien!.parentId, orte!.parentId], [orte!.id, undefined])
    const both = await Promise.all([upsert('x/y/z', 'q/r'), upsert('q/r', 'x/y/z'), upsert('x/y', 'q')])
    assert.equal(both[0]!.length, 2)
    assert.equal((await list()).length, 8, 'at the same time, too')
    assert.equal((await owner.send('PUT /api/tags', { tags: ['x'.repeat(501)] })).status, 400)
    assert.equal(
      (await owner.send('PUT /api/tags', { tags: [Array(150).fill('ab').join('//').repeat(2)] })).status,
      400,
    )
  })

  await t.test('are made one by one, with a colour', async () => {
    const [orte] = await list()
    const made = await owner.send('POST /api/tags', { name: 'Linz', parentId: orte!.id, color: 'a0b1c2' })
    assert.equal(made.status, 201)
    assertShape(made.body, 'TagResponseDto')
    assert.deepEqual(
      [made.body.value, made.body.color, made.body.parentId],
      ['Orte/Linz', '#a0b1c2', orte!.id],
    )
    const again = await owner.send('POST /api/tags', { name: 'Linz', parentId: orte!.id })
    assert.deepEqual([again.status, again.body.message], [400, 'A tag with that name already exists'])
    assert.equal((await other.send('POST /api/tags', { name: 'Linz', parentId: orte!.id })).status, 400)
    assert.equal((await other.send('POST /api/tags', { name: 'Orte' })).status, 201, 'of another user')
    for (const bad of [
      { name: '' },
      { name: 'a/b' },
      { name: 'x', color: 'red' },
      { name: 'x', parentId: randomUUID() },
    ])
      assert.equal((await owner.send('POST /api/tags', bad)).status, 400, JSON.stringify(bad))
    const path = `/api/tags/${made.body.id}`
    assert.equal((await owner.send(`PUT ${path}`, { color: '#fff' })).body.color, '#fff')
    assert.equal((await owner.send(`PUT ${path}`, {})).body.color, '#fff')
    const cleared = (await owner.send(`PATCH ${path}`, { color: null })).body
    assertShape(cleared, 'TagResponseDto')
    assert.equal('color' in cleared, false)
  })

  await t.test('are given to assets, one answer for each', async () => {
    const [wien] = await upsert('Orte/Wien')
    const given = await owner.send(`PUT /api/tags/${wien!.id}/assets`, { ids: [a, a, foreign] })
    assertShapes(given.body, 'BulkIdResponseDto')
    assert.deepEqual(given.body, [
      { id: a, success: true },
      { id: a, success: false, error: 'duplicate' },
      { id: foreign, success: false, error: 'no_permission' },
    ])
    const [orte] = await upsert('Orte')
    assert.deepEqual([await tagged(wien!.id), await tagged(orte!.id)], [[a], [a]], 'and those above')
    const [wie] = await upsert('Orte/Wie')
    assert.deepEqual(await tagged(wie!.id), [], 'the beginning of a name is no tag')
    const none = await owner.send('POST /api/search/metadata', { tagIds: null })
    assert.deepEqual(
      none.body.assets.items.map((item: { id: string }) => item.id),
      [b],
    )
  })

  await t.test('are given to many, leaving out what is not the actor’s', async () => {
    const made = await upsert('eins', 'zwei')
    const strange = (await list(other))[0]!.id
    const wish = { tagIds: [...made.map(({ id }) => id), strange], assetIds: [a, b, foreign] }
    const counted = await owner.send('PUT /api/tags/assets', wish)
    assertShape(counted.body, 'TagBulkAssetsResponseDto')
    assert.deepEqual(
      [counted.body, (await owner.send('PUT /api/tags/assets', wish)).body],
      [{ count: 4 }, { count: 0 }],
    )
    const huge = { tagIds: Array(1000).fill(made[0]!.id), assetIds: Array(1001).fill(a) }
    assert.equal((await owner.send('PUT /api/tags/assets', huge)).status, 400)
  })

  await t.test('are taken back, and go with those below', async () => {
    const [wien] = await upsert('Orte/Wien')
    assert.deepEqual((await owner.send(`DELETE /api/tags/${wien!.id}/assets`, { ids: [a, b] })).body, [
      { id: a, success: true },
      { id: b, success: false, error: 'not_found' },
    ])
    const [orte] = await upsert('Orte')
    assert.equal((await other.send(`DELETE /api/tags/${orte!.id}`)).status, 400)
    assert.equal((await owner.send(`DELETE /api/tags/${orte!.id}`)).status, 204)
    assert.equal(
      (await list()).some(({ value }) => value.startsWith('Orte')),
      false,
    )
    assert.equal((await list(other)).length, 1)
    await api.db.deleteFrom('asset').where('id', 'in', [a, b]).execute()
    assert.deepEqual(await api.db.selectFrom('tag_asset').selectAll().execute(), [])
  })
})
