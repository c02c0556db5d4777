import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

const noAccess = (permission: string) => ({ message: `Not found or no ${permission} access` })

describe('an album', () => {
  test('is created, read, changed and deleted', async (t) => {
    const api = await startApi(t)
    const owner = await api.newClient()
    const foreign = await addAsset(api.db, (await api.newClient()).userId)
    const older = await addAsset(api.db, owner.userId, { local_date_time: '2020-02-29 23:00:00' })
    const newer = await addAsset(api.db, owner.userId, { local_date_time: '2021-01-01 00:30:00.250' })
    const wish = { albumName: 'Wien', description: null, assetIds: [older, newer, foreign, randomUUID()] }
    const made = await owner.send('POST /api/albums', wish)
    assert.equal(made.status, 201)
    assertShape(made.body, 'AlbumResponseDto')
    const { id } = made.body
    assert.deepEqual(
      [made.body.assetCount, made.body.startDate, made.body.endDate, made.body.shared, made.body.description],
      [2, '2020-02-29T23:00:00.000Z', '2021-01-01T00:30:00.250Z', false, ''],
    )
    assert.equal(made.body.albumThumbnailAssetId, newer)

    const change = { albumName: 'Graz', description: 'Süd', order: 'asc', isActivityEnabled: false }
    const changed = await owner.send(`PATCH /api/albums/${id}`, { ...change, albumThumbnailAssetId: older })
    assertShape(changed.body, 'AlbumResponseDto')
    const { albumName, description, order, isActivityEnabled } = changed.body
    assert.deepEqual({ albumName, description, order, isActivityEnabled }, change)
    assert.equal(changed.body.albumThumbnailAssetId, older)
    assert.equal(
      (await owner.send(`PATCH /api/albums/${id}`, { albumThumbnailAssetId: foreign })).status,
      400,
    )
    assert.equal((await owner.send(`PATCH /api/albums/${id}`, { description: null })).body.description, '')

    // A cover in the trash is replaced while it lies there.
    await api.db.updateTable('asset').set({ deleted_at: new Date() }).where('id', '=', older).execute()
    const read = (await owner.send(`GET /api/albums/${id}`)).body
    assert.deepEqual([read.assetCount, read.albumThumbnailAssetId], [1, newer])

    assert.equal((await owner.send(`DELETE /api/albums/${id}`)).status, 204)
    const gone = await owner.send(`GET /api/albums/${id}`)
    assert.deepEqual([gone.status, gone.body], [400, noAccess('album.read')])
    const { length } = await api.db.selectFrom('asset').selectAll().execute()
    assert.equal(length, 3, 'its assets stay')
  })

  test('without assets has no dates, and an empty name is refused', async (t) => {
    const api = await startApi(t)
    const owner = await api.newClient()
    const { body } = await owner.send('POST /api/albums', { albumName: 'Empty' })
    assertShape(body, 'AlbumResponseDto')
    assert.deepEqual([body.assetCount, body.albumThumbnailAssetId, 'startDate' in body], [0, null, false])
    assert.equal((await owner.send('POST /api/albums', { albumName: '' })).status, 400)
    assert.equal((await owner.send('POST /api/albums', {})).status, 400)
  })

  test('lists are of what one owns or is a member of', async (t) => {
    const api = await startApi(t)
    const anna = await api.newClient()
    const bert = await api.newClient()
    const asset = await addAsset(api.db, anna.userId)
    const albumUsers = [{ userId: bert.userId, role: 'viewer' }]
    const create = async (albumName: string, more = {}) =>
      (await anna.send('POST /api/albums', { albumName, ...more })).body.id as string
    const mine = await create('mine', { assetIds: [asset] })
    const both = await create('both', { albumUsers })
    const ids = async (client: typeof anna, query = '') => {
      const { body } = await client.send(`GET /api/albums${query}`)
      if (body.length > 0) assertShapes(body, 'AlbumResponseDto')
      return body.map((album: { id: string }) => album.id)
    }
    assert.deepEqual(await ids(anna), [both, mine])
    assert.deepEqual(await ids(bert), [both])
    assert.deepEqual(await ids(anna, '?isShared=true'), [both])
    assert.deepEqual(await ids(anna, '?shared=false'), [mine])
    assert.deepEqual(await ids(bert, '?isOwned=true'), [])
    assert.deepEqual(await ids(bert, '?isOwned=false'), [both])
    assert.deepEqual(await ids(anna, `?assetId=${asset}`), [mine])
    assert.deepEqual(await ids(bert, `?assetId=${asset}`), [])
    assert.deepEqual(await ids(anna, '?name=both'), [both])
    assert.deepEqual(await ids(anna, `?id=${mine}`), [mine])

    const statistics = await anna.send('GET /api/albums/statistics')
    assertShape(statistics.body, 'AlbumStatisticsResponseDto')
    assert.deepEqual(statistics.body, { owned: 2, shared: 1, notShared: 1 })
    assert.deepEqual((await bert.send('GET /api/albums/statistics')).body, {
      owned: 0,
      shared: 1,
      notShared: 0,
    })
    const [owner, member] = (await bert.send(`GET /api/albums/${both}`)).body.albumUsers
    assert.deepEqual(
      [owner.role, owner.user.id, member.role, member.user.id],
      ['owner', anna.userId, 'viewer', bert.userId],
    )
  })
})

