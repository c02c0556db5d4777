import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Client } from '../../support/client.ts'
import { startTestServer } from '../../support/server.ts'
import {
  ackAll,
  ackAndExpectNothing,
  dataOf,
  type Line,
  post,
  sync,
  typesOf,
} from '../../support/sync/sync-client.ts'
import { addAsset } from '../routes/asset-rows.ts'

test('users and what is theirs, in the sync stream', async (t) => {
  const server = await startTestServer(t)
  let count = 0
  const newUser = () => server.newUser(`user${count++}`)
  const change = async (path: string, body: unknown, method: string) => {
    const response = await post(server.admin, path, body, method)
    assert.ok(response.ok, await response.text())
  }
  const removeForGood = async (id: string) => {
    await change(`/admin/users/${id}`, { force: true }, 'DELETE')
    await server.runJobs()
  }
  /** Of these users only: the server is shared. */
  const users = async (client: Client, ...ids: string[]): Promise<Line[]> =>
    (await sync(client, 'UsersV1')).filter(({ data }) => ids.includes(String(data.id ?? data.userId)))

  await t.test('11. AuthUserV1 has all that is the own', async () => {
    const me = await newUser()
    const lines = await sync(me, 'AuthUsersV1')
    const { profileChangedAt, avatarColor, ...data } = lines[0]!.data
    assert.deepEqual(data, {
      id: me.userId,
      name: 'user0',
      email: 'user0@example.org',
      deletedAt: null,
      hasProfileImage: false,
      isAdmin: false,
      pinCode: null,
      oauthId: '',
      storageLabel: null,
      quotaSizeInBytes: null,
      quotaUsageInBytes: 0,
    })
    assert.match(String(profileChangedAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.equal(typeof avatarColor, 'string')
    await ackAndExpectNothing(me, lines, 'AuthUsersV1')
  })

  await t.test('12. who becomes an administrator hears of it', async () => {
    const me = await newUser()
    await ackAll(me, await sync(me, 'AuthUsersV1'))
    await server.pool.query('update app_user set is_admin = true where id = $1', [me.userId])
    const lines = await sync(me, 'AuthUsersV1')
    assert.deepEqual(
      lines.map(({ data }) => data.isAdmin),
      [true],
    )
    // It is nobody else's business.
    await ackAll(me, await sync(me, 'UsersV1'))
    await server.pool.query('update app_user set is_admin = false where id = $1', [me.userId])
    assert.deepEqual(await sync(me, 'UsersV1'), [])
  })

  await t.test('13. AuthUserV1 is of nobody else', async () => {
    const [me] = [await newUser(), await newUser()]
    assert.deepEqual(
      (await sync(me, 'AuthUsersV1')).map(({ data }) => data.id),
      [me.userId],
    )
  })

  await t.test('14. UserV1 has what all may see', async () => {
    const me = await newUser()
    const [line] = await users(me, me.userId)
    assert.deepEqual(Object.keys(line!.data).toSorted(), [
      ...['avatarColor', 'deletedAt', 'email', 'hasProfileImage', 'id', 'name', 'profileChangedAt'],
    ])
    await ackAndExpectNothing(me, await sync(me, 'UsersV1'), 'UsersV1')
  })

  await t.test('15. a deleted user is one that can be restored', async () => {
    const [me, other] = [await newUser(), await newUser()]
    await change(`/admin/users/${other.userId}`, {}, 'DELETE')
    const lines = await users(me, me.userId, other.userId)
    assert.deepEqual(typesOf(lines), ['UserV1', 'UserV1'])
    assert.ok(lines.find(({ data }) => data.id === other.userId)!.data.deletedAt)
    await ackAll(me, await sync(me, 'UsersV1'))
    await change(`/admin/users/${other.userId}/restore`, {}, 'POST')
    const [restored] = await sync(me, 'UsersV1')
    assert.deepEqual([restored!.data.id, restored!.data.deletedAt], [other.userId, null])
  })

  await t.test('16. a removed user is gone', async () => {
    const [me, other] = [await newUser(), await newUser()]
    await removeForGood(other.userId)
    const lines = await users(me, me.userId, other.userId)
    assert.deepEqual(typesOf(lines), ['UserDeleteV1', 'UserV1'])
    assert.deepEqual(lines[0]!.data, { userId: other.userId })
    await ackAndExpectNothing(me, await sync(me, 'UsersV1'), 'UsersV1')
  })

  await t.test('17. a changed name is sent', async () => {
    const me = await newUser()
    await ackAll(me, await sync(me, 'UsersV1'))
    await post(me, '/users/me', { name: 'Müller "\\"' }, 'PUT')
    assert.deepEqual(
      (await sync(me, 'UsersV1')).map(({ data }) => data.name),
      ['Müller "\\"'],
    )
  })

  /** Every user has some, as what holds here differs from Immich. */
  const ackPreferences = async (me: Client) => {
    const lines = await sync(me, 'UserMetadataV1')
    assert.deepEqual(
      lines.map(({ data }) => data.key),
      ['preferences'],
    )
    await ackAll(me, lines)
  }

  await t.test('18. to have been shown around is metadata', async () => {
    const me = await newUser()
    await ackPreferences(me)
    await post(me, '/users/me/onboarding', { isOnboarded: true }, 'PUT')
    const lines = await sync(me, 'UserMetadataV1')
    assert.deepEqual(dataOf(lines), [{ userId: me.userId, key: 'onboarding', value: { isOnboarded: true } }])
    await ackAndExpectNothing(me, lines, 'UserMetadataV1')
  })

  await t.test('19. a changed value is sent', async () => {
    const me = await newUser()
    await post(me, '/users/me/onboarding', { isOnboarded: true }, 'PUT')
    await ackAll(me, await sync(me, 'UserMetadataV1'))
    await post(me, '/users/me/onboarding', { isOnboarded: false }, 'PUT')
    const lines = await sync(me, 'UserMetadataV1')
    assert.deepEqual(
      lines.map(({ data }) => data.value),
      [{ isOnboarded: false }],
    )
    await ackAndExpectNothing(me, lines, 'UserMetadataV1')
  })

  await t.test('20. a deleted key is sent', async () => {
    const me = await newUser()
    await post(me, '/users/me/onboarding', { isOnboarded: true }, 'PUT')
    await ackAll(me, await sync(me, 'UserMetadataV1'))
    await me.call('/users/me/onboarding', { method: 'DELETE' })
    const lines = await sync(me, 'UserMetadataV1')
    assert.deepEqual(
      [typesOf(lines), dataOf(lines)],
      [['UserMetadataDeleteV1'], [{ userId: me.userId, key: 'onboarding' }]],
    )
    await ackAndExpectNothing(me, lines, 'UserMetadataV1')
  })

  await t.test('preferences nest as in the API, and say what differs from those of Immich', async () => {
    const me = await newUser()
    const set = (preferences: object) => post(me, '/users/me/preferences', preferences, 'PUT')
    const differences = {
      emailNotifications: { albumInvite: false, albumUpdate: false },
      people: { enabled: false },
      purchase: { showSupportBadge: false, hideBuyButtonUntil: '2999-12-31T00:00:00.000Z' },
      sharedLinks: { enabled: false },
    }
    const preferences = async () => {
      const lines = await sync(me, 'UserMetadataV1')
      await ackAndExpectNothing(me, lines, 'UserMetadataV1')
      assert.ok(lines.every(({ data }) => data.userId === me.userId && data.key === 'preferences'))
      return lines.map(({ data }) => data.value)
    }
    assert.deepEqual(await preferences(), [differences])
    await set({ people: { enabled: true, minimumFaces: 5 }, memories: { enabled: false } })
    assert.deepEqual(await preferences(), [
      { ...differences, people: { minimumFaces: 5 }, memories: { enabled: false } },
    ])
    // Also where nothing is left that is not as at first.
    await set({ people: { enabled: false, minimumFaces: 3 }, memories: { enabled: true } })
    assert.deepEqual(await preferences(), [differences])
  })

  await t.test('an upload changes what the owner uses, and no row that others are sent', async () => {
    const [me, other] = [await newUser(), await newUser()]
    await ackAll(me, await sync(me, 'AuthUsersV1', 'UsersV1'))
    await ackAll(other, await sync(other, 'AuthUsersV1', 'UsersV1'))
    await addAsset(server.db, me.userId, { file_size: 1234 })
    const lines = await sync(me, 'AuthUsersV1', 'UsersV1')
    assert.deepEqual(typesOf(lines), ['AuthUserV1'])
    assert.equal(lines[0]!.data.quotaUsageInBytes, 1234)
    await ackAndExpectNothing(me, lines, 'AuthUsersV1')
    assert.deepEqual(await sync(other, 'AuthUsersV1', 'UsersV1'), [])
  })
})
