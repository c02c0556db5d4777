/**
 * No credential is the way to one that may do more: every kind of credential tries every route that could
 * make or change one.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type pg from 'pg'
import { PERMISSIONS } from '../../../src/library/credentials/permissions.ts'
import { hashToken, makeToken } from '../../../src/library/credentials/tokens.ts'
import { changesState, pathOf, type Route, withRoutes } from '../../support/http/routes.ts'
import { startTestServer } from '../../support/server.ts'

/** What people keep, not what they get in with. Whatever else the server has, now or later, is tried. */
const NO_CREDENTIALS = /^\/api\/(albums|assets|download|jobs|search|storage|timeline|trash)(\/|$)/
/** The one that everybody here has: to know it must not be enough for a key. */
const PASSWORD = 'a long password'

type SessionRow = {
  id: string
  user_id: string
  parent_id: string | null
  expires_at: Date
  token_hash: Buffer
}
type KeyRow = { id: string; user_id: string; permissions: string[]; key_hash: Buffer }
type UserRow = { id: string; email: string; is_admin: boolean; password_hash: string }
type Credentials = { session: Map<string, SessionRow>; key: Map<string, KeyRow>; user: Map<string, UserRow> }

type Kind = {
  name: string
  isAdmin: boolean
  /** Of a key. */
  permissions: string[] | null
  isDevice: boolean
}
/** A key that somebody would widen. */
type Victim = { id: string; userId: string; token: string; permissions: string[] }
type Holder = Kind & { id: string; userId: string; headers: Record<string, string> }

test('B3: no credential makes or becomes a stronger one, on any route', async (t) => {
  const { built: server, routes: registered } = await withRoutes(() => startTestServer(t))
  const { pool } = server
  const admin = await server.admin.json<{ id: string }>('/users/me')
  const plain = await server.newUser('plain')
  // Public ones look at no credential.
  const candidates = registered.filter(
    (route) => changesState(route) && route.access.who !== 'public' && !NO_CREDENTIALS.test(route.url),
  )
  for (const url of [
    '/api/sessions',
    '/api/api-keys',
    '/api/api-keys/:id',
    '/api/admin/users',
    '/api/admin/users/:id',
    '/api/users/me',
  ]) {
    assert.ok(
      candidates.some((route) => route.url === url),
      `${url} is tried`,
    )
  }
  const victimKey = await insertKey(pool, admin.id, ['user.read'])
  const plainVictimKey = await insertKey(pool, plain.userId, ['user.read'])

  const kinds: Kind[] = [true, false].flatMap((isAdmin) => [
    { name: 'a log-in', isAdmin, permissions: null, isDevice: false },
    { name: "a device's session", isAdmin, permissions: null, isDevice: true },
    { name: 'a key with all', isAdmin, permissions: ['all'], isDevice: false },
    {
      name: 'a key with every permission but all',
      isAdmin,
      permissions: PERMISSIONS.filter((permission) => permission !== 'all'),
      isDevice: false,
    },
  ])
  for (const permission of PERMISSIONS) {
    if (permission === 'all') continue
    kinds.push({
      name: `a key with ${permission}`,
      isAdmin: true,
      permissions: [permission],
      isDevice: false,
    })
  }

  const made: string[] = []
  let before = await readCredentials(pool)
  for (const kind of kinds) {
    const userId = kind.isAdmin ? admin.id : plain.userId
    const victim = kind.isAdmin ? victimKey : plainVictimKey
    let holder = await insertHolder(pool, kind, userId)
    before = await readCredentials(pool)
    routes: for (const route of candidates) {
      for (const body of bodies(kind)) {
        for (const id of idsFor(route, holder, victim, kind.isAdmin ? plain.userId : admin.id)) {
          const what = `${holder.name}${kind.isAdmin ? ' of an administrator' : ''}: ${route.method} ${route.url}`
          const answer = await ask(server.url, route, id, holder.headers, body())
          // Before any look at the body: the next one would fare no better.
          if (answer.isBarred) continue routes
          if (answer.status >= 400) continue
          // Who is deleted is no target for the next.
          await pool.query('update app_user set deleted_at = null where deleted_at is not null')
          const after = await readCredentials(pool)
          for (const change of judge(holder, before, after, what)) made.push(`${holder.name}: ${change}`)
          for (const token of answer.tokens) assertKnown(token, after, what)
          if (isDeepStrictEqual(after, before)) continue
          // As it was: what was made or changed must not help the next.
          await restoreKey(pool, victim)
          await pool.query(
            'update app_user set deleted_at = now(), removal_begun_at = now() where id <> all($1)',
            [[admin.id, plain.userId]],
          )
          await pool.query('delete from app_user where id <> all($1)', [[admin.id, plain.userId]])
          await pool.query('delete from session where id = $1 or parent_id = $1', [holder.id])
          await pool.query('delete from api_key where id = $1', [holder.id])
          for (const { id, email, password_hash, is_admin } of before.user.values())
            await pool.query(
              'update app_user set email = $2, password_hash = $3, is_admin = $4 where id = $1',
              [id, email, password_hash, is_admin],
            )
          holder = await insertHolder(pool, kind, userId)
          before = await readCredentials(pool)
        }
      }
    }
    // What was refused changed nothing.
    assert.deepEqual(await readCredentials(pool), before, kind.name)
  }
  // The test is none if nobody could make anything.
  assert.deepEqual([...new Set(made)].toSorted(), [
    "a device's session: ended",
    'a key with all: changed a key',
    'a key with all: ended',
    'a key with all: made a key',
    'a key with all: made a user',
    'a key with apiKey.create: made a key',
    'a key with apiKey.delete: ended',
    'a key with apiKey.update: changed a key',
    'a key with every permission but all: changed a key',
    'a key with every permission but all: ended',
    'a key with every permission but all: made a key',
    'a log-in: changed a key',
    'a log-in: changed a user',
    'a log-in: ended',
    'a log-in: made a key',
    'a log-in: made a session',
    'a log-in: made a user',
  ])
})

