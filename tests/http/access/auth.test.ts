import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type LibraryEvent, subscribe } from '../../../src/database/events.ts'
import { resetPassword } from '../../../src/library/users/set-password.ts'
import { silentLog } from '../../../src/log.ts'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { PASSWORD, startApi } from '../hostile/api-under-test.ts'

const admin = { email: 'Anna@Example.org', name: 'Anna', password: PASSWORD }

describe('sign-up', () => {
  test('makes the first user an administrator, and only the first', async (t) => {
    const api = await startApi(t)
    assert.equal((await api.send('GET /api/server/config')).body.isInitialized, false)

    const signUp = await api.send('POST /api/auth/admin-sign-up', admin)
    assert.equal(signUp.status, 201)
    assertShape(signUp.body, 'UserAdminResponseDto')
    assert.equal(signUp.body.isAdmin, true)
    assert.equal(signUp.body.email, 'anna@example.org')
    assert.equal((await api.send('GET /api/server/config')).body.isInitialized, true)

    const second = await api.send('POST /api/auth/admin-sign-up', { ...admin, email: 'eve@example.org' })
    assert.equal(second.status, 400)
    assert.deepEqual(Object.keys(second.body), ['message'])
  })

  test('of sign-ups at the same moment one wins', async (t) => {
    const api = await startApi(t)
    const answers = await Promise.all(
      [1, 2, 3, 4, 5].map((n) =>
        api.send('POST /api/auth/admin-sign-up', { ...admin, email: `a${n}@example.org` }),
      ),
    )
    assert.deepEqual(answers.map((answer) => answer.status).toSorted(), [201, 400, 400, 400, 400])
    const { count } = await api.db
      .selectFrom('app_user')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    assert.equal(count, 1)
  })

  test('names what is wrong with each field', async (t) => {
    const api = await startApi(t)
    const answer = await api.send('POST /api/auth/admin-sign-up', {
      email: 'nobody',
      password: 'short',
      name: '',
    })
    assert.equal(answer.status, 400)
    assert.equal(answer.body.message, 'Validation failed')
    assert.deepEqual(answer.body.errors.map((error: { path: string[] }) => error.path[0]).toSorted(), [
      'email',
      'name',
      'password',
    ])
    assert.equal((await api.send('POST /api/auth/admin-sign-up')).status, 400)
    const long = await api.send('POST /api/auth/admin-sign-up', { ...admin, password: 'x'.repeat(1025) })
    assert.equal(long.status, 400)
  })
})

describe('login', () => {
  test('answers a token and the three cookies, which work', async (t) => {
    const api = await startApi(t)
    await api.send('POST /api/auth/admin-sign-up', admin)
    const login = await api.send('POST /api/auth/login', { email: ' anna@EXAMPLE.org ', password: PASSWORD })
    assert.equal(login.status, 201)
    assertShape(login.body, 'LoginResponseDto')
    assert.match(login.body.accessToken, /^[\w-]{43}$/)

    const cookies = login.headers.getSetCookie()
    assert.deepEqual(cookies, [
      `immich_access_token=${login.body.accessToken}; Max-Age=34560000; Path=/; HttpOnly; SameSite=Lax`,
      'immich_auth_type=password; Max-Age=34560000; Path=/; HttpOnly; SameSite=Lax',
      'immich_is_authenticated=true; Max-Age=34560000; Path=/; SameSite=Lax',
    ])
    const cookie = cookies.map((text) => text.split(';')[0]).join('; ')
    const me = await api.send('GET /api/users/me', undefined, { cookie })
    assert.equal(me.status, 200)
    assert.equal(me.body.email, 'anna@example.org')

    const { rows } = await api.pool.query("select encode(token_hash, 'escape') as hash from session")
    assert.ok(!JSON.stringify(rows).includes(login.body.accessToken), 'the token is stored as it is')
  })

  test('cookies are Secure behind a trusted proxy that speaks https, and only there', async (t) => {
    const api = await startApi(t)
    await api.send('POST /api/auth/admin-sign-up', admin)
    const login = await api.send(
      'POST /api/auth/login',
      { email: admin.email, password: PASSWORD },
      {
        'x-forwarded-proto': 'https',
      },
    )
    for (const cookie of login.headers.getSetCookie()) assert.match(cookie, /; Secure/)
  })

  test('says the same of a wrong password and an unknown address', async (t) => {
    const api = await startApi(t)
    await api.send('POST /api/auth/admin-sign-up', admin)
    for (const body of [
      { email: admin.email, password: 'wrong password' },
      { email: 'nobody@example.org', password: PASSWORD },
      { email: admin.email, password: 'x'.repeat(5000) },
    ]) {
      const answer = await api.send('POST /api/auth/login', body)
      assert.equal(answer.status, 401)
      assert.deepEqual(answer.body, { message: 'Incorrect email or password' })
      assert.deepEqual(answer.headers.getSetCookie(), [])
    }
  })

  test('a deleted user is logged out and stays out', async (t) => {
    const api = await startApi(t)
    const client = await api.newClient({ email: 'gone@example.org' })
    const key = await api.keyClient(client, ['all'])
    await api.db
      .updateTable('app_user')
      .set({ deleted_at: new Date() })
      .where('id', '=', client.userId)
      .execute()
    assert.deepEqual((await client.send('GET /api/users/me')).body, { message: 'Invalid user token' })
    assert.deepEqual((await key.send('GET /api/users/me')).body, { message: 'Invalid API key' })
    const login = await api.send('POST /api/auth/login', { email: 'gone@example.org', password: PASSWORD })
    assert.equal(login.status, 401)
  })
})