describe('the contents of an album', () => {
  test('one answer per id, in order', async (t) => {
    const api = await startApi(t)
    const owner = await api.newClient()
    const foreign = await addAsset(api.db, (await api.newClient()).userId)
    const [a, b] = [await addAsset(api.db, owner.userId), await addAsset(api.db, owner.userId)]
    const { id } = (await owner.send('POST /api/albums', { albumName: 'x', assetIds: [a] })).body
    const before = (await owner.send(`GET /api/albums/${id}`)).body.updatedAt
    const none = randomUUID()

    const added = await owner.send(`PUT /api/albums/${id}/assets`, {
      ids: [b!, a, b!.toUpperCase(), foreign, none],
    })
    assert.equal(added.status, 200)
    assertShapes(added.body, 'BulkIdResponseDto')
    assert.deepEqual(added.body, [
      { id: b, success: true },
      { id: a, success: false, error: 'duplicate' },
      { id: b, success: false, error: 'duplicate' },
      { id: foreign, success: false, error: 'no_permission' },
      { id: none, success: false, error: 'no_permission' },
    ])
    const after = (await owner.send(`GET /api/albums/${id}`)).body
    assert.equal(after.assetCount, 2)
    assert.ok(after.updatedAt > before)

    assert.equal(after.albumThumbnailAssetId, a, 'the first cover stays')

    const removed = await owner.send(`DELETE /api/albums/${id}/assets`, { ids: [a, none] })
    assert.equal((await owner.send(`GET /api/albums/${id}`)).body.albumThumbnailAssetId, b)
    assertShapes(removed.body, 'BulkIdResponseDto')
    assert.deepEqual(removed.body, [
      { id: a, success: true },
      { id: none, success: false, error: 'not_found' },
    ])
    assert.equal((await owner.send(`PUT /api/albums/${id}/assets`, { ids: ['x'] })).status, 400)
  })

  test('many albums at once', async (t) => {
    const api = await startApi(t)
    const owner = await api.newClient()
    const stranger = await api.newClient()
    const asset = await addAsset(api.db, owner.userId)
    const create = async (albumName: string) => (await owner.send('POST /api/albums', { albumName })).body.id
    const albumIds = [await create('a'), await create('b')]
    const wish = { albumIds, assetIds: [asset] }
    assert.deepEqual((await stranger.send('PUT /api/albums/assets', wish)).body, {
      success: false,
      error: 'no_permission',
    })
    const added = await owner.send('PUT /api/albums/assets', wish)
    assertShape(added.body, 'AlbumsAddAssetsResponseDto')
    assert.deepEqual(added.body, { success: true })
    assert.deepEqual((await owner.send('PUT /api/albums/assets', wish)).body, {
      success: false,
      error: 'duplicate',
    })
    for (const id of albumIds) assert.equal((await owner.send(`GET /api/albums/${id}`)).body.assetCount, 1)
  })

  test('65,000 ids, twice at the same time', async (t) => {
    const api = await startApi(t)
    const owner = await api.newClient()
    const { id } = (await owner.send('POST /api/albums', { albumName: 'all' })).body
    await api.pool.query(
      `with made as (
         insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension)
         select gen_random_uuid(), $1, 'original', 1, sha256(n::text::bytea), 'image/jpeg', 'jpg' from generate_series(1, 65000) n
         returning id, sha256)
       insert into asset (id, owner_id, type, checksum, original_object_id, original_file_name, original_mime_type, file_size,
                          file_created_at, file_modified_at, local_date_time)
       select gen_random_uuid(), $1, 'IMAGE', substr(sha256, 1, 20), id, 'a.jpg', 'image/jpeg', 1, now(), now(), now() from made`,
      [owner.userId],
    )
    const { rows } = await api.pool.query('select id from asset')
    const ids = rows.map((row) => row.id)
    const answers = await Promise.all([
      owner.send(`PUT /api/albums/${id}/assets`, { ids }),
      owner.send(`PUT /api/albums/${id}/assets`, { ids: ids.toReversed() }),
    ])
    const successes = answers.flatMap((answer) => answer.body).filter((result) => result.success)
    assert.equal(successes.length, 65_000)
    const removed = await owner.send(`DELETE /api/albums/${id}/assets`, { ids })
    assert.ok(removed.body.every((result: { success: boolean }) => result.success))
    assert.equal((await owner.send(`GET /api/albums/${id}`)).body.assetCount, 0)
  })
})