/**
 * As much as can be asked for, then less and less: what the first is refused for must not hide what the last
 * gets.
 */
function bodies({ permissions }: Kind): (() => object)[] {
  const greedy = () => ({
    email: `${randomUUID()}@example.org`,
    name: 'Eve',
    isAdmin: true,
    permissions: ['all'],
    deviceType: 'eve',
    duration: 34_560_000,
    newPassword: 'another long password',
    invalidateSessions: false,
  })
  return [
    () => ({ ...greedy(), password: PASSWORD }),
    greedy,
    () => ({ ...greedy(), password: PASSWORD, isAdmin: false, permissions: PERMISSIONS.slice(1) }),
    () => ({ ...greedy(), isAdmin: false, duration: undefined, permissions: ['user.read', 'asset.read'] }),
    () => ({ permissions: permissions ?? ['user.read'] }),
  ]
}

/** Of keys and sessions, or of users: another's, then one's own. */
function idsFor({ url }: Route, holder: Holder, victim: Victim, otherUserId: string): string[] {
  if (!url.includes(':id')) return [holder.id]
  if (url.startsWith('/api/admin/users/')) return [otherUserId, holder.userId]
  return [victim.id, holder.id]
}

/** What is new or other, in a word each. Throws where it is more than the holder has. */
function judge(holder: Holder, before: Credentials, after: Credentials, what: string): string[] {
  const changes: string[] = []
  const isLogin = holder.permissions === null && !holder.isDevice
  const own = before.session.get(holder.id)
  for (const [id, session] of after.session) {
    const old = before.session.get(id)
    if (old !== undefined) {
      assert.deepEqual({ ...old }, session, what)
      continue
    }
    changes.push('made a session')
    assert.ok(isLogin, `${what} made a session`)
    assert.equal(session.user_id, holder.userId, what)
    assert.equal(session.parent_id, holder.id, `${what}: it ends with the one that made it`)
    assert.ok(session.expires_at <= own!.expires_at, `${what}: and not later`)
  }
  for (const [id, key] of after.key) {
    const old = before.key.get(id)
    if (old !== undefined && String(old.permissions) === String(key.permissions)) continue
    changes.push(old === undefined ? 'made a key' : 'changed a key')
    assert.equal(key.user_id, holder.userId, what)
    assert.ok(isLogin || holder.permissions !== null, `${what}: a device made a key`)
    if (holder.permissions === null || holder.permissions.includes('all')) continue
    const more = key.permissions.filter((permission) => !holder.permissions!.includes(permission))
    assert.deepEqual(more, [], `${what} gave more than it has`)
  }
  for (const [id, user] of after.user) {
    const old = before.user.get(id)
    if (old === undefined) {
      changes.push('made a user')
      assert.ok(holder.isAdmin && (isLogin || holder.permissions?.includes('all')), `${what} made a user`)
      assert.ok(isLogin || !user.is_admin, `${what} made an administrator`)
    } else if (JSON.stringify(old) !== JSON.stringify(user)) {
      changes.push('changed a user')
      const isOneself = id === holder.userId
      assert.ok(isLogin && (isOneself || holder.isAdmin), `${what} changed what somebody logs in with`)
      if (isOneself) assert.equal(user.is_admin, old.is_admin, what)
    }
  }
  const isEnded = [...before.session.keys()].some((id) => !after.session.has(id))
  if (isEnded || [...before.key.keys()].some((id) => !after.key.has(id))) changes.push('ended')
  return changes
}

