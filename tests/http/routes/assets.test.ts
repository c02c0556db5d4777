import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import sharp from 'sharp'
import type { Client } from '../../support/client.ts'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const jpeg = () => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(1_000)])
const json = (method: string, body: unknown) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
type Asset = Record<string, unknown> & { id: string; exifInfo: Record<string, unknown> }
const UNKNOWN = '00000000-0000-4000-8000-000000000000'

async function uploadMany(client: Client, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let index = 0; index < count; index += 1) ids.push((await client.upload(jpeg(), `${index}.jpg`)).id)
  return ids
}

async function countObjects(server: TestServer): Promise<number> {
  const rows = await server.db.selectFrom('stored_object').select('id').execute()
  return rows.length
}

test('assets are changed by their owner, one or many, field by field', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const ids = await uploadMany(admin, 3)
  const [first] = ids as [string]

  await t.test('PUT and PATCH of one', async () => {
    for (const method of ['PUT', 'PATCH']) {
      const asset = await admin.json<Asset>(`/assets/${first}`, json(method, { isFavorite: true, rating: 5 }))
      assertShape(asset, 'AssetResponseDto', ['processingError', 'hasEncodedVideo'])
      assert.equal(asset.isFavorite, true)
      assert.equal(asset.exifInfo.rating, 5)
    }
    const cleared = await admin.json<Asset>(`/assets/${first}`, json('PUT', { rating: null }))
    assert.equal(cleared.exifInfo.rating, null)
    assert.equal(cleared.isFavorite, true, 'what is absent is kept')
  })

  await t.test('a description makes no file and needs none', async () => {
    const before = await countObjects(server)
    await admin.json(`/assets/${first}`, json('PUT', { description: 'a day\0 at the lake' }))
    const asset = await admin.json<Asset>(`/assets/${first}`)
    assert.equal(asset.exifInfo.description, 'a day at the lake')
    assert.equal(await countObjects(server), before)
    const files = await server.db.selectFrom('asset_file').select('kind').execute()
    assert.deepEqual(files, [])
  })

  await t.test('many at once', async () => {
    const answer = await admin.call(
      '/assets',
      json('PUT', { ids, visibility: 'archive', latitude: 1.5, longitude: -2.5, dateTimeRelative: 90 }),
    )
    assert.equal(answer.status, 204)
    for (const id of ids) {
      const before = await admin.json<Asset>(`/assets/${id}`)
      assert.equal(before.visibility, 'archive')
      assert.equal(before.exifInfo.latitude, 1.5)
      assert.equal(before.fileCreatedAt, before.localDateTime)
    }
    const zoned = await admin.call('/assets', json('PUT', { ids, timeZone: 'Asia/Kolkata' }))
    assert.equal(zoned.status, 204)
    const asset = await admin.json<Asset>(`/assets/${first}`)
    const difference = Date.parse(asset.localDateTime as string) - Date.parse(asset.fileCreatedAt as string)
    assert.equal(difference, 5.5 * 3_600_000)
    assert.equal(asset.exifInfo.timeZone, 'Asia/Kolkata')
  })

  await t.test('wrong values change nothing', async () => {
    const before = await admin.json<Asset>(`/assets/${first}`)
    for (const body of [
      { ids, timeZone: 'Middle/Earth' },
      { ids, dateTimeOriginal: 'last summer', isFavorite: false },
      { ids, dateTimeOriginal: '2024-02-30T12:00:00Z', isFavorite: false },
      { ids, dateTimeOriginal: '2023-02-29', isFavorite: false },
      { ids, dateTimeOriginal: '2024-04-31T00:00:00+02:00', isFavorite: false },
      { ids, latitude: 91, longitude: 0 },
      { ids, latitude: 9 },
      { ids, rating: 6 },
      { ids, visibility: 'locked' },
      { ids: [...ids, UNKNOWN], isFavorite: false },
      { ids: ['x'] },
    ]) {
      assert.equal((await admin.call('/assets', json('PUT', body))).status, 400, JSON.stringify(body))
    }
    assert.deepEqual(await admin.json<Asset>(`/assets/${first}`), before)
  })

  await t.test('strangers change and see nothing', async () => {
    const stranger = await server.newUser('stranger')
    const answers = [
      await stranger.call(`/assets/${first}`),
      await stranger.call(`/assets/${first}`, json('PUT', { isFavorite: false })),
      await stranger.call('/assets', json('PUT', { ids, isFavorite: false })),
      await stranger.call('/assets', json('DELETE', { ids, force: true })),
      await stranger.call('/trash/restore/assets', json('POST', { ids })),
      await stranger.call('/assets/jobs', json('POST', { assetIds: ids, name: 'refresh-metadata' })),
    ]
    for (const answer of answers) {
      assert.equal(answer.status, 400)
      assert.match(
        ((await answer.json()) as { message: string }).message,
        /^Not found or no asset\.\w+ access$/,
      )
    }
  })

  await t.test('statistics count what is asked for', async () => {
    const statistics = (query: string) => admin.json<Record<string, number>>(`/assets/statistics${query}`)
    assert.deepEqual(await statistics(''), { images: 3, videos: 0, total: 3 })
    assert.equal((await statistics('?isFavorite=true')).total, 1)
    assert.equal((await statistics('?visibility=timeline')).total, 0)
    assert.equal((await statistics('?isTrashed=true')).total, 0)
    assert.equal((await admin.call('/assets/statistics?isTrashed=maybe')).status, 400)
  })
})

