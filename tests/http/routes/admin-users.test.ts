import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { sendJson } from '../../support/http/live-photos.ts'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startTestServer } from '../../support/server.ts'
import { PASSWORD, startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

const OTHER_PASSWORD = 'another long password'

test('an administrator changes an account, in part or whole', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const user = await api.newClient({ email: 'anna@example.org' })
  await api.newClient({ email: 'taken@example.org', storageLabel: 'taken' })
  const path = `/api/admin/users/${user.userId}`
  const before = (await admin.send(`GET ${path}`)).body

  const changed = await admin.send(`PUT ${path}`, {
    name: 'Änne',
    email: ' NEW@example.org ',
    avatarColor: 'pink',
    quotaSizeInBytes: 5_000,
    storageLabel: '../a.nna/',
    isAdmin: true,
  })
  assert.equal(changed.status, 200)
  assertShape(changed.body, 'UserAdminResponseDto')
  assert.deepEqual(changed.body, {
    ...before,
    name: 'Änne',
    email: 'new@example.org',
    avatarColor: 'pink',
    quotaSizeInBytes: 5_000,
    storageLabel: 'anna',
    isAdmin: true,
    updatedAt: changed.body.updatedAt,
  })
  const none = { quotaSizeInBytes: null, storageLabel: '', isAdmin: false, avatarColor: null }
  const cleared = (await admin.send(`PATCH ${path}`, none)).body
  assert.deepEqual(
    [cleared.quotaSizeInBytes, cleared.storageLabel, cleared.isAdmin, cleared.name],
    [null, null, false, 'Änne'],
  )
  assert.equal((await user.send('GET /api/users/me')).status, 200, 'nothing of this ends a session')

  const refusals: [change: object, message: string][] = [
    [{ email: 'TAKEN@example.org' }, 'Email is not available'],
    [{ storageLabel: 'taken' }, 'Storage label already in use by another account'],
    ...['name', 'email', 'password', 'isAdmin', 'shouldChangePassword'].map((field): [object, string] => [
      { [field]: null },
      'Validation failed',
    ]),
    [{ email: 'nobody' }, 'Validation failed'],
    [{ password: 'short' }, 'Validation failed'],
    [{ quotaSizeInBytes: -1 }, 'Validation failed'],
    [{ quotaSizeInBytes: 0.5 }, 'Validation failed'],
    [{ avatarColor: 'mauve' }, 'Validation failed'],
  ]
  for (const [change, message] of refusals) {
    const { status, body } = await admin.send(`PUT ${path}`, change)
    assert.deepEqual([status, body.message], [400, message], JSON.stringify(change))
  }
  assert.deepEqual((await admin.send(`GET ${path}`)).body, cleared)
  // One's own address and label are not taken.
  assert.equal((await admin.send(`PUT ${path}`, { email: 'new@example.org', storageLabel: 'x' })).status, 200)
  assert.equal((await admin.send(`PUT ${path}`, { storageLabel: 'x' })).status, 200)
})

test('a password that an administrator sets ends all sessions, and has to be replaced', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const user = await api.newClient({ email: 'anna@example.org' })
  const path = `/api/admin/users/${user.userId}`
  const set = await admin.send(`PUT ${path}`, { password: OTHER_PASSWORD })
  assert.deepEqual([set.status, set.body.shouldChangePassword], [200, true])
  assert.equal((await user.send('GET /api/users/me')).status, 401)
  const logIn = (password: string) =>
    api.send('POST /api/auth/login', { email: 'anna@example.org', password })
  assert.equal((await logIn(PASSWORD)).status, 401)
  assert.equal((await logIn(OTHER_PASSWORD)).body.shouldChangePassword, true)
  const kept = await admin.send(`PUT ${path}`, { password: PASSWORD, shouldChangePassword: false })
  assert.equal(kept.body.shouldChangePassword, false)

  const own = await admin.send(`PUT /api/admin/users/${admin.userId}`, { password: OTHER_PASSWORD })
  assert.equal(own.status, 400, 'a session that was left open is not enough to take the account over')
  assert.equal((await admin.send('GET /api/users/me')).status, 200)
})

test('nobody makes themself more or less than they are, and there is always an administrator', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const second = await api.newClient({ isAdmin: true })
  const user = await api.newClient()
  const own = await admin.send(`PUT /api/admin/users/${admin.userId}`, { isAdmin: false })
  assert.deepEqual([own.status, own.body.message], [400, 'Admin status can only be changed by another admin'])
  assert.equal(
    (await admin.send(`PUT /api/admin/users/${admin.userId}`, { isAdmin: true, name: 'A' })).status,
    200,
    'what stays as it is may be named',
  )
  assert.equal((await user.send(`PUT /api/admin/users/${user.userId}`, { isAdmin: true })).status, 403)
  const key = await api.keyClient(admin, ['all'])
  for (const change of [{ isAdmin: true }, { password: OTHER_PASSWORD }, { email: 'x@example.org' }])
    assert.equal((await key.send(`PUT /api/admin/users/${user.userId}`, change)).status, 403)
  assert.equal((await key.send(`PUT /api/admin/users/${user.userId}`, { name: 'By key' })).status, 200)

  // Each takes the other's rights at the same moment.
  const answers = await Promise.all([
    admin.send(`PUT /api/admin/users/${second.userId}`, { isAdmin: false }),
    second.send(`PUT /api/admin/users/${admin.userId}`, { isAdmin: false }),
  ])
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 403])
  const { rows } = await api.pool.query('select from app_user where is_admin')
  assert.equal(rows.length, 1)
})

