import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertShapes } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

test('metadata of assets by key', async (t) => {
  const api = await startApi(t)
  const [owner, partner] = [await api.newClient(), await api.newClient()]
  const [a, b] = [await addAsset(api.db, owner.userId), await addAsset(api.db, owner.userId)]
  const foreign = await addAsset(api.db, partner.userId)
  await owner.send('POST /api/partners', { sharedWithId: partner.userId })
  const path = `/api/assets/${a}/metadata`
  const value = { iCloudId: 'x', deep: [{ n: 1.5 }], 'back\\u0000slash': 'ü😀' }

  const set = await owner.send(`PUT ${path}`, { items: [{ key: 'mobile-app', value }] })
  assert.equal(set.status, 200)
  assertShapes(set.body, 'AssetMetadataResponseDto')
  await owner.send(`PUT ${path}`, { items: [{ key: 'other', value: {} }] })
  const listed = await owner.send(`GET ${path}`)
  assertShapes(listed.body, 'AssetMetadataResponseDto')
  assert.deepEqual(
    listed.body.map((item: { key: string; value: object }) => [item.key, item.value]),
    [
      ['mobile-app', value],
      ['other', {}],
    ],
  )
  assert.deepEqual((await partner.send(`GET ${path}/other`)).body.value, {}, 'who sees it reads it')
  assert.equal((await partner.send(`PUT ${path}`, { items: [{ key: 'k', value: {} }] })).status, 400)

  const missing = await owner.send(`GET ${path}/none`)
  assert.deepEqual(
    [missing.status, missing.body.message],
    [400, `Metadata with key "none" not found for asset with id "${a}"`],
  )
  const twice = [
    { key: 'k', value: {} },
    { key: 'k', value: { a: 1 } },
  ]
  const refused = await owner.send(`PUT ${path}`, { items: twice })
  assert.match(JSON.stringify(refused.body), /Duplicate items are not allowed: \\"k\\"/)
  for (const bad of ['text', [], null, { a: 'x'.repeat(70_000) }, { 'nul\0': 1 }]) {
    const answer = await owner.send(`PUT ${path}`, { items: [{ key: 'k', value: bad }] })
    assert.equal(answer.status, 400, JSON.stringify(bad)?.slice(0, 40))
  }
  const many = Array.from({ length: 99 }, (_, index) => ({ key: `k${index}`, value: {} }))
  assert.equal((await owner.send(`PUT ${path}`, { items: many })).status, 400, 'more than 100 keys')

  const bulk = await owner.send('PUT /api/assets/metadata', {
    items: [a, b].map((assetId) => ({ assetId, key: 'mobile-app', value: { v: 2 } })),
  })
  assertShapes(bulk.body, 'AssetMetadataBulkResponseDto')
  assert.equal(bulk.body.length, 2)
  const mixed = [a, foreign].map((assetId) => ({ assetId, key: 'x', value: {} }))
  assert.equal((await owner.send('PUT /api/assets/metadata', { items: mixed })).status, 400)
  assert.equal((await owner.send('DELETE /api/assets/metadata', { items: mixed })).status, 400)
  assert.equal(
    (await owner.send('DELETE /api/assets/metadata', { items: [{ assetId: b, key: 'mobile-app' }] })).status,
    204,
  )
  assert.deepEqual((await owner.send(`GET /api/assets/${b}/metadata`)).body, [])
  assert.equal((await owner.send(`DELETE ${path}/other`)).status, 204)
  const left = (await owner.send(`GET ${path}`)).body
  assert.deepEqual(
    left.map((item: { key: string; value: object }) => [item.key, item.value]),
    [['mobile-app', { v: 2 }]],
  )
  await api.db.deleteFrom('asset').where('id', '=', a).execute()
  assert.deepEqual(await api.db.selectFrom('asset_metadata').selectAll().execute(), [])
})
