/**
 * Every route about assets, albums and what belongs to them, called with somebody's ids by everybody else:
 * nobody reads what is not theirs to see, and nobody changes a row of the owner's that is not theirs to
 * change.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathOf, type Route, withRoutes } from '../../support/http/routes.ts'
import { startTestServer } from '../../support/server.ts'
import { VALID_REQUESTS } from '../hostile/valid-requests.ts'
import { addAsset } from '../routes/asset-rows.ts'

const CONCERNED =
  /^\/api\/(albums|assets|stacks|tags|memories|activities|partners|timeline|download|trash|search|faces)(\/|$)/
/** What the valid requests name. */
const ANY_ID = '11111111-1111-4111-8111-111111111111'
const OTHER_ID = '22222222-2222-4222-8222-222222222222'

test('who reads and changes what, by every route', async (t) => {
  const { built: server, routes } = await withRoutes(() => startTestServer(t))
  const [owner, stranger, viewer, editor, partner] = await Promise.all(
    ['owner', 'stranger', 'viewer', 'editor', 'partner'].map((name) => server.newUser(name)),
  )
  const { db, pool } = server
  const add = async (name: string, more = {}) =>
    addAsset(
      db,
      owner!.userId,
      { original_file_name: `${name}.jpg`, ...more },
      { description: `${name}-text` },
    )
  const assets = {
    'in-album': await add('in-album', { visibility: 'archive' }),
    'in-timeline': await add('in-timeline'),
    'in-archive': await add('in-archive', { visibility: 'archive' }),
  }
  const send = async (token: string | null, request: string, body?: unknown) => {
    const [method, path] = request.split(' ') as [string, string]
    const response = await fetch(server.url + path, {
      method,
      headers: {
        ...(token !== null && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    })
    return { status: response.status, text: await response.text() }
  }
  const make = async (request: string, body: unknown): Promise<string> => {
    const answer = await send(owner!.token, request, body)
    assert.ok(answer.status < 300, `${request}: ${answer.text}`)
    return answer.text === '' ? '' : JSON.parse(answer.text).id
  }
  const albumUsers = [
    { userId: viewer!.userId, role: 'viewer' },
    { userId: editor!.userId, role: 'editor' },
  ]
  const album = await make('POST /api/albums', {
    albumName: 'the-album',
    assetIds: [assets['in-album']],
    albumUsers,
  })
  const stack = await make('POST /api/stacks', { assetIds: [assets['in-archive'], assets['in-album']] })
  const tag = await make('POST /api/tags', { name: 'the-tag' })
  await make(`PUT /api/tags/${tag}/assets`, { ids: Object.values(assets) })
  const memory = await make('POST /api/memories', {
    type: 'on_this_day',
    data: { year: 2020 },
    memoryAt: '2020-05-01T00:00:00Z',
    assetIds: [assets['in-timeline']],
  })
  const activity = await make('POST /api/activities', {
    albumId: album,
    assetId: assets['in-album'],
    type: 'comment',
    comment: 'the-comment',
  })
  await make('POST /api/partners', { sharedWithId: partner!.userId })
  for (const [name, id] of Object.entries(assets))
    await make(`PUT /api/assets/${id}/metadata`, {
      items: [{ key: 'text', value: { said: `${name}-kept` } }],
    })

  const ids: Record<string, string> = {
    albums: album,
    stacks: stack,
    tags: tag,
    memories: memory,
    activities: activity,
  }
  const fill = (value: unknown, key: string, fallback: string): unknown => {
    if (Array.isArray(value)) return value.map((one) => fill(one, key, fallback))
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fill(one, name, fallback)]))
    if (value !== ANY_ID && value !== OTHER_ID) return value
    if (/^album/.test(key)) return album
    if (/^(tagIds?|parentId)$/.test(key)) return tag
    if (/^(userId|sharedWithId)$/.test(key)) return owner!.userId
    if (value === OTHER_ID) return assets['in-archive']
    return fallback
  }
  /** The route's request, once for each asset. */
  const requestsFor = (route: Route): { request: string; body: unknown }[] => {
    const kind = route.url.split('/')[2]!
    const { body, query } = VALID_REQUESTS[`${route.method} ${route.url}`] ?? {}
    return Object.values(assets).map((assetId) => {
      const values = { id: ids[kind] ?? assetId, assetId, userId: owner!.userId, key: 'text' }
      if (kind === 'partners') values.id = owner!.userId
      const named = route.url === '/api/stacks' && route.method === 'DELETE' ? stack : assetId
      const { key, slug, apiKey, ...asked } = query ?? {}
      const filled = fill(asked, '', named) as Record<string, string>
      const search = new URLSearchParams(filled).toString()
      const path = pathOf(route, values, assetId) + (search === '' ? '' : `?${search}`)
      const sent = route.method === 'GET' ? undefined : fill(body ?? {}, '', named)
      return { request: `${route.method} ${path}`, body: sent }
    })
  }
  const concerned = routes.filter(
    ({ url, method, access }) =>
      CONCERNED.test(url) && access.who === 'user' && `${method} ${url}` !== 'POST /api/assets',
  )
  assert.ok(concerned.length > 70, `only ${concerned.length} routes`)

  const rowsOf = async (tables: readonly (keyof typeof OWNED)[]) =>
    Object.fromEntries(
      await Promise.all(
        tables.map(async (table) => {
          const { rows } = await pool.query(
            `select to_jsonb(t) as row from ${table} t where ${OWNED[table]} order by 1`,
            [owner!.userId],
          )
          return [table, rows.map(({ row }) => row)]
        }),
      ),
    )
  const EVERYTHING = Object.keys(OWNED) as (keyof typeof OWNED)[]
  const ALBUM: string[] = ['album', 'album_user', 'album_asset']

  const cases = [
    { who: 'stranger', token: stranger!.token, sees: [], changes: [] },
    { who: 'partner', token: partner!.token, sees: ['in-timeline'], changes: ['partner'] },
    { who: 'viewer', token: viewer!.token, sees: ['in-album', 'the-album', 'the-comment'], changes: [] },
    { who: 'editor', token: editor!.token, sees: ['in-album', 'the-album', 'the-comment'], changes: ALBUM },
  ]
  /** These assets have no bytes: who hears that would get them. */
  const MEDIA = /^GET .*\/(original|thumbnail|video\/playback)(\?|$)|^POST .*\/download\/archive$/
  const nameIn = (request: string) => Object.entries(assets).find(([, id]) => request.includes(id))?.[0] ?? ''
  const SECRETS = [...Object.keys(assets), 'the-album', 'the-comment', 'the-tag']
  for (const { who, token, sees, changes } of cases) {
    await t.test(who, async () => {
      const guarded = EVERYTHING.filter((table) => !changes.includes(table))
      const before = await rowsOf(guarded)
      const seen = new Set<string>()
      for (const route of concerned) {
        for (const { request, body } of requestsFor(route)) {
          const answer = await send(token, request, body)
          const isRead = MEDIA.test(request) && [404, 503].includes(answer.status)
          assert.ok(answer.status < 500 || isRead, `${request}: ${answer.status} ${answer.text}`)
          const text = isRead ? nameIn(request + JSON.stringify(body)) : answer.text
          for (const secret of SECRETS.filter((one) => text.includes(one))) {
            seen.add(secret)
            assert.ok(sees.includes(secret), `${who} reads "${secret}" by ${request}`)
          }
        }
        assert.deepEqual(await rowsOf(guarded), before, `${who} changes it by ${route.method} ${route.url}`)
      }
      assert.deepEqual([...seen].toSorted(), sees.toSorted(), 'and reads what they may')
    })
  }

  await t.test('nobody, and a key for something else', async () => {
    const before = await rowsOf(EVERYTHING)
    const key = await owner!.json<{ secret: string }>('/api-keys', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'a key', permissions: ['plugin.read'] }),
    })
    for (const route of concerned) {
      const [{ request, body }] = requestsFor(route) as [{ request: string; body: unknown }]
      assert.equal((await send(null, request, body)).status, 401, request)
      const [method, path] = request.split(' ') as [string, string]
      const answer = await fetch(server.url + path, { method, headers: { 'x-api-key': key.secret } })
      assert.equal(answer.status, route.access.permission === null ? answer.status : 403, request)
    }
    assert.deepEqual(await rowsOf(EVERYTHING), before)
  })
})

/** The owner's rows of each table. */
const OWNED = {
  asset: 't.owner_id = $1',
  asset_exif: 'exists (select from asset where asset.id = t.asset_id and asset.owner_id = $1)',
  asset_metadata: 'exists (select from asset where asset.id = t.asset_id and asset.owner_id = $1)',
  album: `exists (select from album_user m where m.album_id = t.id and m.user_id = $1 and m.role = 'owner')`,
  // Others may make the owner a member of their own albums, and partners put their assets into those.
  album_user: `exists (select from album_user m where m.album_id = t.album_id and m.user_id = $1 and m.role = 'owner')`,
  album_asset: `exists (select from album_user m where m.album_id = t.album_id and m.user_id = $1 and m.role = 'owner')`,
  activity: 't.user_id = $1',
  partner: 't.shared_by_id = $1',
  stack: 't.owner_id = $1',
  tag: 't.owner_id = $1',
  tag_asset: 'exists (select from tag where tag.id = t.tag_id and tag.owner_id = $1)',
  memory: 't.owner_id = $1',
  memory_asset: 'exists (select from memory where memory.id = t.memory_id and memory.owner_id = $1)',
} as const
