/** What a websocket hears depends on its credential, and ends with it, whichever process ended it. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { io } from 'socket.io-client'
import { publish } from '../../../src/database/events.ts'
import { buildHttpServer } from '../../../src/http/server.ts'
import { silentLog } from '../../../src/log.ts'
import { openMediaTools } from '../../../src/media/processes/tools.ts'
import { type Client, connectClient } from '../../support/client.ts'
import { until } from '../../support/eventually.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

type Heard = { names(): string[]; events: [string, unknown][]; wait(event: string): Promise<unknown> }

function listen(t: TestContext, url: string, headers: Record<string, string>): Heard {
  const socket = io(url, {
    path: '/api/socket.io',
    transports: ['websocket'],
    extraHeaders: headers,
    forceNew: true,
    reconnection: false,
  })
  t.after(() => socket.disconnect())
  const events: [string, unknown][] = []
  socket.onAny((event: string, payload: unknown) => events.push([event, payload]))
  socket.on('disconnect', (reason) => events.push(['disconnect', reason]))
  const find = (event: string) => events.find(([name]) => name === event)
  return {
    events,
    names: () => events.map(([name]) => name),
    async wait(event) {
      await until(`${event} is heard`, () => find(event) !== undefined)
      return find(event)?.[1]
    },
  }
}

/** A second server on the same database, as another process of the installation. */
async function startSecondServer(t: TestContext, server: TestServer): Promise<string> {
  const mediaTools = openMediaTools({ log: silentLog, threads: 1 })
  const app = await buildHttpServer({
    config: { uploads: { maxBytes: 1 } },
    log: silentLog,
    db: server.db,
    pool: server.pool,
    placement: server.placement,
    mediaTools,
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  // Before the first one's database goes, which was registered earlier.
  server.beforeDrop(async () => {
    await app.close()
    await mediaTools.close()
  })
  t.after(() => app.close())
  return url
}

const send = (method: string, body: unknown) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const makeKey = (client: Client, permissions: string[]) =>
  client.json<{ secret: string; id: string }>('/api-keys', send('POST', { permissions }))

/** A user is deleted, which everybody with `user.read` hears: what was sent before has arrived by then. */
async function deleteSomebody(server: TestServer, hearers: Heard[]): Promise<void> {
  const { rows } = await server.pool.query<{ id: string }>(
    `insert into app_user (email, name, password_hash, deleted_at)
     values (gen_random_uuid() || '@example.org', 'Gone', 'scrypt$', null) returning id`,
  )
  const { id } = rows[0]!
  await server.pool.query('update app_user set deleted_at = now() where id = $1', [id])
  await until('everybody has heard of it', () =>
    hearers.every((one) => one.events.some(([name, payload]) => name === 'on_user_delete' && payload === id)),
  )
}

test('B10: a websocket hears what its credential may read, and no more', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const { id } = await admin.upload(Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]), 'photo.jpg')
  const album = await admin.json<{ id: string }>('/albums', send('POST', { albumName: 'Summer' }))
  const keys = {
    nothing: ['user.read'],
    albums: ['user.read', 'album.read'],
    assets: ['user.read', 'asset.read'],
    health: ['user.read', 'server.about'],
    storage: ['user.read', 'server.storage'],
    all: ['all'],
    // Nearly the same words are not the permission.
    near: ['user.read', 'asset.view', 'asset.update', 'album.update', 'server.statistics'],
  }
  const sockets: Record<string, Heard> = {
    session: listen(t, server.url, { cookie: `immich_access_token=${admin.token}` }),
  }
  for (const [name, permissions] of Object.entries(keys)) {
    const { secret } = await makeKey(admin, permissions)
    sockets[name] = listen(t, server.url, { 'x-api-key': secret })
  }
  // A key of somebody who is no administrator, with the words of one.
  const user = await server.newUser('user')
  const { secret } = await makeKey(user, ['user.read', 'server.storage', 'asset.read'])
  sockets.plain = listen(t, server.url, { 'x-api-key': secret })
  for (const socket of Object.values(sockets)) await socket.wait('on_server_version')

  await admin.json(`/assets/${id}`, send('PUT', { isFavorite: true }))
  await admin.call('/assets', send('DELETE', { ids: [id] }))
  await admin.json('/trash/restore/assets', send('POST', { ids: [id] }))
  await admin.json(`/albums/${album.id}`, send('PATCH', { albumName: 'Winter' }))
  await publish(server.db, {
    type: 'original-restored',
    assetId: id,
    userId: await userIdOf(admin),
    availableUntil: '',
  })
  await server.pool.query("update location set is_healthy = false, health_error = 'ill' where id = 's3'")
  await publish(server.db, { type: 'storage-changed' })
  await sockets.session!.wait('storage_status')
  await sockets.session!.wait('storage_health')
  await admin.call('/assets', send('DELETE', { ids: [id], force: true }))
  await sockets.session!.wait('on_asset_delete')
  await deleteSomebody(server, Object.values(sockets))

  const assets = [
    'on_archive_restore',
    'on_asset_delete',
    'on_asset_restore',
    'on_asset_trash',
    'on_asset_update',
  ]
  const heard = Object.fromEntries(
    Object.entries(sockets).map(([name, one]) => [
      name,
      [...new Set(one.names())]
        .filter((event) => !['on_server_version', 'on_user_delete'].includes(event))
        .toSorted(),
    ]),
  )
  const everything = [...assets, 'on_album_update', 'storage_health', 'storage_status'].toSorted()
  assert.deepEqual(heard, {
    session: everything,
    nothing: [],
    albums: ['on_album_update'],
    assets,
    health: ['storage_health'],
    storage: ['storage_status'],
    all: everything,
    near: [],
    plain: [],
  })
})

