import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { createUser } from '../../../src/library/users/users.ts'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { PASSWORD, startApi } from '../hostile/api-under-test.ts'
import { addAsset } from '../routes/asset-rows.ts'

test('a user sees and changes their own data', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  await api.newClient({ email: 'taken@example.org' })
  await addAsset(api.db, user.userId, { file_size: 3_000_000_000 })
  await addAsset(api.db, user.userId, { file_size: 1, deleted_at: new Date() })

  const me = await user.send('GET /api/users/me')
  assertShape(me.body, 'UserAdminResponseDto')
  assert.equal(me.body.quotaUsageInBytes, 3_000_000_001)

  const changed = await user.send('PUT /api/users/me', {
    name: 'Änne',
    email: 'NEW@example.org',
    avatarColor: 'pink',
  })
  assertShape(changed.body, 'UserAdminResponseDto')
  assert.deepEqual(
    [changed.body.name, changed.body.email, changed.body.avatarColor],
    ['Änne', 'new@example.org', 'pink'],
  )
  assert.equal((await user.send('PATCH /api/users/me', { name: 'Anne' })).body.name, 'Anne')

  assert.equal((await user.send('PUT /api/users/me', { email: 'TAKEN@example.org' })).status, 400)
  const password = await user.send('PUT /api/users/me', { password: 'another password' })
  assert.equal(password.status, 400)
  assert.deepEqual(password.body.errors[0].path, ['password'])
})

test('users see of each other what is public', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const user = await api.newClient()
  const list = await user.send('GET /api/users')
  assertShapes(list.body, 'UserResponseDto')
  assert.equal(list.body.length, 2)
  const one = await user.send(`GET /api/users/${admin.userId}`)
  assertShape(one.body, 'UserResponseDto')
  assert.equal((await user.send(`GET /api/users/${randomUUID()}`)).status, 404)
})

test('administrators list and add users', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const wish = {
    email: 'bert@example.org',
    name: 'Bert',
    password: PASSWORD,
    quotaSizeInBytes: 5_000_000_000,
  }
  const made = await admin.send('POST /api/admin/users', wish)
  assert.equal(made.status, 201)
  assertShape(made.body, 'UserAdminResponseDto')
  assert.deepEqual([made.body.isAdmin, made.body.quotaSizeInBytes], [false, 5_000_000_000])
  assert.equal((await admin.send('POST /api/admin/users', wish)).status, 400)
  await addAsset(api.db, made.body.id, { file_size: 7 })
  const list = await admin.send('GET /api/admin/users')
  assertShapes(list.body, 'UserAdminResponseDto')
  assert.deepEqual(
    list.body.map((user: { quotaUsageInBytes: number }) => user.quotaUsageInBytes),
    [0, 7],
  )
})

test('the first user of a server is an administrator, also from the command line', async (t) => {
  const api = await startApi(t)
  const made = await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      createUser(api.db, { name, email: `${name}@example.org`, password: PASSWORD }),
    ),
  )
  assert.equal(made.filter((user) => user.isAdmin).length, 1)
})

test('preferences have every section and merge deeply', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const other = await api.newClient()
  const before = await user.send('GET /api/users/me/preferences')
  assertShape(before.body, 'UserPreferencesResponseDto')

  const change = {
    memories: { duration: 12 },
    albums: { defaultAssetOrder: 'asc' },
    avatar: { color: 'gray' },
  }
  const changed = await user.send('PUT /api/users/me/preferences', change)
  assertShape(changed.body, 'UserPreferencesResponseDto')
  assert.deepEqual(changed.body.memories, { ...before.body.memories, duration: 12 })
  await user.send('PATCH /api/users/me/preferences', { memories: { enabled: true }, nonsense: { a: 1 } })

  const after = (await user.send('GET /api/users/me/preferences')).body
  assert.deepEqual(after, {
    ...before.body,
    memories: { ...before.body.memories, duration: 12, enabled: true },
    albums: { defaultAssetOrder: 'asc' },
  })
  assert.equal((await user.send('GET /api/users/me')).body.avatarColor, 'gray')
  assert.deepEqual((await other.send('GET /api/users/me/preferences')).body, before.body)
  for (const bad of [{ memories: { duration: 'x' } }, { memories: null }, { avatar: { color: 'mauve' } }]) {
    assert.equal((await user.send('PUT /api/users/me/preferences', bad)).status, 400)
  }
})

test('onboarding is remembered per user', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  assert.deepEqual((await user.send('GET /api/users/me/onboarding')).body, { isOnboarded: false })
  const done = await user.send('PUT /api/users/me/onboarding', { isOnboarded: true })
  assert.deepEqual([done.status, done.body], [200, { isOnboarded: true }])
  const login = await api.send('POST /api/auth/login', { email: 'user1@example.org', password: PASSWORD })
  assert.equal(login.body.isOnboarded, true)
  assert.equal((await user.send('DELETE /api/users/me/onboarding')).status, 204)
  assert.deepEqual((await user.send('GET /api/users/me/onboarding')).body, { isOnboarded: false })
})
