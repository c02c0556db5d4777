/** How sessions end, what a change of the password ends, and what API keys may not do about them. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { applySessionLimits, endExpiredSessions } from '../../../src/library/credentials/sessions.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { type ApiUnderTest, PASSWORD, startApi } from '../hostile/api-under-test.ts'

const DAY_MS = 86_400_000

/** Makes every session as if it had been used last, and begun, so many days ago. */
async function age(api: ApiUnderTest, days: { unused?: number; begun?: number }): Promise<void> {
  await api.pool.query(
    `update session set updated_at = updated_at - $1 * interval '1 day',
       created_at = created_at - $2 * interval '1 day', expires_at = expires_at - $2 * interval '1 day'`,
    [days.unused ?? 0, days.begun ?? 0],
  )
}

describe('B14: a session ends by itself', () => {
  test('when it is not used for the idle time, and says before when that is', async (t) => {
    const api = await startApi(t, { sessions: { idleDays: 30, maxDays: 400 } })
    const client = await api.newClient()
    const [session] = (await client.send('GET /api/sessions')).body
    assertShape(session, 'SessionResponseDto')
    assert.equal(Date.parse(session.expiresAt) - Date.parse(session.updatedAt), 30 * DAY_MS)
    assert.equal((await client.send('GET /api/auth/status')).body.expiresAt, session.expiresAt)

    await age(api, { unused: 29 })
    assert.equal((await client.send('GET /api/users/me')).status, 200)
    await age(api, { unused: 29 })
    assert.equal((await client.send('GET /api/users/me')).status, 200, 'being used begins the time anew')
    await age(api, { unused: 31 })
    assert.deepEqual((await client.send('GET /api/users/me')).body, { message: 'Invalid user token' })
    const other = await api.send('POST /api/auth/login', { email: 'user1@example.org', password: PASSWORD })
    const listed = await api.send('GET /api/sessions', undefined, {
      authorization: `Bearer ${other.body.accessToken}`,
    })
    assert.equal(listed.body.length, 1, 'an ended session is not listed')
    assert.equal(await endExpiredSessions(api.db), 1)
    assert.equal((await api.pool.query('select from session')).rowCount, 1)
  })

  test('at the latest when its longest time is over, however much it is used; so does its cookie', async (t) => {
    const api = await startApi(t, { sessions: { idleDays: 30, maxDays: 60 } })
    const client = await api.newClient()
    const login = await api.send('POST /api/auth/login', { email: 'user1@example.org', password: PASSWORD })
    for (const cookie of login.headers.getSetCookie()) assert.match(cookie, /Max-Age=5184000;/)
    await age(api, { begun: 59 })
    assert.equal((await client.send('GET /api/users/me')).status, 200)
    await age(api, { begun: 2 })
    assert.equal((await client.send('GET /api/users/me')).status, 401)
  })

  test('after 90 idle days where nothing is configured', async (t) => {
    const api = await startApi(t)
    const client = await api.newClient()
    const [{ updatedAt, expiresAt }] = (await client.send('GET /api/sessions')).body
    assert.equal(Date.parse(expiresAt) - Date.parse(updatedAt), 90 * DAY_MS)
  })

  test('by shorter limits from the next start on, those that exist included', async (t) => {
    const api = await startApi(t)
    const client = await api.newClient()
    await age(api, { unused: 10, begun: 10 })
    await applySessionLimits(api.db, { idleDays: 20, maxDays: 30 })
    const [session] = (await client.send('GET /api/sessions')).body
    const untilMs = Date.parse(session.expiresAt) - Date.parse(session.createdAt)
    assert.equal(untilMs, 30 * DAY_MS)
    await applySessionLimits(api.db, { idleDays: 20, maxDays: 5 })
    assert.equal((await client.send('GET /api/users/me')).status, 401)
  })

  test('made for a device: with the session that made it, and not later than it', async (t) => {
    const api = await startApi(t, { sessions: { idleDays: 30, maxDays: 60 } })
    const client = await api.newClient()
    const made = await client.send('POST /api/sessions', { deviceType: 'TV', duration: 400 * 24 * 3600 })
    assertShape(made.body, 'SessionCreateResponseDto')
    const device = { authorization: `Bearer ${made.body.token}` }
    const { rows } = await api.pool.query(
      'select count(distinct expires_at)::int as ends, count(*)::int as all from session',
    )
    assert.deepEqual(rows, [{ ends: 1, all: 2 }])
    assert.equal((await api.send('GET /api/users/me', undefined, device)).status, 200)
    assert.equal((await client.send('POST /api/auth/logout')).status, 200)
    assert.equal((await api.send('GET /api/users/me', undefined, device)).status, 401)
  })

  test('a device that ends all others spares the session that it hangs on', async (t) => {
    const api = await startApi(t)
    const client = await api.newClient()
    const other = await api.send('POST /api/auth/login', { email: 'user1@example.org', password: PASSWORD })
    const { token } = (await client.send('POST /api/sessions', {})).body
    const device = { authorization: `Bearer ${token}` }
    assert.equal((await api.send('DELETE /api/sessions', undefined, device)).status, 204)
    assert.equal((await api.send('GET /api/users/me', undefined, device)).status, 200)
    const ended = { authorization: `Bearer ${other.body.accessToken}` }
    assert.equal((await api.send('GET /api/users/me', undefined, ended)).status, 401)
  })
})