test('B10: a websocket is closed, in every process, when its credential ends', async (t) => {
  const server = await startTestServer(t)
  const second = await startSecondServer(t, server)
  const password = 'a long password'
  const deleteSession = async (client: Client, token: string) => {
    const { rows } = await server.pool.query<{ id: string }>(
      "select id from session where token_hash = sha256(convert_to($1, 'utf8'))",
      [token],
    )
    return client.call(`/sessions/${rows[0]!.id}`, { method: 'DELETE' })
  }
  type Credential = { headers: Record<string, string>; end(): Promise<unknown> }
  const session = (token: string) => ({ authorization: `Bearer ${token}` })
  let users = 0
  /** Each makes a credential of a new user and says how it ends. */
  const ends: Record<string, (user: Client & { userId: string }, other: Client) => Promise<Credential>> = {
    'logged out': async (user) => ({
      headers: session(user.token),
      end: () => user.call('/auth/logout', { method: 'POST' }),
    }),
    'ended by another session': async (user, other) => ({
      headers: session(user.token),
      end: () => deleteSession(other, user.token),
    }),
    'all others ended': async (user, other) => ({
      headers: session(user.token),
      end: () => other.call('/sessions', { method: 'DELETE' }),
    }),
    'the password changed': async (user, other) => ({
      headers: session(user.token),
      end: () =>
        other.json('/auth/change-password', send('POST', { password, newPassword: 'another password' })),
    }),
    'its time over': async (user) => {
      const { token } = await user.json<{ token: string }>('/sessions', send('POST', { duration: 2 }))
      return { headers: session(token), end: async () => undefined }
    },
    'the session that made it ended': async (user) => {
      const { token } = await user.json<{ token: string }>('/sessions', send('POST', {}))
      return { headers: session(token), end: () => user.call('/auth/logout', { method: 'POST' }) }
    },
    'the key deleted': async (user) => {
      const { secret, id } = await makeKey(user, ['all'])
      return {
        headers: { 'x-api-key': secret },
        end: () => user.call(`/api-keys/${id}`, { method: 'DELETE' }),
      }
    },
    'all keys deleted with the password': async (user) => {
      const { secret } = await makeKey(user, ['asset.read'])
      const change = { password, newPassword: 'another password', invalidateApiKeys: true }
      return {
        headers: { 'x-api-key': secret },
        end: () => user.json('/auth/change-password', send('POST', change)),
      }
    },
    'the user deleted': async (user) => ({
      headers: session(user.token),
      end: () => server.pool.query('update app_user set deleted_at = now() where id = $1', [user.userId]),
    }),
    'the user of a key deleted': async (user) => ({
      headers: { 'x-api-key': (await makeKey(user, ['album.read'])).secret },
      end: () => server.pool.query('update app_user set deleted_at = now() where id = $1', [user.userId]),
    }),
    'the user deleted permanently': async (user) => ({
      headers: session(user.token),
      async end() {
        await server.pool.query(
          'update app_user set deleted_at = now(), removal_begun_at = now() where id = $1',
          [user.userId],
        )
        await server.pool.query('delete from app_user where id = $1', [user.userId])
      },
    }),
    'its row deleted by hand': async (user) => ({
      headers: session(user.token),
      end: () => server.pool.query('delete from session where user_id = $1', [user.userId]),
    }),
  }
  for (const [how, make] of Object.entries(ends)) {
    await t.test(how, async (t) => {
      users += 1
      const user = await server.newUser(`user${users}`)
      const other = await connectClient(server.url, { email: `user${users}@example.org`, password })
      const { headers, end } = await make(user, other)
      const sockets = [listen(t, server.url, headers), listen(t, second, headers)]
      // A credential whose time is short may be over before the second one asks.
      if (how !== 'its time over') for (const socket of sockets) await socket.wait('on_server_version')
      await end()
      for (const socket of sockets) await socket.wait('disconnect')
      const answer = await fetch(`${server.url}/api/users/me`, { headers })
      assert.equal(answer.status, 401)
    })
  }
})