describe('a session', () => {
  test('validates, ends by logout, and is announced as ended', async (t) => {
    const api = await startApi(t)
    const client = await api.newClient()
    const told: LibraryEvent[] = []
    const listener = await subscribe(api.pool, silentLog, (event) => told.push(event))

    const valid = await client.send('POST /api/auth/validateToken')
    assert.deepEqual([valid.status, valid.body], [200, { authStatus: true }])
    const status = await client.send('GET /api/auth/status')
    assertShape(status.body, 'AuthStatusResponseDto')
    const [session] = (await client.send('GET /api/sessions')).body

    const logout = await client.send('POST /api/auth/logout')
    assert.equal(logout.status, 200)
    assertShape(logout.body, 'LogoutResponseDto')
    assert.equal(logout.body.redirectUri, '/auth/login?autoLaunch=0')
    const cleared = logout.headers.getSetCookie()
    assert.equal(cleared.length, 3)
    for (const cookie of cleared) assert.match(cookie, /=; .*Expires=Thu, 01 Jan 1970/)
    while (told.length === 0) await setTimeout(10)
    await listener.close()
    assert.deepEqual(told, [{ type: 'session-deleted', sessionId: session.id }])

    const after = await client.send('POST /api/auth/validateToken')
    assert.deepEqual([after.status, after.body], [401, { message: 'Invalid user token' }])
    assert.deepEqual((await api.send('POST /api/auth/validateToken')).body, {
      message: 'Authentication required',
    })
  })

  test('that expired is none; being used is noted at most once a minute', async (t) => {
    const api = await startApi(t)
    const client = await api.newClient()
    await api.pool.query("update session set updated_at = now() - interval '1 hour'")
    await client.send('GET /api/users/me')
    const seen = async () =>
      (await api.pool.query('select updated_at from session')).rows[0].updated_at as Date
    const first = await seen()
    assert.ok(Date.now() - first.getTime() < 60_000)
    await client.send('GET /api/users/me')
    assert.deepEqual(await seen(), first)

    await api.pool.query("update session set expires_at = now() - interval '1 second'")
    assert.equal((await client.send('GET /api/users/me')).status, 401)
  })

  test('is listed with its device, and others can be ended', async (t) => {
    const api = await startApi(t)
    const client = await api.newClient()
    const stranger = await api.newClient()
    const phone = await api.send(
      'POST /api/auth/login',
      { email: 'user1@example.org', password: PASSWORD },
      {
        'user-agent': 'immich-android/3.2.2',
        deviceModel: 'Pixel 9',
      },
    )
    const cast = await client.send('POST /api/sessions', {
      deviceType: 'Chromecast',
      deviceOS: 'cast',
      duration: 60,
    })
    assert.equal(cast.status, 201)
    assertShape(cast.body, 'SessionCreateResponseDto')
    assert.equal((await api.send(`GET /api/users/me?sessionKey=${cast.body.token}`)).status, 200)

    const sessions = (await client.send('GET /api/sessions')).body
    assert.equal(sessions.length, 3)
    for (const session of sessions) assertShape(session, 'SessionResponseDto')
    assert.equal(sessions.filter((session: { current: boolean }) => session.current).length, 1)
    const pixel = sessions.find((session: { deviceType: string }) => session.deviceType === 'Pixel 9')
    assert.deepEqual([pixel.deviceOS, pixel.appVersion], ['Android', '3.2.2'])

    const foreign = await stranger.send(`DELETE /api/sessions/${pixel.id}`)
    assert.deepEqual(
      [foreign.status, foreign.body],
      [400, { message: 'Not found or no authDevice.delete access' }],
    )
    assert.equal((await client.send(`DELETE /api/sessions/${pixel.id}`)).status, 204)
    const phoneToken = { authorization: `Bearer ${phone.body.accessToken}` }
    assert.equal((await api.send('GET /api/users/me', undefined, phoneToken)).status, 401)

    assert.equal((await client.send('DELETE /api/sessions')).status, 204)
    assert.equal((await client.send('GET /api/sessions')).body.length, 1)
    assert.equal((await stranger.send('GET /api/sessions')).body.length, 1)
  })
})