test('administrators see what a user has, where they are logged in, and their preferences', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const user = await api.newClient()
  const path = `/api/admin/users/${user.userId}`
  await addAsset(api.db, user.userId, { is_favorite: true })
  await addAsset(api.db, user.userId, { type: 'VIDEO' })
  await addAsset(api.db, user.userId, { deleted_at: new Date() })
  await addAsset(api.db, admin.userId)

  const statistics = await admin.send(`GET ${path}/statistics`)
  assertShape(statistics.body, 'AssetStatsResponseDto')
  assert.deepEqual(statistics.body, { images: 1, videos: 1, total: 2 })
  const count = async (query: string) => (await admin.send(`GET ${path}/statistics?${query}`)).body.total
  assert.deepEqual([await count('isTrashed=true'), await count('isFavorite=true')], [1, 1])

  const sessions = await admin.send(`GET ${path}/sessions`)
  assertShapes(sessions.body, 'SessionResponseDto')
  assert.deepEqual(
    sessions.body.map(({ current }: { current: boolean }) => current),
    [false],
  )

  const preferences = await admin.send(`GET ${path}/preferences`)
  assertShape(preferences.body, 'UserPreferencesResponseDto')
  const changed = await admin.send(`PUT ${path}/preferences`, { memories: { duration: 12 } })
  assert.equal(changed.body.memories.duration, 12)
  assert.equal((await user.send('GET /api/users/me/preferences')).body.memories.duration, 12)
  assert.equal((await admin.send('GET /api/users/me/preferences')).body.memories.duration, 5)
})

test('what is asked of a user who does not exist is answered as Immich does', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const path = `/api/admin/users/${randomUUID()}`
  for (const request of [
    `GET ${path}`,
    `PUT ${path}`,
    `GET ${path}/statistics`,
    `GET ${path}/sessions`,
    `GET ${path}/preferences`,
    `PUT ${path}/preferences`,
  ]) {
    const { status, body } = await admin.send(request, request.startsWith('PUT') ? {} : undefined)
    assert.deepEqual([status, body.message], [400, 'User not found'], request)
  }
})

test('users are deleted and restored by administrators, and nobody by themself', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const user = await server.newUser('anna')
  const me = await admin.json<{ id: string }>('/users/me')
  const ask = async (method: string, path: string, body?: object) => {
    const answer = await sendJson(admin, method, `/admin/users/${path}`, body)
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const own = await ask('DELETE', me.id)
  assert.deepEqual([own.status, own.body.message], [403, 'Cannot delete your own account'])
  assert.equal((await ask('DELETE', randomUUID())).body.message, 'User not found')
  assert.equal((await ask('POST', `${randomUUID()}/restore`)).body.message, 'User not found')
  assert.equal((await ask('DELETE', user.userId, { force: 'yes' })).status, 400)

  const restored = await ask('POST', `${user.userId}/restore`)
  assert.deepEqual([restored.status, restored.body.status], [200, 'active'], 'one who is there stays')
  const deleted = await ask('DELETE', user.userId)
  assert.equal(deleted.status, 200)
  assertShape(deleted.body, 'UserAdminResponseDto')
  assert.equal(deleted.body.status, 'deleted')
  assert.equal((await ask('DELETE', user.userId)).body.message, 'User not found')
  const now = await admin.json(`/admin/users/${user.userId}`)
  assert.deepEqual(now, deleted.body, 'asked again, the time goes on')
  assert.equal((await ask('PUT', user.userId, { name: 'x' })).body.message, 'User not found')
  const again = { email: 'anna@example.org', name: 'Anna', password: PASSWORD }
  const taken = await sendJson(admin, 'POST', '/admin/users', again)
  assert.equal(taken.status, 400, 'the address is kept for them')
  const list = async (query: string) => (await admin.json<unknown[]>(`/admin/users${query}`)).length
  assert.deepEqual([await list(''), await list('?withDeleted=true')], [1, 2])
  const back = await ask('POST', `${user.userId}/restore`)
  assert.deepEqual([back.body.status, back.body.deletedAt], ['active', null])
  assert.equal((await ask('DELETE', user.userId)).status, 200)
  assert.equal((await ask('DELETE', user.userId, { force: true })).body.status, 'removing')
})

test('two administrators who delete each other at the same moment: one stays', async (t) => {
  const server = await startTestServer(t)
  const second = await server.newUser('second')
  await server.pool.query('update app_user set is_admin = true')
  const { id } = await server.admin.json<{ id: string }>('/users/me')
  const answers = await Promise.all([
    sendJson(server.admin, 'DELETE', `/admin/users/${second.userId}`, { force: true }),
    sendJson(second, 'DELETE', `/admin/users/${id}`, { force: true }),
  ])
  const statuses = answers.map(({ status }) => status).toSorted()
  assert.deepEqual(statuses, [200, 401])
  const { rows } = await server.pool.query('select from app_user where deleted_at is null')
  assert.equal(rows.length, 1)
})