describe('members', () => {
  test('viewers look, editors add and take back their own, only the owner deletes', async (t) => {
    const api = await startApi(t)
    const owner = await api.newClient()
    const editor = await api.newClient()
    const viewer = await api.newClient()
    const stranger = await api.newClient()
    const ofOwner = await addAsset(api.db, owner.userId)
    const ofEditor = await addAsset(api.db, editor.userId)
    const ofViewer = await addAsset(api.db, viewer.userId)
    const { id } = (await owner.send('POST /api/albums', { albumName: 'x', assetIds: [ofOwner] })).body
    const albumUsers = [{ userId: editor.userId }, { userId: viewer.userId, role: 'viewer' }]
    const shared = await owner.send(`PUT /api/albums/${id}/users`, { albumUsers })
    assert.equal(shared.status, 200)
    assertShape(shared.body, 'AlbumResponseDto')
    assert.deepEqual(
      shared.body.albumUsers.map((member: { role: string }) => member.role),
      ['owner', 'editor', 'viewer'],
    )

    const refusals: [typeof owner, string, unknown, string][] = [
      [stranger, `GET /api/albums/${id}`, undefined, 'album.read'],
      [stranger, `PUT /api/albums/${id}/assets`, { ids: [] }, 'albumAsset.create'],
      [viewer, `PUT /api/albums/${id}/assets`, { ids: [ofViewer] }, 'albumAsset.create'],
      [viewer, `DELETE /api/albums/${id}/assets`, { ids: [ofOwner] }, 'albumAsset.delete'],
      [viewer, `PATCH /api/albums/${id}`, { albumName: 'stolen' }, 'album.update'],
      [editor, `DELETE /api/albums/${id}`, undefined, 'album.delete'],
      [viewer, `PUT /api/albums/${id}/users`, { albumUsers: [{ userId: stranger.userId }] }, 'album.share'],
      [viewer, `PUT /api/albums/${id}/user/${viewer.userId}`, { role: 'editor' }, 'album.share'],
      [viewer, `DELETE /api/albums/${id}/user/${editor.userId}`, undefined, 'album.share'],
      [stranger, `DELETE /api/albums/${id}/user/me`, undefined, 'album.read'],
    ]
    for (const [client, request, body, permission] of refusals) {
      const answer = await client.send(request, body)
      assert.deepEqual([answer.status, answer.body], [400, noAccess(permission)], request)
    }

    assert.equal((await viewer.send(`GET /api/albums/${id}`)).status, 200)
    assert.deepEqual((await editor.send(`PUT /api/albums/${id}/assets`, { ids: [ofEditor, ofOwner] })).body, [
      { id: ofEditor, success: true },
      { id: ofOwner, success: false, error: 'no_permission' },
    ])
    assert.deepEqual(
      (await editor.send(`DELETE /api/albums/${id}/assets`, { ids: [ofOwner, ofEditor] })).body,
      [
        { id: ofOwner, success: false, error: 'no_permission' },
        { id: ofEditor, success: true },
      ],
    )

    assert.equal(
      (await owner.send(`PUT /api/albums/${id}/user/${viewer.userId}`, { role: 'editor' })).status,
      204,
    )
    assert.equal(
      (await viewer.send(`PUT /api/albums/${id}/assets`, { ids: [ofViewer] })).body[0].success,
      true,
    )
    assert.equal((await viewer.send(`DELETE /api/albums/${id}/user/me`)).status, 204)
    assert.equal((await viewer.send(`GET /api/albums/${id}`)).status, 400)
    assert.equal((await owner.send(`DELETE /api/albums/${id}/user/${editor.userId}`)).status, 204)
    assert.equal((await editor.send(`GET /api/albums/${id}`)).status, 400)
    assert.equal((await owner.send(`DELETE /api/albums/${id}/user/me`)).status, 400)
  })

  test('are users of this server, named once, and none is made another owner', async (t) => {
    const api = await startApi(t)
    const owner = await api.newClient()
    const other = await api.newClient()
    const { id } = (await owner.send('POST /api/albums', { albumName: 'x' })).body
    const refused = async (...userIds: string[]) => {
      const albumUsers = userIds.map((userId) => ({ userId, role: 'viewer' }))
      assert.equal((await owner.send(`PUT /api/albums/${id}/users`, { albumUsers })).status, 400)
      assert.equal((await owner.send('POST /api/albums', { albumName: 'y', albumUsers })).status, 400)
    }
    await refused(randomUUID())
    await refused(other.userId, other.userId)
    const albumUsers = [{ userId: other.userId }]
    for (const _ of ['new', 'there already'])
      assert.equal((await owner.send(`PUT /api/albums/${id}/users`, { albumUsers })).status, 200)
    const owners = [{ userId: other.userId, role: 'owner' }]
    assert.equal((await owner.send(`PUT /api/albums/${id}/users`, { albumUsers: owners })).status, 400)
    assert.equal((await owner.send('GET /api/albums')).body.length, 1, 'a refused album is not half made')
  })
})