test('the trash keeps what it is given, and purge gives up all of it', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const ids = await uploadMany(admin, 4)
  await server.runJobs()
  const remote = server.remotes.get('s3')!.inner
  const held = async () => {
    const keys: string[] = []
    for await (const { key } of remote.list('')) keys.push(key)
    return keys.length
  }
  const withMarker = await held()

  assert.equal((await admin.call('/assets', json('DELETE', { ids: ids.slice(0, 3) }))).status, 204)
  assert.equal((await admin.json<Asset>(`/assets/${ids[0]}`)).isTrashed, true)
  assert.equal((await admin.call(`/assets/${ids[0]}/original`)).status, 200, 'the trash can be looked at')
  assert.deepEqual(await admin.json('/trash/restore/assets', json('POST', { ids: [ids[0]] })), { count: 1 })
  assert.equal((await admin.json<Asset>(`/assets/${ids[0]}`)).isTrashed, false)
  assert.deepEqual(await admin.json('/trash/restore', { method: 'POST' }), { count: 2 })
  await server.runJobs()
  assert.equal(await held(), withMarker, 'nothing was given up')

  await admin.call('/assets', json('DELETE', { ids: ids.slice(0, 2) }))
  assert.deepEqual(await admin.json('/trash/empty', { method: 'POST' }), { count: 2 })
  assert.equal((await admin.call(`/assets/${ids[0]}`)).status, 400)
  await admin.call('/assets', json('DELETE', { ids: [ids[2]], force: true }))
  await server.runJobs()
  assert.equal(await held(), withMarker - 3)
  const left = await server.db.selectFrom('stored_object').select('asset_id').execute()
  assert.deepEqual(left, [{ asset_id: ids[3]! }])
  assert.equal((await admin.call(`/assets/${ids[3]}/original`)).status, 200)
})

test('a live photo is one thing: its video is hidden, and goes where the still goes', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const video = await admin.upload(randomBytes(2_000), 'IMG_1.mov')
  const form = new FormData()
  form.set('fileCreatedAt', '2024-01-01T00:00:00.000Z')
  form.set('fileModifiedAt', '2024-01-01T00:00:00.000Z')
  form.set('livePhotoVideoId', video.id)
  form.set('assetData', new Blob([new Uint8Array(jpeg())]), 'IMG_1.jpg')
  const still = await admin.json<{ id: string }>('/assets', { method: 'POST', body: form })
  assert.equal((await admin.json<Asset>(`/assets/${still.id}`)).livePhotoVideoId, video.id)
  assert.equal((await admin.json<Asset>(`/assets/${video.id}`)).visibility, 'hidden')

  await admin.call('/assets', json('DELETE', { ids: [still.id] }))
  assert.equal((await admin.json<Asset>(`/assets/${video.id}`)).isTrashed, true)
  await admin.json('/trash/restore/assets', json('POST', { ids: [still.id] }))
  assert.equal((await admin.json<Asset>(`/assets/${video.id}`)).isTrashed, false)
  await admin.call('/assets', json('DELETE', { ids: [still.id], force: true }))
  assert.deepEqual(await server.db.selectFrom('asset').select('id').execute(), [])
})

test('members of an album look at what is in it, and do no more', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const [shared, own] = (await uploadMany(admin, 2)) as [string, string]
  const friend = await server.newUser('friend')
  await admin.json(
    '/albums',
    json('POST', {
      albumName: 'Lake',
      assetIds: [shared],
      albumUsers: [{ userId: friend.userId, role: 'viewer' }],
    }),
  )
  await admin.json(`/assets/${shared}`, json('PUT', { isFavorite: true }))
  const seen = await friend.json<Asset>(`/assets/${shared}`)
  assert.equal(seen.isFavorite, false, 'a favorite is one to its owner')
  assert.equal((await friend.call(`/assets/${shared}/original`)).status, 200)
  assert.equal((await friend.call(`/assets/${own}`)).status, 400)
  assert.equal((await friend.call(`/assets/${shared}`, json('PUT', { isFavorite: true }))).status, 400)
  assert.equal((await friend.call('/assets', json('DELETE', { ids: [shared] }))).status, 400)
  await admin.call('/assets', json('DELETE', { ids: [shared] }))
  assert.equal((await friend.call(`/assets/${shared}`)).status, 400, 'the trash is not shared')
})