test('a password that somebody else has set is replaced once, without the old one, and is asked for until then', async (t) => {
  const api = await startApi(t)
  const client = await api.newClient({ shouldChangePassword: true })
  const email = 'user1@example.org'
  const login = (password: string) => api.send('POST /api/auth/login', { email, password })
  const other = await login(PASSWORD)
  assert.equal(other.body.shouldChangePassword, true)
  const key = await api.keyClient(client, ['all'])
  // As Immich's phone app does it, right after the log-in.
  const wish = { password: 'a password of my own' }
  assert.equal((await key.send('PUT /api/users/me', wish)).status, 403)
  assert.equal((await client.send('PUT /api/users/me', { password: 'short' })).status, 400)
  assert.equal((await client.send('GET /api/users/me')).body.shouldChangePassword, true)

  const replaced = await client.send('PUT /api/users/me', wish)
  assert.equal(replaced.status, 200)
  assertShape(replaced.body, 'UserAdminResponseDto')
  assert.equal(replaced.body.shouldChangePassword, false)
  assert.equal((await client.send('GET /api/users/me')).status, 200, 'the session that did it goes on')
  const otherToken = { authorization: `Bearer ${other.body.accessToken}` }
  assert.equal((await api.send('GET /api/users/me', undefined, otherToken)).status, 401)
  assert.equal((await login(PASSWORD)).status, 401)
  assert.equal((await login(wish.password)).body.shouldChangePassword, false)
  const again = await client.send('PUT /api/users/me', { password: 'and another one' })
  assert.equal(again.status, 400)
  assert.match(again.body.errors[0].message, /asks for the old one/)

  await resetPassword(api.db, client.userId, 'set by the administrator')
  assert.equal((await client.send('GET /api/users/me')).status, 401, 'whoever was logged in is so no more')
  assert.equal((await login('set by the administrator')).body.shouldChangePassword, true)
})

test('a password is changed by who knows the old one', async (t) => {
  const api = await startApi(t)
  const client = await api.newClient({ shouldChangePassword: true })
  const other = await api.send('POST /api/auth/login', { email: 'user1@example.org', password: PASSWORD })
  const change = { password: PASSWORD, newPassword: 'another password', invalidateSessions: true }

  const wrong = await client.send('POST /api/auth/change-password', { ...change, password: 'wrong password' })
  assert.deepEqual([wrong.status, wrong.body], [400, { message: 'Wrong password' }])
  assert.equal(
    (await client.send('POST /api/auth/change-password', { ...change, newPassword: 'short' })).status,
    400,
  )

  const changed = await client.send('POST /api/auth/change-password', change)
  assert.equal(changed.status, 200)
  assertShape(changed.body, 'UserAdminResponseDto')
  assert.equal(changed.body.shouldChangePassword, false)
  assert.equal((await client.send('GET /api/users/me')).status, 200, 'the session that changed it goes on')
  const otherToken = { authorization: `Bearer ${other.body.accessToken}` }
  assert.equal((await api.send('GET /api/users/me', undefined, otherToken)).status, 401)
  const login = (password: string) =>
    api.send('POST /api/auth/login', { email: 'user1@example.org', password })
  assert.equal((await login(PASSWORD)).status, 401)
  assert.equal((await login('another password')).status, 201)
})
