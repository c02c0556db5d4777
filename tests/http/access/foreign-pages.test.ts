/** Pages of other origins, whose requests a browser sends with our cookie. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import { describe, test } from 'node:test'
import type pg from 'pg'
import { changesState, pathOf, withRoutes } from '../../support/http/routes.ts'
import { startTestServer } from '../../support/server.ts'

const FOREIGN = 'https://evil.example'

/**
 * Everything that the database holds, as text. The last use of a session is no change that anybody asked for.
 */
async function everyRow(pool: pg.Pool): Promise<Record<string, string>> {
  const { rows } = await pool.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname in ('public', 'graphile_worker') order by 1`,
  )
  const tables: Record<string, string> = {}
  for (const { name } of rows) {
    const columns = name === 'public.session' ? "to_jsonb(t) - 'updated_at'" : 'to_jsonb(t)'
    const { rows: content } = await pool.query(`select ${columns} as row from ${name} t order by 1::text`)
    tables[name] = JSON.stringify(content)
  }
  return tables
}

test('B9: no route that changes something obeys a page of another origin', async (t) => {
  const { built: server, routes } = await withRoutes(() => startTestServer(t))
  const { admin } = server
  const { id: assetId } = await admin.upload(Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]), 'photo.jpg')
  const json = (body: unknown) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const album = await admin.json<{ id: string }>(
    '/albums',
    json({ albumName: 'Summer', assetIds: [assetId] }),
  )
  await admin.json('/api-keys', json({ name: 'tool', permissions: ['all'] }))
  const [session] = await admin.json<{ id: string }[]>('/sessions')
  // In the trash, so that emptying it would change something without a word of a body.
  const trashed = await admin.upload(Buffer.from([0xff, 0xd8, 0xff, 0xe0, 4, 5, 6]), 'old.jpg')
  await admin.call('/assets', { ...json({ ids: [trashed.id] }), method: 'DELETE' })

  const changing = routes.filter(changesState)
  assert.ok(changing.length > 40, `${changing.length} routes`)
  const before = await everyRow(server.pool)
  const signs: Record<string, string>[] = [
    { origin: FOREIGN },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    // Another name of the same site, and another port of the same host, which share cookies with us.
    { 'sec-fetch-site': 'same-site', origin: FOREIGN },
    { origin: server.url.replace(/\d+$/, '1') },
  ]
  for (const route of changing) {
    const ids = { id: album.id, assetId, name: 'thumbnailGeneration', locationId: 'local' }
    if (route.url.includes('/sessions/')) ids.id = session!.id
    if (route.url.includes('/assets/')) ids.id = assetId
    const path = pathOf(route, ids, randomUUID())
    for (const sign of signs) {
      const response = await fetch(server.url + path, {
        method: route.method,
        headers: {
          ...sign,
          cookie: `immich_access_token=${admin.token}`,
          // What a form can send without asking first.
          'content-type': 'text/plain',
        },
        body: '{}',
      })
      const answer = (await response.json()) as { message: string }
      assert.equal(response.status, 403, `${route.method} ${route.url} with ${JSON.stringify(sign)}`)
      assert.match(answer.message, /^This request came from a page of another origin/)
      assert.deepEqual(response.headers.getSetCookie(), [])
    }
  }
  assert.deepEqual(await everyRow(server.pool), before)
})

describe('B9: who is no page of another origin is served', () => {
  test('our own page, whatever the proxy makes of our name, and clients that are no browsers', async (t) => {
    const server = await startTestServer(t, { publicUrl: 'https://photos.example.org' })
    const cookie = `immich_access_token=${server.admin.token}`
    const key = await server.admin.json<{ secret: string }>('/api-keys', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ permissions: ['all'] }),
    })
    const cases: [string, Record<string, string>][] = [
      ['the page on plain http', { cookie, origin: server.url }],
      [
        'the page on https behind a proxy that hides our name',
        { cookie, 'sec-fetch-site': 'same-origin', origin: 'https://x.example' },
      ],
      [
        'the same in a browser without Sec-Fetch-Site',
        { cookie, 'x-forwarded-host': 'x.example', origin: 'https://x.example' },
      ],
      ['the configured address', { cookie, origin: 'https://photos.example.org' }],
      [
        'a proxy that ends TLS and says nothing',
        { cookie, host: 'nas.example.org', origin: 'https://nas.example.org' },
      ],
      [
        'the port that https has anyway',
        { cookie, host: 'nas.example.org:443', origin: 'https://nas.example.org' },
      ],
      ['a person who typed the address', { cookie, 'sec-fetch-site': 'none' }],
      ['the mobile app, which has a cookie and no origin', { cookie, 'user-agent': 'immich-android/3.2.2' }],
      ['a session token in a header', { authorization: `Bearer ${server.admin.token}`, origin: FOREIGN }],
      [
        'the same in the header of Immich',
        { 'x-immich-user-token': server.admin.token, origin: FOREIGN, 'sec-fetch-site': 'cross-site' },
      ],
      ['an API key', { 'x-api-key': key.secret, origin: FOREIGN }],
    ]
    for (const [who, headers] of cases) {
      assert.equal(await statusOf(server.url, '/api/trash/empty', headers), 200, who)
    }
    const byQuery = `/api/trash/empty?apiKey=${key.secret}`
    assert.equal(await statusOf(server.url, byQuery, { origin: FOREIGN }), 200, 'an API key in the query')
  })

  test('another address than the configured one is refused with the remedy', async (t) => {
    const server = await startTestServer(t)
    const response = await fetch(`${server.url}/api/trash/empty`, {
      method: 'POST',
      headers: { cookie: `immich_access_token=${server.admin.token}`, origin: 'https://photos.example.org' },
    })
    assert.equal(response.status, 403)
    const { message } = (await response.json()) as { message: string }
    assert.match(message, /set server\.publicUrl .* or let the reverse proxy pass the Host header on$/)
  })

  test('reading is left to the cookie rules of browsers', async (t) => {
    const server = await startTestServer(t)
    const headers = { cookie: `immich_access_token=${server.admin.token}`, 'sec-fetch-site': 'cross-site' }
    assert.equal((await fetch(`${server.url}/api/users/me`, { headers })).status, 200)
  })
})

test('B9: a page of another origin can neither log a browser in nor sign up for a new server', async (t) => {
  const server = await startTestServer(t)
  for (const path of ['/api/auth/login', '/api/auth/admin-sign-up']) {
    const response = await fetch(server.url + path, {
      method: 'POST',
      headers: { origin: FOREIGN, 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'admin@example.org', password: 'a long password', name: 'Eve' }),
    })
    assert.equal(response.status, 403, path)
    assert.deepEqual(response.headers.getSetCookie(), [])
  }
})

test('B9: a page of another origin opens no websocket', async (t) => {
  const server = await startTestServer(t)
  const cookie = `immich_access_token=${server.admin.token}`
  const open = async (headers: Record<string, string>) => {
    const opening = httpRequest(`${server.url}/api/socket.io/?EIO=4&transport=websocket`, {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
    })
    opening.end()
    return answerOf(opening)
  }
  const refused = await open({ cookie, origin: FOREIGN })
  assert.equal(refused.status, 403)
  assert.match(refused.body, /came from a page of another origin/)
  assert.equal((await open({ cookie, 'sec-fetch-site': 'cross-site' })).status, 403)
  assert.equal((await open({ cookie, origin: server.url })).status, 101)
  assert.equal((await open({ cookie })).status, 101)
  assert.equal((await open({ authorization: `Bearer ${server.admin.token}`, origin: FOREIGN })).status, 101)
})

async function answerOf(sent: ClientRequest): Promise<{ status: number; body: string }> {
  const answered = Promise.race([once(sent, 'response'), once(sent, 'upgrade')])
  const [response, socket] = (await answered) as [IncomingMessage, { destroy(): void } | undefined]
  if (socket !== undefined) {
    socket.destroy()
    return { status: response.statusCode!, body: '' }
  }
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode!, body }
}

/** Not with `fetch`, which sets Host itself. */
async function statusOf(url: string, path: string, headers: Record<string, string>): Promise<number> {
  const sent = httpRequest(url + path, { method: 'POST', headers })
  sent.end()
  return (await answerOf(sent)).status
}
