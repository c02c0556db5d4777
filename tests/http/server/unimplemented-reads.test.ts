import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from '../routes/asset-rows.ts'

test('what is not there reads as empty', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const asset = await addAsset(api.db, user.userId)
  for (const path of [
    '/shared-links',
    '/search/explore',
    '/search/cities',
    '/search/places?name=x',
    '/search/person?name=x',
    `/faces?id=${asset}`,
    `/assets/${asset}/ocr`,
  ]) {
    const answer = await user.send(`GET /api${path}`)
    assert.deepEqual([answer.status, answer.body], [200, []], path)
  }
  const people = (await user.send('GET /api/people?withHidden=true')).body
  assertShape(people, 'PeopleResponseDto')
  assert.deepEqual(people, { people: [], total: 0, hidden: 0, hasNextPage: false })
})

test('empty reads still ask whose it is', async (t) => {
  const api = await startApi(t)
  const owner = await api.newClient()
  const stranger = await api.newClient()
  const asset = await addAsset(api.db, owner.userId)
  for (const id of [asset, randomUUID()]) {
    for (const path of [`/faces?id=${id}`, `/assets/${id}/ocr`]) {
      const answer = await stranger.send(`GET /api${path}`)
      assert.deepEqual(
        [answer.status, answer.body],
        [400, { message: 'Not found or no asset.read access' }],
        path,
      )
    }
  }
})
