import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Permission } from '@immich/sdk'
import { PERMISSIONS } from '../../../src/library/credentials/permissions.ts'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'

test('every permission of the SDK is one here', () => {
  const missing = Object.values(Permission).filter((permission) => !PERMISSIONS.includes(permission))
  assert.deepEqual(missing, [])
  assert.deepEqual(
    PERMISSIONS.filter((permission) => !Object.values<string>(Permission).includes(permission)),
    ['asset.replace'],
  )
})

test('a key is made, shown without its secret, changed and deleted', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const made = await user.send('POST /api/api-keys', {
    name: 'CLI',
    permissions: ['asset.upload', 'asset.read'],
  })
  assert.equal(made.status, 201)
  assert.match(made.body.secret, /^[\w-]{43}$/)
  assertShape(made.body, 'ApiKeyCreateResponseDto')
  assert.deepEqual(made.body.apiKey.permissions, ['asset.upload', 'asset.read'])
  const { id } = made.body.apiKey

  const list = await user.send('GET /api/api-keys')
  assertShapes(list.body, 'ApiKeyResponseDto')
  assert.ok(!JSON.stringify(list.body).includes(made.body.secret))
  const own = await api.send('GET /api/api-keys/me', undefined, { 'x-api-key': made.body.secret })
  assert.deepEqual(own.body, list.body[0])
  assert.equal((await user.send('GET /api/api-keys/me')).status, 403)

  const changed = await user.send(`PUT /api/api-keys/${id}`, { name: 'Other', permissions: ['user.read'] })
  assert.deepEqual(
    [changed.status, changed.body.name, changed.body.permissions],
    [200, 'Other', ['user.read']],
  )
  assertShape((await user.send(`GET /api/api-keys/${id}`)).body, 'ApiKeyResponseDto')

  assert.equal((await user.send(`DELETE /api/api-keys/${id}`)).status, 204)
  const gone = await api.send('GET /api/users/me', undefined, { 'x-api-key': made.body.secret })
  assert.deepEqual([gone.status, gone.body], [401, { message: 'Invalid API key' }])
  assert.equal((await api.send(`GET /api/users/me?apiKey=${made.body.secret}`)).status, 401)
})

test("nobody reaches another user's keys, and no key makes a stronger one", async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const stranger = await api.newClient()
  const key = await api.keyClient(user, ['apiKey.create', 'apiKey.update', 'user.read'])
  const [{ id }] = (await user.send('GET /api/api-keys')).body
  for (const request of [
    `GET /api/api-keys/${id}`,
    `DELETE /api/api-keys/${id}`,
    `PUT /api/api-keys/${id}`,
  ]) {
    const answer = await stranger.send(request, request.startsWith('PUT') ? { name: 'x' } : undefined)
    assert.deepEqual([answer.status, answer.body], [400, { message: 'API Key not found' }], request)
  }
  assert.equal((await key.send('POST /api/api-keys', { permissions: ['user.read'] })).status, 201)
  assert.equal((await key.send('POST /api/api-keys', { permissions: ['all'] })).status, 400)
  assert.equal((await key.send(`PUT /api/api-keys/${id}`, { permissions: ['asset.read'] })).status, 400)
  assert.equal((await user.send('POST /api/api-keys', { permissions: ['asset.replace'] })).status, 201)
  assert.equal((await user.send('POST /api/api-keys', { permissions: ['asset.fly'] })).status, 400)
  assert.equal((await user.send('POST /api/api-keys', { permissions: [] })).status, 400)
})
