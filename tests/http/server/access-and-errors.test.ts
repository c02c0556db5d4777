import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import Fastify from 'fastify'
import { denyByDefault } from '../../../src/http/server.ts'
import { startTestServer } from '../../support/server.ts'

test('every route says who may use it, and nobody gets in without credentials', async (t) => {
  const server = await startTestServer(t)

  await t.test('protected routes answer 401 with the message alone', async () => {
    for (const path of ['/api/users/me', '/api/assets/statistics', '/api/storage/status', '/api/jobs']) {
      const response = await fetch(server.url + path)
      assert.equal(response.status, 401, path)
      assert.deepEqual(await response.json(), { message: 'Authentication required' })
      assert.match(response.headers.get('x-correlation-id') ?? '', /^[0-9a-f-]{36}$/)
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
    }
  })

  await t.test('bad credentials are named in the order in which they are looked at', async () => {
    const path = `${server.url}/api/users/me`
    const cases: [Record<string, string>, string, string][] = [
      [{ authorization: 'Bearer x', 'x-api-key': 'y' }, '', 'Invalid user token'],
      [{ 'x-immich-user-token': 'x' }, '', 'Invalid user token'],
      [{ cookie: 'immich_access_token=x' }, '', 'Invalid user token'],
      [{}, '?sessionKey=x', 'Invalid user token'],
      [{ 'x-api-key': 'x' }, '', 'Invalid API key'],
      [{}, '?apiKey=x', 'Invalid API key'],
      [{ 'x-immich-share-key': 'x', authorization: 'Bearer y' }, '', 'Invalid share key'],
      [{}, '?key=x', 'Invalid share key'],
      [{}, '?slug=x', 'Invalid share slug'],
    ]
    for (const [headers, query, message] of cases) {
      const response = await fetch(path + query, { headers })
      assert.equal(response.status, 401)
      assert.deepEqual(await response.json(), { message })
    }
  })

  await t.test('the session is accepted wherever Immich accepts it', async () => {
    const { token } = server.admin
    for (const headers of [
      { authorization: `Bearer ${token}` },
      { 'x-immich-user-token': token },
      { 'x-immich-session-token': token },
      { cookie: `immich_access_token=${token}` },
    ]) {
      assert.equal((await fetch(`${server.url}/api/users/me`, { headers })).status, 200)
    }
    assert.equal((await fetch(`${server.url}/api/users/me?sessionKey=${token}`)).status, 200)
  })

  await t.test('an API key does what it holds, an administrator what others may not', async () => {
    const { secret } = await server.admin.json<{ secret: string }>('/api-keys', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'reader', permissions: ['asset.statistics'] }),
    })
    const call = (path: string) => fetch(server.url + path, { headers: { 'x-api-key': secret } })
    assert.equal((await call('/api/assets/statistics')).status, 200)
    const refused = await call('/api/jobs')
    assert.equal(refused.status, 403)
    assert.deepEqual(await refused.json(), { message: 'Missing required permission: job.read' })

    const user = await server.newUser('plain')
    const forbidden = await user.call('/storage/status')
    assert.equal(forbidden.status, 403)
    assert.deepEqual(await forbidden.json(), { message: 'Forbidden' })
  })

  await t.test('what is not there under /api is JSON, whatever the client would like', async () => {
    for (const [method, path] of [
      ['GET', '/api'],
      ['GET', '/api/nothing'],
      ['POST', '/api/nothing'],
      ['PUT', '/api/assets/00000000-0000-4000-8000-000000000000/original'],
    ]) {
      const response = await fetch(server.url + path, { method: method!, headers: { accept: 'text/html' } })
      assert.equal(response.status, 404)
      assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
      assert.deepEqual(Object.keys((await response.json()) as object), ['message'])
    }
  })

  await t.test('clients find the API', async () => {
    const response = await fetch(`${server.url}/.well-known/immich`)
    assert.deepEqual(await response.json(), { api: { endpoint: '/api' } })
  })

  await t.test('malformed JSON and wrong fields are 400 with a reason', async () => {
    const post = (body: string) =>
      server.admin.call('/assets/bulk-upload-check', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
    assert.equal((await post('{')).status, 400)
    const wrong = await post(JSON.stringify({ assets: [{ id: 'a', checksum: 5 }] }))
    assert.equal(wrong.status, 400)
    const answer = (await wrong.json()) as { message: string; errors: { path: string[] }[] }
    assert.equal(answer.message, 'Validation failed')
    assert.deepEqual(answer.errors[0]!.path, ['assets', '0', 'checksum'])
    // Generated clients announce JSON and send nothing.
    const empty = await server.admin.call('/trash/restore', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    assert.equal(empty.status, 200)
    assert.deepEqual(await empty.json(), { count: 0 })
  })

  await t.test('an id that is no UUID is 400, not an error of the database', async () => {
    assert.equal((await server.admin.call("/assets/1'or'1")).status, 400)
  })

  await t.test('a connection that sends its headers for ever is closed', { timeout: 60_000 }, async () => {
    const { port } = server.app.server.address() as { port: number }
    assert.equal(
      server.app.server.headersTimeout,
      30_000,
      'as docs/security-limits.md says; 0 would be no limit',
    )
    // The rule is what is tested, not our patience.
    server.app.server.headersTimeout = 500
    const socket = connect(port, '127.0.0.1').resume()
    socket.write('GET /api/server/ping HTTP/1.1\r\nHost: x\r\nX-Slow: ')
    await once(socket, 'close')
  })
})

test('a route that does not state its access stops the server from being built', async () => {
  const app = Fastify()
  denyByDefault(app)
  assert.throws(() => app.get('/api/forgotten', async () => 'open'), /does not state config.access/)
  app.get('/api/remembered', { config: { access: { who: 'user' } } }, async () => 'fine')
})
