/**
 * Shapes, statuses and words in which clients of Immich 3.2.2 were found to rely on, one test for each area.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startTestServer } from '../../support/server.ts'
import { PASSWORD, startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

test('albums: the filter by asset wins, contributors are told of one shared album, owners stay what they are', async (t) => {
  const api = await startApi(t)
  const owner = await api.newClient({ name: 'Owner' })
  const [editor, viewer] = [await api.newClient({ name: 'Zoe' }), await api.newClient({ name: 'Viewer' })]
  const other = await api.newClient({ name: 'Anna' })
  const asset = await addAsset(api.db, owner.userId)
  const albumUsers = [
    { userId: owner.userId, role: 'viewer' },
    { userId: viewer.userId, role: 'viewer' },
    { userId: editor.userId, role: 'editor' },
    { userId: other.userId, role: 'editor' },
  ]
  const made = await owner.send('POST /api/albums', { albumName: 'x', assetIds: [asset], albumUsers })
  assert.equal(made.status, 201)
  assertShape(made.body, 'AlbumResponseDto')
  assert.equal('contributorCounts' in made.body, false)
  const { id } = made.body
  const namesFor = async (client: typeof owner) =>
    (await client.send(`GET /api/albums/${id}`)).body.albumUsers.map(
      ({ role, user }: { role: string; user: { name: string } }) => `${role} ${user.name}`,
    )
  assert.deepEqual(await namesFor(owner), ['owner Owner', 'editor Anna', 'editor Zoe', 'viewer Viewer'])
  assert.deepEqual(await namesFor(editor), ['owner Owner', 'editor Zoe', 'editor Anna', 'viewer Viewer'])
  assert.deepEqual((await owner.send(`GET /api/albums/${id}`)).body.contributorCounts, [
    { userId: owner.userId, assetCount: 1 },
  ])
  const alone = (await owner.send('POST /api/albums', { albumName: 'alone', assetIds: [asset] })).body.id
  assert.equal('contributorCounts' in (await owner.send(`GET /api/albums/${alone}`)).body, false)

  const ids = async (query: string) =>
    (await owner.send(`GET /api/albums${query}`)).body.map((album: { id: string }) => album.id).sort()
  assert.deepEqual(await ids(`?assetId=${asset}&isShared=true&isOwned=false&name=none`), [id, alone].sort())

  const refused = async (client: typeof owner, request: string, body: unknown, message: string) => {
    const answer = await client.send(request, body)
    assert.deepEqual([answer.status, answer.body.message], [400, message], request)
  }
  assert.equal((await editor.send(`PATCH /api/albums/${id}`, { albumName: 'by an editor' })).status, 200)
  const members = { albumUsers: [{ userId: owner.userId }, { userId: viewer.userId, role: 'editor' }] }
  const again = await editor.send(`PUT /api/albums/${id}/users`, members)
  assert.equal(again.status, 200, 'who is a member already stays what they are')
  assert.deepEqual(await namesFor(owner), ['owner Owner', 'editor Anna', 'editor Zoe', 'viewer Viewer'])
  await refused(owner, `PUT /api/albums/${id}/user/${owner.userId}`, { role: 'editor' }, 'User is owner')
  await refused(editor, `PUT /api/albums/${id}/user/${owner.userId}`, { role: 'viewer' }, 'User is owner')
  await refused(
    editor,
    `DELETE /api/albums/${id}/user/${owner.userId}`,
    undefined,
    'Cannot remove the last album owner',
  )
  await refused(owner, `DELETE /api/albums/${id}/user/me`, undefined, 'Cannot remove the last album owner')
  const owners = [{ userId: other.userId, role: 'owner' }]
  await refused(owner, `PUT /api/albums/${id}/users`, { albumUsers: owners }, 'Cannot add another owner')
  const nobody = [{ userId: randomUUID(), role: 'viewer' }]
  await refused(owner, 'POST /api/albums', { albumName: 'y', albumUsers: nobody }, 'Invalid user')
  const elsewhere = await addAsset(api.db, owner.userId)
  await refused(
    owner,
    `PATCH /api/albums/${id}`,
    { albumThumbnailAssetId: elsewhere },
    'Invalid album thumbnail',
  )

  await api.db
    .updateTable('app_user')
    .set({ deleted_at: new Date() })
    .where('id', '=', owner.userId)
    .execute()
  assert.deepEqual((await viewer.send('GET /api/albums')).body, [], 'of a deleted owner nobody sees an album')
  assert.equal((await viewer.send(`GET /api/albums/${id}`)).status, 400)
  assert.deepEqual((await viewer.send('GET /api/albums/statistics')).body, {
    owned: 0,
    shared: 0,
    notShared: 0,
  })
})

test('API keys and sessions: the words of refusals', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const key = await api.keyClient(user, ['apiKey.create', 'apiKey.update'])
  for (const permissions of [['all'], ['asset.read']]) {
    const { status, body } = await key.send('POST /api/api-keys', { permissions })
    assert.deepEqual([status, body.message], [400, 'Cannot grant permissions you do not have'])
    assert.deepEqual(body.errors[0].path, ['permissions'])
  }
  const me = await user.send('GET /api/api-keys/me')
  assert.deepEqual([me.status, me.body.message], [403, 'Not authenticated with an API Key'])
  const foreign = await user.send(`DELETE /api/sessions/${randomUUID()}`)
  assert.deepEqual([foreign.status, foreign.body.message], [400, 'Not found or no authDevice.delete access'])
})

test('assets: dates inside exifInfo come as PostgreSQL writes them, zones as Immich does, live photos are checked', async (t) => {
  const server = await startTestServer(t)
  const user = await server.newUser('anna')
  const times = { file_created_at: new Date('2023-11-20T01:11:00.250Z'), time_zone: 'UTC-07:00' }
  const modified = { file_modified_at: new Date('2023-11-20T01:10:00Z') }
  const id = await addAsset(server.db, user.userId, { ...times, ...modified })
  type Asset = { fileCreatedAt: string; exifInfo: Record<string, string> }
  const read = () => user.json<Asset>(`/assets/${id}`)
  const { exifInfo, fileCreatedAt } = await read()
  assert.equal(fileCreatedAt, '2023-11-20T01:11:00.250Z')
  assert.equal(exifInfo.dateTimeOriginal, '2023-11-20T01:11:00.25+00:00')
  assert.equal(exifInfo.modifyDate, '2023-11-20T01:10:00+00:00')
  assert.equal(exifInfo.timeZone, 'UTC-7')
  for (const [zone, shown] of [
    ['UTC+05:30', 'UTC+05:30'],
    ['UTC+10:00', 'UTC+10'],
    ['Europe/Vienna', 'Europe/Vienna'],
    ['UTC', 'UTC'],
  ] as const) {
    await server.db.updateTable('asset').set({ time_zone: zone }).where('id', '=', id).execute()
    assert.equal((await read()).exifInfo.timeZone, shown)
  }

  const photo = await addAsset(server.db, user.userId)
  const foreign = await addAsset(server.db, (await server.newUser('bert')).userId, { type: 'VIDEO' })
  for (const [livePhotoVideoId, message] of [
    [randomUUID(), 'Live photo video not found'],
    [photo, 'Live photo video must be a video'],
    [foreign, 'Live photo video does not belong to the user'],
  ] as const) {
    const answer = await user.call(`/assets/${id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ livePhotoVideoId }),
    })
    assert.equal(answer.status, 400)
    assert.equal(((await answer.json()) as { message: string }).message, message)
  }
})

test('suggestions are ordered without regard to case', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  for (const city of ['zagreb', 'Aarau', 'berlin', 'Zürich', 'Berlin']) {
    await addAsset(api.db, user.userId, {}, { city })
  }
  const { body } = await user.send('GET /api/search/suggestions?type=city')
  assert.deepEqual(
    body.map((city: string) => city.toLowerCase()),
    ['aarau', 'berlin', 'berlin', 'zagreb', 'zürich'],
  )
})

test('an administrator has been through the first steps when a client says so; others are asked nothing', async (t) => {
  const api = await startApi(t)
  const config = async () => (await api.send('GET /api/server/config')).body
  const admin = await api.newClient()
  const user = await api.newClient()
  assertShape(await config(), 'ServerConfigDto')
  assert.deepEqual([(await config()).isInitialized, (await config()).isOnboarded], [true, false])
  assert.equal((await config()).oauthButtonText, 'Login with OAuth')
  const path = '/api/system-metadata/admin-onboarding'
  assert.equal((await user.send(`POST ${path}`, { isOnboarded: true })).status, 403)
  assert.deepEqual((await admin.send(`GET ${path}`)).body, { isOnboarded: false })
  assert.equal((await admin.send(`POST ${path}`, { isOnboarded: true })).status, 204)
  assert.deepEqual((await admin.send(`GET ${path}`)).body, { isOnboarded: true })
  assert.equal((await config()).isOnboarded, true)
  assert.equal((await admin.send('GET /api/users/me/preferences')).body.memories.enabled, true)
  assert.match((await user.send('GET /api/server/about')).body.build, /^glassine \d+\.\d+\.\d+$/)
})

test('users: what is no address, a taken one, and those who are deleted', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const gone = await api.newClient()
  const wish = { email: 'new@example.org', name: 'New', password: PASSWORD }
  const odd = await admin.send('POST /api/admin/users', { ...wish, email: {} })
  assert.equal(odd.status, 400)
  assert.equal(odd.body.errors[0].message, 'Invalid input: expected email, received object')
  assert.equal((await admin.send('POST /api/admin/users', { ...wish, notify: null })).status, 400)
  assert.equal((await admin.send('POST /api/admin/users', { ...wish, notify: true })).status, 201)
  for (const taken of [
    await admin.send('POST /api/admin/users', { ...wish, email: 'NEW@example.org' }),
    await admin.send('PUT /api/users/me', { email: 'new@example.org' }),
  ]) {
    assert.deepEqual([taken.status, taken.body.message], [400, 'Email is not available'])
  }

  await api.db.updateTable('app_user').set({ deleted_at: new Date() }).where('id', '=', gone.userId).execute()
  const listed = async (query = '') => (await admin.send(`GET /api/admin/users${query}`)).body
  assert.equal((await listed()).length, 2)
  const all = await listed('?withDeleted=true')
  assertShapes(all, 'UserAdminResponseDto')
  assert.equal(all.length, 3)
  const [deleted] = await listed(`?withDeleted=true&id=${gone.userId}`)
  assert.deepEqual([deleted.id, deleted.status], [gone.userId, 'deleted'])
  assert.deepEqual(await listed(`?id=${gone.userId}`), [])
})
