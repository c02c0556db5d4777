/**
 * Who gets the bytes of an asset, on each route that sends them: session, asset and replicas are asked for in
 * one statement.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { startTestServer } from '../../support/server.ts'
import { photo } from '../../support/server-with-bucket.ts'

const MISSING_ACCESS = /Not found or no asset\.(view|download) access/

test('the bytes of an asset, for everybody who asks', async (t) => {
  const server = await startTestServer(t)
  const { admin: owner, pool } = server
  const { id } = await owner.upload(await photo(), 'photo.jpg')
  await server.runJobs()
  const asJson = { headers: { 'content-type': 'application/json' }, method: 'POST' }
  const pathsOf = (assetId: string) => [
    `/api/assets/${assetId}/original`,
    `/api/assets/${assetId}/thumbnail?size=thumbnail`,
    `/api/assets/${assetId}/thumbnail?size=preview`,
    `/api/assets/${assetId}/video/playback`,
  ]
  /** A photo has no playback: whoever may see it hears that. */
  const statusesFor = async (headers: Record<string, string>, assetId = id) => {
    const answers = await Promise.all(pathsOf(assetId).map((path) => fetch(server.url + path, { headers })))
    const messages = await Promise.all(answers.map((answer) => answer.text()))
    return { statuses: answers.map(({ status }) => status), messages }
  }
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  const sees = [200, 200, 200, 404]
  const none = (status: number) => [status, status, status, status]

  assert.deepEqual((await statusesFor(bearer(owner.token))).statuses, sees)
  assert.deepEqual((await statusesFor({})).statuses, none(401))
  assert.deepEqual((await statusesFor(bearer('not a token'))).statuses, none(401))
  assert.deepEqual((await statusesFor({ 'x-api-key': 'not a key' })).statuses, none(401))
  assert.deepEqual((await statusesFor({ 'x-immich-share-key': 'a key' })).statuses, none(401))
  assert.deepEqual((await statusesFor(bearer(owner.token), 'no-uuid')).statuses, none(400))
  assert.deepEqual((await statusesFor({}, 'no-uuid')).statuses, none(401))
  const unknown = await statusesFor(bearer(owner.token), randomUUID())
  assert.deepEqual(unknown.statuses, none(400))
  for (const message of unknown.messages) assert.match(message, MISSING_ACCESS)

  const guest = await server.newUser('guest')
  const stranger = await server.newUser('stranger')
  const refused = await statusesFor(bearer(stranger.token))
  assert.deepEqual(refused.statuses, none(400))
  for (const message of refused.messages) assert.match(message, MISSING_ACCESS)

  const album = await owner.json<{ id: string }>('/albums', {
    ...asJson,
    body: JSON.stringify({
      albumName: 'shared',
      assetIds: [id],
      albumUsers: [{ userId: guest.userId, role: 'viewer' }],
    }),
  })
  assert.deepEqual((await statusesFor(bearer(guest.token))).statuses, sees)
  for (const hidden of ["visibility = 'locked'", 'deleted_at = now()']) {
    await pool.query(`update asset set ${hidden} where id = $1`, [id])
    assert.deepEqual((await statusesFor(bearer(guest.token))).statuses, none(400), hidden)
    await pool.query(`update asset set visibility = 'timeline', deleted_at = null where id = $1`, [id])
  }
  await owner.call(`/albums/${album.id}/user/${guest.userId}`, { method: 'DELETE' })
  assert.deepEqual((await statusesFor(bearer(guest.token))).statuses, none(400))

  const newKey = (permissions: string[]) =>
    owner.json<{ secret: string; apiKey: { id: string } }>('/api-keys', {
      ...asJson,
      body: JSON.stringify({ name: 'a key', permissions }),
    })
  const viewing = await newKey(['asset.view'])
  assert.deepEqual((await statusesFor({ 'x-api-key': viewing.secret })).statuses, [403, 200, 200, 404])
  const useless = await newKey(['album.read'])
  assert.deepEqual((await statusesFor({ 'x-api-key': useless.secret })).statuses, none(403))
  await owner.call(`/api-keys/${viewing.apiKey.id}`, { method: 'DELETE' })
  assert.deepEqual((await statusesFor({ 'x-api-key': viewing.secret })).statuses, none(401))

  const all = await newKey(['all'])
  const { rows } = await pool.query<{ id: string }>('select owner_id as id from asset where id = $1', [id])
  await pool.query('update app_user set deleted_at = now() where id = $1', [rows[0]!.id])
  assert.deepEqual((await statusesFor(bearer(owner.token))).statuses, none(401))
  assert.deepEqual((await statusesFor({ 'x-api-key': all.secret })).statuses, none(401))
  await pool.query('update app_user set deleted_at = null where id = $1', [rows[0]!.id])
  assert.deepEqual((await statusesFor({ 'x-api-key': all.secret })).statuses, sees)

  await pool.query(`update session set expires_at = now() - interval '1 second' where user_id = $1`, [
    rows[0]!.id,
  ])
  assert.deepEqual((await statusesFor(bearer(owner.token))).statuses, none(401))
})