/** A secret in an answer belongs to a row that was judged. */
function assertKnown(token: string, { session, key }: Credentials, what: string): void {
  const hash = hashToken(token).toString('hex')
  const known = [...session.values()].map((row) => row.token_hash)
  known.push(...[...key.values()].map((row) => row.key_hash))
  assert.ok(
    known.some((one) => one.toString('hex') === hash),
    `${what} gave a secret of no known kind`,
  )
}

async function ask(url: string, route: Route, id: string, headers: Record<string, string>, body: object) {
  const path = pathOf(route, { id }, randomUUID())
  const response = await fetch(url + path, {
    method: route.method,
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = (await response.text()) + response.headers.getSetCookie().join('\n')
  const isBarred = response.status === 403 && /"(Forbidden|Missing required permission: .*)"/.test(text)
  return {
    status: response.status,
    isBarred,
    tokens: text.match(/(?<![\w-])[A-Za-z0-9]{43}(?![\w-])/g) ?? [],
  }
}

async function restoreKey(pool: pg.Pool, { id, userId, token, permissions }: Victim): Promise<void> {
  await pool.query(
    `insert into api_key (id, user_id, name, key_hash, permissions) values ($1, $2, 'test', $3, $4)
     on conflict (id) do update set permissions = excluded.permissions`,
    [id, userId, hashToken(token), permissions],
  )
}

async function insertKey(pool: pg.Pool, userId: string, permissions: string[]): Promise<Victim> {
  const token = makeToken()
  const { rows } = await pool.query<{ id: string }>(
    `insert into api_key (user_id, name, key_hash, permissions) values ($1, 'test', $2, $3) returning id`,
    [userId, hashToken(token), permissions],
  )
  return { id: rows[0]!.id, userId, token, permissions }
}

async function insertSession(pool: pg.Pool, userId: string, parentId: string | null) {
  const token = makeToken()
  const { rows } = await pool.query<{ id: string }>(
    `insert into session (user_id, token_hash, parent_id, expires_at)
     values ($1, $2, $3, now() + interval '30 days') returning id`,
    [userId, hashToken(token), parentId],
  )
  return { id: rows[0]!.id, token }
}

async function insertHolder(pool: pg.Pool, kind: Kind, userId: string): Promise<Holder> {
  if (kind.permissions !== null) {
    const { id, token } = await insertKey(pool, userId, kind.permissions)
    return { ...kind, id, userId, headers: { 'x-api-key': token } }
  }
  const login = await insertSession(pool, userId, null)
  const { id, token } = kind.isDevice ? await insertSession(pool, userId, login.id) : login
  return { ...kind, id, userId, headers: { authorization: `Bearer ${token}` } }
}

async function readCredentials(pool: pg.Pool): Promise<Credentials> {
  const byId = async <Row extends { id: string }>(text: string) =>
    new Map((await pool.query<Row>(text)).rows.map((row) => [row.id, row] as const))
  return {
    session: await byId<SessionRow>(
      'select id, user_id, parent_id, expires_at, token_hash from session order by id',
    ),
    key: await byId<KeyRow>('select id, user_id, permissions, key_hash from api_key order by id'),
    user: await byId<UserRow>('select id, email, is_admin, password_hash from app_user order by id'),
  }
}