describe('B14: a change of the password', () => {
  const change = { password: PASSWORD, newPassword: 'another password' }
  /** Two sessions and a key of one user, and whether each still works after the change. */
  async function after(t: Parameters<typeof startApi>[0], choice: object) {
    const api = await startApi(t)
    const client = await api.newClient()
    const other = await api.send('POST /api/auth/login', { email: 'user1@example.org', password: PASSWORD })
    const key = await api.keyClient(client, ['user.read'])
    const stranger = await api.newClient()
    const strangersKey = await api.keyClient(stranger, ['user.read'])
    const changed = await client.send('POST /api/auth/change-password', { ...change, ...choice })
    assert.equal(changed.status, 200)
    const works = async (answer: Promise<{ status: number }>) => (await answer).status === 200
    assert.ok(await works(stranger.send('GET /api/users/me')))
    assert.ok(await works(strangersKey.send('GET /api/users/me')))
    return {
      own: await works(client.send('GET /api/users/me')),
      other: await works(
        api.send('GET /api/users/me', undefined, { authorization: `Bearer ${other.body.accessToken}` }),
      ),
      key: await works(key.send('GET /api/users/me')),
    }
  }

  test('ends all other sessions when nothing is said', async (t) => {
    assert.deepEqual(await after(t, {}), { own: true, other: false, key: true })
  })
  test('keeps them when that is said', async (t) => {
    assert.deepEqual(await after(t, { invalidateSessions: false }), { own: true, other: true, key: true })
  })
  test('deletes the API keys when that is said', async (t) => {
    assert.deepEqual(await after(t, { invalidateApiKeys: true }), { own: true, other: false, key: false })
  })
})

test('B14: an API key changes neither e-mail address nor password, whatever it holds', async (t) => {
  const api = await startApi(t)
  const client = await api.newClient()
  for (const permissions of [['all'], ['user.update', 'auth.changePassword']]) {
    const key = await api.keyClient(client, permissions)
    for (const method of ['PUT', 'PATCH']) {
      const email = await key.send(`${method} /api/users/me`, { email: 'eve@example.org', name: 'Eve' })
      assert.deepEqual(
        [email.status, email.body],
        [403, { message: "Log in to change the e-mail address: an API key can't" }],
      )
    }
    const change = { password: PASSWORD, newPassword: 'another password' }
    const password = await key.send('POST /api/auth/change-password', change)
    assert.deepEqual(
      [password.status, password.body],
      [403, { message: "Log in to change the password: an API key can't" }],
    )
    // What it may change, it still may; with the address as it is, as clients send it along.
    const name = await key.send('PUT /api/users/me', { email: 'user1@example.org', name: 'Anna' })
    assert.deepEqual([name.status, name.body.name], [200, 'Anna'])
  }
  const me = (await client.send('GET /api/users/me')).body
  assert.deepEqual([me.email, me.name], ['user1@example.org', 'Anna'])
  assert.equal((await client.send('PUT /api/users/me', { email: 'anna@example.org' })).status, 200)
})

test("B3: an API key makes no session, with Immich's answer", async (t) => {
  const api = await startApi(t)
  const client = await api.newClient()
  for (const permissions of [['session.create'], ['all']]) {
    const key = await api.keyClient(client, permissions)
    const answer = await key.send('POST /api/sessions', { deviceType: 'TV' })
    assert.deepEqual(
      [answer.status, answer.body],
      [400, { message: 'This endpoint can only be used with a session token' }],
    )
  }
})

test('B3: a credential that ends while it makes another one makes none', async (t) => {
  const api = await startApi(t)
  const client = await api.newClient()
  const [{ id }] = (await client.send('GET /api/sessions')).body
  // The end is under way, and not over: whoever asks meanwhile waits for it.
  const ending = await api.pool.connect()
  await ending.query('begin')
  await ending.query('delete from session where id = $1', [id])
  const asked = Promise.all([
    client.send('POST /api/sessions', {}),
    client.send('POST /api/api-keys', { permissions: ['all'] }),
  ])
  await untilLockIsAwaited(api.pool, 2)
  await ending.query('commit')
  ending.release()
  for (const answer of await asked) {
    assert.deepEqual([answer.status, answer.body], [401, { message: 'Invalid user token' }])
  }
  assert.equal((await api.pool.query('select from session')).rowCount, 0)
  assert.equal((await api.pool.query('select from api_key')).rowCount, 0)
})