test('B10: a websocket hears less as soon as its credential may read less', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const second = await startSecondServer(t, server)
  const { id } = await admin.upload(Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]), 'photo.jpg')
  const key = await makeKey(admin, ['user.read', 'asset.read'])
  const narrowed = listen(t, second, { 'x-api-key': key.secret })
  const page = listen(t, second, { cookie: `immich_access_token=${admin.token}` })
  for (const socket of [narrowed, page]) await socket.wait('on_server_version')

  await admin.json(`/api-keys/${key.id}`, send('PUT', { permissions: ['user.read'] }))
  await admin.json(`/assets/${id}`, send('PUT', { isFavorite: true }))
  await page.wait('on_asset_update')
  await deleteSomebody(server, [narrowed])
  assert.deepEqual(narrowed.names(), ['on_server_version', 'on_user_delete'])

  await publish(server.db, { type: 'storage-changed' })
  await page.wait('storage_status')
  await server.pool.query('update app_user set is_admin = false')
  const before = page.names().length
  await publish(server.db, { type: 'storage-changed' })
  // Sent at most once a second: the status is on its way when the other event has come that long after.
  const probe = await server.newUser('probe')
  await server.pool.query('update app_user set is_admin = true where id = $1', [probe.userId])
  const administrator = listen(t, second, { authorization: `Bearer ${probe.token}` })
  await administrator.wait('on_server_version')
  await publish(server.db, { type: 'storage-changed' })
  await administrator.wait('storage_status')
  await deleteSomebody(server, [page])
  assert.deepEqual(page.names().slice(before), ['on_user_delete'])
})

test('B10: an end that was not heard of, while the database was away, is found afterwards', async (t) => {
  const server = await startTestServer(t)
  const user = await server.newUser('user')
  const socket = listen(t, server.url, { authorization: `Bearer ${user.token}` })
  await socket.wait('on_server_version')
  await server.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and query like 'listen%' and pid <> pg_backend_pid();
     delete from session where user_id = '${user.userId}'`,
  )
  await socket.wait('disconnect')
})

async function userIdOf(client: Client): Promise<string> {
  return (await client.json<{ id: string }>('/users/me')).id
}
