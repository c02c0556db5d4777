import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { PERMISSIONS } from '../../../src/library/credentials/permissions.ts'
import { withRoutes } from '../../support/http/routes.ts'
import { startTestServer } from '../../support/server.ts'
import { type Route, startApi } from '../hostile/api-under-test.ts'

const pathOf = (route: Route) => `${route.method} ${route.url.replaceAll(/:\w+/g, randomUUID())}`

test('every route refuses who may not use it', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const user = await api.newClient()
  const guarded = api.routes.filter((route) => route.who !== 'public')
  assert.ok(guarded.length > 50, 'there are routes to check')
  // One key for all but what the route asks for would also do; one for nothing useful is the same and faster.
  const adminKey = await api.keyClient(admin, ['plugin.read'])
  const userKey = await api.keyClient(user, ['plugin.read'])

  for (const route of guarded) {
    const request = pathOf(route)
    const body = ['GET', 'HEAD'].includes(route.method) ? undefined : {}
    const nobody = await api.send(request, body)
    assert.deepEqual([nobody.status, nobody.body], [401, { message: 'Authentication required' }], request)
    for (const header of ['x-api-key', 'x-immich-user-token']) {
      assert.equal((await api.send(request, body, { [header]: 'not a token' })).status, 401, request)
    }
    if (route.permission !== null) {
      const key = route.who === 'admin' ? adminKey : userKey
      const needed = route.permission ?? 'all'
      assert.ok(PERMISSIONS.includes(needed), `${request} asks for ${needed}, which no key can have`)
      const refused = await key.send(request, body)
      assert.deepEqual(
        [refused.status, refused.body],
        [403, { message: `Missing required permission: ${needed}` }],
        request,
      )
    }
    if (route.who === 'admin') {
      const refused = await user.send(request, body)
      assert.deepEqual([refused.status, refused.body], [403, { message: 'Forbidden' }], request)
    }
  }
})

test('B15: what is public is known by name, of the whole server', async (t) => {
  const { routes } = await withRoutes(() => startTestServer(t))
  const open = routes
    .filter(({ access }) => access.who === 'public')
    .map(({ method, url }) => `${method} ${url}`)
  // Whoever adds one says here why nobody needs to be known for it.
  assert.deepEqual([...new Set(open)].toSorted(), [
    // The page, where it is built, which is the same for everybody.
    ...(open.includes('GET /*') ? ['GET /*'] : []),
    // Where the API is: clients ask before they have anything to log in to.
    'GET /.well-known/immich',
    // What clients show before a login: is it set up, what does it speak, what may be uploaded.
    'GET /api/server/config',
    'GET /api/server/features',
    'GET /api/server/media-types',
    'GET /api/server/ping',
    'GET /api/server/version',
    'GET /api/server/version-history',
    // Only while there is no user.
    'POST /api/auth/admin-sign-up',
    'POST /api/auth/login',
  ])
})

test('B15: routes below /server ask for as much as in Immich', async (t) => {
  const { routes } = await withRoutes(() => startTestServer(t))
  const found = routes
    .filter(({ url }) => url.startsWith('/api/server/'))
    .map(({ url, access }) =>
      [url.slice('/api/server/'.length), access.who, access.permission ?? ''].join(' '),
    )
  assert.deepEqual(found.toSorted(), [
    'about user server.about',
    'apk-links user server.apkLinks',
    'config public ',
    'features public ',
    'license admin serverLicense.read',
    'media-types public ',
    'ping public ',
    'statistics admin server.statistics',
    'storage user server.storage',
    'version public ',
    'version-check user server.versionCheck',
    'version-history public ',
  ])
})

test('a key with the one permission that a route asks for may use it', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const key = await api.keyClient(user, ['user.read'])
  assert.equal((await key.send('GET /api/users/me')).status, 200)
  assert.equal((await key.send('GET /api/api-keys/me')).status, 200)
  assert.equal((await key.send('POST /api/auth/validateToken')).status, 200)
  assert.equal((await key.send('PUT /api/users/me', { name: 'Other' })).status, 403)
})

test('ids that are no UUIDs are 400 and reach no SQL', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  for (const request of ['GET /api/albums/x', "GET /api/users/1'--", 'GET /api/timeline/buckets?albumId=x']) {
    const answer = await user.send(request)
    assert.equal(answer.status, 400, request)
    assert.equal(answer.body.message, 'Validation failed')
  }
})