test('a profile picture is made small, served, replaced and removed', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const me = await admin.json<{ id: string; profileImagePath: string }>('/users/me')
  const path = `/users/${me.id}/profile-image`
  assert.equal((await admin.call(path)).status, 404)

  const put = async (bytes: Buffer, name: string) => {
    const form = new FormData()
    form.set('file', new Blob([new Uint8Array(bytes)]), name)
    return admin.call('/users/profile-image', { method: 'POST', body: form })
  }
  const picture = (color: string) =>
    sharp({ create: { width: 900, height: 600, channels: 3, background: color } })
      .png()
      .toBuffer()
  for (const color of ['teal', 'tomato']) {
    const made = await put(await picture(color), 'me.png')
    assert.equal(made.status, 201)
    assertShape(await made.json(), 'CreateProfileImageResponseDto')
  }
  const response = await admin.call(path)
  assert.equal(response.headers.get('content-type'), 'image/jpeg')
  const { width, height } = await sharp(Buffer.from(await response.arrayBuffer())).metadata()
  assert.ok(Math.max(width, height) <= 900 && Math.min(width, height) >= 300)

  assert.equal((await put(randomBytes(500), 'me.png')).status, 400)
  assert.equal((await put(randomBytes(500), 'me.mov')).status, 400)
  await server.runJobs()
  const objects = await server.db.selectFrom('stored_object').select('kind').execute()
  assert.deepEqual(objects, [{ kind: 'profile-image' }], 'the replaced picture is gone')

  assert.equal((await admin.call('/users/profile-image', { method: 'DELETE' })).status, 204)
  assert.equal((await admin.call(path)).status, 404)
  assert.equal((await admin.call('/users/profile-image', { method: 'DELETE' })).status, 400)
})

test('queues are shown, paused and resumed under the names that clients know', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  type Queues = Record<string, { jobCounts: Record<string, number>; queueStatus: { isPaused: boolean } }>
  const command = (name: string, what: string) =>
    admin.call(`/jobs/${name}`, json('PUT', { command: what, force: false }))
  await uploadMany(admin, 2)

  const queues = await admin.json<Queues>('/jobs')
  assertShape(queues, 'QueuesResponseLegacyDto', ['eviction'])
  assert.equal(queues.thumbnailGeneration!.jobCounts.waiting, 2)
  // What immich-go does before every run; one refusal and it gives up.
  for (const name of [
    'thumbnailGeneration',
    'metadataExtraction',
    'videoConversion',
    'faceDetection',
    'smartSearch',
  ]) {
    const paused = await command(name, 'pause')
    assert.equal(paused.status, 200, name)
    assertShape(await paused.json(), 'QueueResponseLegacyDto')
  }
  const paused = (await admin.json<Queues>('/jobs')).metadataExtraction!
  assert.equal(paused.queueStatus.isPaused, true)
  assert.equal(paused.jobCounts.paused, 2)
  for (const name of ['thumbnailGeneration', 'videoConversion', 'smartSearch']) {
    assert.equal((await command(name, 'resume')).status, 200)
  }
  assert.equal((await admin.json<Queues>('/jobs')).metadataExtraction!.queueStatus.isPaused, false)
  assert.equal((await command('eviction', 'pause')).status, 200, 'ours have names, too')
  assert.equal((await command('eviction', 'resume')).status, 200)
  assert.equal((await command('nonsense', 'pause')).status, 400)
  assert.equal((await command('migration', 'empty')).status, 400)
  assert.equal((await command('migration', 'dance')).status, 400)

  await server.runJobs()
  const failed = await admin.call('/jobs/metadataExtraction', json('PUT', { command: 'start', force: false }))
  assert.equal(failed.status, 200)
  const answer = (await failed.json()) as Queues[string]
  assert.equal(answer.jobCounts.waiting, 2, 'both files are broken and are tried again')
})

test('the storage page gets its answers', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  await uploadMany(admin, 2)
  type Status = {
    originals: Record<string, { count: number; bytes: number }>
    locations: { id: string; health: string }[]
  }
  const before = await admin.json<Status>('/storage/status')
  assert.equal(before.originals.localOnly!.count, 2)
  await server.runJobs()
  const after = await admin.json<Status>('/storage/status')
  assert.equal(after.originals.offloaded!.count, 2)
  assert.equal(after.originals.total!.bytes, 2 * 1_004)
  const probed = await admin.json<Status>('/storage/probe', { method: 'POST' })
  assert.deepEqual(
    probed.locations.map(({ id, health }) => [id, health]),
    [
      ['local', 'healthy'],
      ['s3', 'healthy'],
    ],
  )
})

test('lost database connections are a clear 503, and the next request works', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const statuses = new Map<number, number>()
  const bodies = new Set<string>()
  let isOver = false
  const load = Array.from({ length: 6 }, async () => {
    while (!isOver) {
      const response = await admin.call('/assets/statistics')
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
      const text = await response.text()
      if (response.status !== 200) bodies.add(text)
    }
  })
  for (let round = 0; round < 20; round += 1) {
    await server.pool
      .query('select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()')
      .catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
  isOver = true
  await Promise.all(load)
  assert.ok((statuses.get(200) ?? 0) > 0)
  assert.deepEqual(
    [...statuses.keys()].filter((status) => status !== 200 && status !== 503),
    [],
    [...bodies].join('\n'),
  )
  assert.equal((await admin.call('/assets/statistics')).status, 200)
})
