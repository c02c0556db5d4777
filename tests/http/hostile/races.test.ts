import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { Client } from '../../support/client.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const jpeg = () => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(1_000)])
const send = (client: Client, method: string, path: string, body: unknown) =>
  client.call(path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

/**
 * Sends the request while a transaction that did `work` is open, and commits that when the request waits for
 * it.
 */
async function during(
  { pool }: TestServer,
  work: [text: string, values: unknown[]],
  request: () => Promise<Response>,
): Promise<Response> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(...work)
    const answer = request()
    await untilLockIsAwaited(pool)
    await client.query('commit')
    return await answer
  } finally {
    client.release()
  }
}
const deletionOf = (id: string): [string, unknown[]] => ['delete from asset where id = $1', [id]]

test('B12: an asset that is deleted while it is changed is not found', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  for (const fields of [{ description: 'x' }, { rating: 3 }, { dateTimeOriginal: '2020-01-01T00:00:00Z' }]) {
    const { id } = await admin.upload(jpeg(), 'x.jpg')
    const one = () => send(admin, 'PUT', `/assets/${id}`, fields)
    assert.equal((await during(server, deletionOf(id), one)).status, 400, Object.keys(fields)[0])
    const other = await admin.upload(jpeg(), 'x.jpg')
    const many = () => send(admin, 'PUT', '/assets', { ids: [other.id], dateTimeRelative: 5, ...fields })
    assert.equal((await during(server, deletionOf(other.id), many)).status, 400, 'of many')
  }
})

test('B12: an album is created without the asset that is deleted at this moment', async (t) => {
  const server = await startTestServer(t)
  const [gone, stays] = [
    await server.admin.upload(jpeg(), 'x.jpg'),
    await server.admin.upload(jpeg(), 'y.jpg'),
  ]
  const made = await during(server, deletionOf(gone.id), () =>
    send(server.admin, 'POST', '/albums', { albumName: 'Wien', assetIds: [gone.id, stays.id] }),
  )
  assert.equal(made.status, 201)
  const album = (await made.json()) as { assetCount: number; albumThumbnailAssetId: string }
  assert.deepEqual([album.assetCount, album.albumThumbnailAssetId], [1, stays.id])
})

test('B12: an album whose cover is deleted at this moment does without', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const [first, cover] = [await admin.upload(jpeg(), 'x.jpg'), await admin.upload(jpeg(), 'y.jpg')]
  const made = await send(admin, 'POST', '/albums', { albumName: 'Wien', assetIds: [first.id, cover.id] })
  const { id } = (await made.json()) as { id: string }
  const chosen = () => send(admin, 'PATCH', `/albums/${id}`, { albumThumbnailAssetId: cover.id })
  assert.equal((await during(server, deletionOf(cover.id), chosen)).status, 400)

  // Taken out, another one becomes the cover: the one that is just deleted.
  const next = await admin.upload(jpeg(), 'z.jpg')
  await server.pool.query(`update asset set local_date_time = '2030-01-01' where id = $1`, [next.id])
  const added = () => send(admin, 'PUT', `/albums/${id}/assets`, { ids: [next.id] })
  await server.pool.query('update album set thumbnail_asset_id = null')
  assert.equal((await added()).status, 200)
  await server.pool.query('update album set thumbnail_asset_id = $1', [first.id])
  const taken = () => send(admin, 'DELETE', `/albums/${id}/assets`, { ids: [first.id] })
  assert.equal((await during(server, deletionOf(next.id), taken)).status, 200)
  assert.equal((await admin.call(`/albums/${id}`)).status, 200)
})

test('B12: an album that is deleted while it is shared is not found', async (t) => {
  const server = await startTestServer(t)
  const friend = await server.newUser('friend')
  const made = await send(server.admin, 'POST', '/albums', { albumName: 'Wien' })
  const { id } = (await made.json()) as { id: string }
  const shared = () =>
    send(server.admin, 'PUT', `/albums/${id}/users`, {
      albumUsers: [{ userId: friend.userId, role: 'viewer' }],
    })
  const answer = await during(server, ['delete from album where id = $1', [id]], shared)
  assert.equal(answer.status, 400)
})

test('B12: of two who take one address at a time, one is told', async (t) => {
  const server = await startTestServer(t)
  const [one, other] = [await server.newUser('one'), await server.newUser('other')]
  const work: [string, unknown[]] = [
    `update app_user set email = 'us@example.org' where id = $1`,
    [other.userId],
  ]
  const answer = await during(server, work, () => send(one, 'PUT', '/users/me', { email: 'us@example.org' }))
  assert.equal(answer.status, 400)
  assert.match(((await answer.json()) as { message: string }).message, /Email is not available/)
})

test('B12: a sidecar for an asset that is deleted at this moment is refused, and nothing of it stays', async (t) => {
  const server = await startTestServer(t)
  const bytes = jpeg()
  const { id } = await server.admin.upload(bytes, 'x.jpg')
  const form = new FormData()
  form.set('fileCreatedAt', new Date().toISOString())
  form.set('fileModifiedAt', new Date().toISOString())
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'x.jpg')
  form.set('sidecarData', new Blob(['<x/>']), 'x.jpg.xmp')
  const again = () => server.admin.call('/assets', { method: 'POST', body: form })
  assert.equal((await during(server, deletionOf(id), again)).status, 409)
  const { rowCount } = await server.pool.query(
    `select from stored_object where kind = 'sidecar' and state = 'live'`,
  )
  assert.equal(rowCount, 0)
})
