import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { ExifTool } from 'exiftool-vendored'
import sharp from 'sharp'
import { io } from 'socket.io-client'
import type { Client } from '../../support/client.ts'
import { until } from '../../support/eventually.ts'
import { makeVideo } from '../../support/files/make-video.ts'
import { testMedia } from '../../support/files/media.ts'
import { motionPhoto, samsungJpeg } from '../../support/files/motion-photos.ts'
import { readZip } from '../../support/files/zip.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

type Asset = {
  id: string
  type: 'IMAGE' | 'VIDEO'
  visibility: string
  livePhotoVideoId: string | null
  originalFileName: string
  checksum: string
  thumbhash: string | null
}

const exiftool = new ExifTool({ maxProcs: 1 })
const folder = await mkdtemp(join(tmpdir(), 'glassine-live-photos-'))
after(async () => {
  await exiftool.end()
  await rm(folder, { recursive: true })
})

const json = (method: string, body: unknown) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const assetOf = (client: Client, id: string) => client.json<Asset>(`/assets/${id}`)

/** The id that the still from an iPhone carries among its maker's notes. */
const CONTENT_ID = '1745E022-9712-43C7-B024-F308EC6413CB'

/** A still from an iPhone and a film, both with this id, as the phone writes them. Null: no test media. */
async function applePair(t: TestContext, contentId: string): Promise<{ still: Buffer; film: Buffer } | null> {
  const path = testMedia(t, 'metadata-extractor/heic/IMG_2927.HEIC')
  if (path === null) return null
  const still = await readFile(path)
  const at = still.indexOf(CONTENT_ID)
  assert.ok(at > 0 && contentId.length === CONTENT_ID.length)
  still.write(contentId, at, 'latin1')
  const moving = join(folder, `${contentId}.mov`)
  await makeVideo(moving, { seconds: 1, width: 160, height: 120, codec: 'libx264', soundCodec: 'aac' })
  await exiftool.write(
    moving,
    {},
    {
      writeArgs: [`-Keys:ContentIdentifier=${contentId}`, '-overwrite_original'],
    },
  )
  return { still, film: await readFile(moving) }
}

async function uploadStill(client: Client, bytes: Buffer, name: string, fields: Record<string, string> = {}) {
  const form = new FormData()
  form.set('fileCreatedAt', '2024-01-01T00:00:00.000Z')
  form.set('fileModifiedAt', '2024-01-01T00:00:00.000Z')
  for (const [field, value] of Object.entries(fields)) form.set(field, value)
  form.set('assetData', new Blob([new Uint8Array(bytes)]), name)
  return client.json<{ id: string; status: string }>('/assets', { method: 'POST', body: form })
}

/** What the admin's open page hears. */
async function listen(t: TestContext, server: TestServer): Promise<[string, unknown][]> {
  const heard: [string, unknown][] = []
  const socket = io(server.url, {
    path: '/api/socket.io',
    transports: ['websocket'],
    extraHeaders: { authorization: `Bearer ${server.admin.token}` },
    forceNew: true,
  })
  socket.onAny((event: string, payload: unknown) => heard.push([event, payload]))
  t.after(() => socket.disconnect())
  await until('the page is connected', () => socket.connected)
  return heard
}

const isHeard = (heard: [string, unknown][], event: string, payload: unknown) =>
  until(`${event} is heard`, () => heard.some(([name, what]) => name === event && what === payload))

for (const first of ['still', 'film', 'both at once'] as const) {
  test(`an iPhone's two files belong together: ${first} first`, async (t) => {
    const pair = await applePair(t, randomUUID().toUpperCase())
    if (pair === null) return
    const server = await startTestServer(t)
    const { admin } = server
    const heard = await listen(t, server)
    const ids: Record<'still' | 'film', string> = { still: '', film: '' }
    const order = first === 'film' ? (['film', 'still'] as const) : (['still', 'film'] as const)
    for (const part of order) {
      ids[part] = (await admin.upload(pair[part], part === 'still' ? 'IMG_1.HEIC' : 'IMG_1.MOV')).id
      if (first === 'film' && part === 'film') {
        await admin.json('/albums', json('POST', { albumName: 'Lake', assetIds: [ids.film] }))
      }
      if (first !== 'both at once') await server.runJobs()
    }
    await server.runJobs()
    assert.equal((await assetOf(admin, ids.still)).livePhotoVideoId, ids.film)
    assert.equal((await assetOf(admin, ids.film)).visibility, 'hidden')
    await isHeard(heard, 'on_asset_hidden', ids.film)
    const albums = await admin.json<{ assetCount: number }[]>('/albums')
    assert.ok(
      albums.every(({ assetCount }) => assetCount === 0),
      'the film has left its album',
    )
    const buckets = await admin.json<{ count: number }[]>('/timeline/buckets?visibility=timeline')
    assert.equal(
      buckets.reduce((sum, { count }) => sum + count, 0),
      1,
    )

    // Whoever separates them is not overruled by the files.
    await admin.json(`/assets/${ids.still}`, json('PUT', { livePhotoVideoId: null }))
    assert.equal((await assetOf(admin, ids.film)).visibility, 'timeline')
    await admin.call(
      '/assets/jobs',
      json('POST', { assetIds: [ids.still, ids.film], name: 'refresh-metadata' }),
    )
    await server.runJobs()
    assert.equal((await assetOf(admin, ids.still)).livePhotoVideoId, null)
    assert.equal((await assetOf(admin, ids.film)).visibility, 'timeline')
  })
}

test('what belongs to somebody else, or lies in the trash, is no half of a live photo', async (t) => {
  const pair = await applePair(t, randomUUID().toUpperCase())
  if (pair === null) return
  const server = await startTestServer(t)
  const { admin } = server
  const friend = await server.newUser('friend')
  await friend.upload(pair.film, 'IMG_1.MOV')
  const trashed = await admin.upload(Buffer.concat([pair.film, Buffer.alloc(8)]), 'IMG_2.MOV')
  await server.runJobs()
  await admin.call('/assets', json('DELETE', { ids: [trashed.id] }))
  const still = await admin.upload(pair.still, 'IMG_1.HEIC')
  await server.runJobs()
  assert.equal((await assetOf(admin, still.id)).livePhotoVideoId, null)
})

test('a still that comes again with its film is linked', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const still = await sharp({ create: { width: 80, height: 60, channels: 3, background: '#357' } })
    .jpeg()
    .toBuffer()
  const alone = await uploadStill(admin, still, 'IMG_1.jpg')
  const video = await admin.upload(randomBytes(2_000), 'IMG_1.mov')
  const again = await uploadStill(admin, still, 'IMG_1.jpg', { livePhotoVideoId: video.id })
  assert.deepEqual(again, { id: alone.id, status: 'duplicate' })
  assert.equal((await assetOf(admin, alone.id)).livePhotoVideoId, video.id)
  assert.equal((await assetOf(admin, video.id)).visibility, 'hidden')
  // With another one it stays as it is.
  const other = await admin.upload(randomBytes(2_000), 'IMG_2.mov')
  await uploadStill(admin, still, 'IMG_1.jpg', { livePhotoVideoId: other.id })
  assert.equal((await assetOf(admin, alone.id)).livePhotoVideoId, video.id)
  assert.equal((await assetOf(admin, other.id)).visibility, 'timeline')

  const friend = await server.newUser('friend')
  const theirs = await friend.upload(randomBytes(2_000), 'IMG_3.mov')
  for (const [livePhotoVideoId, words] of [
    [alone.id, /an asset is not its own video/],
    [(await uploadStill(admin, jpegOf(still), 'IMG_4.jpg')).id, /Live photo video must be a video/],
    [theirs.id, /Live photo video does not belong to the user/],
    [randomUUID(), /Live photo video not found/],
  ] as const) {
    const refused = await admin.call(`/assets/${alone.id}`, json('PUT', { livePhotoVideoId }))
    assert.equal(refused.status, 400)
    assert.match(await refused.text(), words)
  }
})

/** The same picture in another file. */
const jpegOf = (jpeg: Buffer) => Buffer.concat([jpeg, randomBytes(4)])

test('the film inside of a photo is an asset of its own, and the photo stays as it is', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const filmPath = join(folder, 'inside.mp4')
  await makeVideo(filmPath, { seconds: 1, width: 160, height: 120, codec: 'libx264', soundCodec: 'aac' })
  const film = await readFile(filmPath)
  const picture = sharp({ create: { width: 400, height: 300, channels: 3, background: '#375' } })
  const photo = motionPhoto(await picture.jpeg().toBuffer(), film, {
    gainMap: await picture.resize(40).jpeg().toBuffer(),
  })
  const { id } = await admin.upload(photo, 'PXL_1.MP.jpg')
  const before = await usage(admin)
  await server.runJobs()

  const still = await assetOf(admin, id)
  assert.equal(await admin.sha256OfOriginal(id), sha256(photo), 'bit for bit')
  assert.ok(still.livePhotoVideoId)
  const moving = await assetOf(admin, still.livePhotoVideoId)
  assert.equal(moving.type, 'VIDEO')
  assert.equal(moving.visibility, 'hidden')
  assert.equal(moving.originalFileName, 'PXL_1.MP.mp4')
  assert.equal(moving.checksum, createHash('sha1').update(film).digest('base64'))
  assert.equal(await admin.sha256OfOriginal(moving.id), sha256(film), 'an object with its own digest')
  const played = await admin.call(`/assets/${moving.id}/video/playback`)
  assert.equal(sha256(Buffer.from(await played.arrayBuffer())), sha256(film))
  assert.equal((await usage(admin)) - before, film.length, "it counts to its owner's quota")

  await t.test('processed again, nothing is doubled', async () => {
    await admin.call('/assets/jobs', json('POST', { assetIds: [id], name: 'refresh-metadata' }))
    await server.runJobs()
    assert.equal((await assetOf(admin, id)).livePhotoVideoId, moving.id)
    assert.equal(await countAssets(server), 2)
  })

  await t.test('it belongs to its photo for good', async () => {
    const refused = await admin.call(`/assets/${id}`, json('PUT', { livePhotoVideoId: null }))
    assert.equal(refused.status, 400)
    assert.match(await refused.text(), /Cannot unlink Android motion photos/)
  })

  await t.test('the same film in another photo is one asset', async () => {
    const other = samsungJpeg(await picture.resize(200).jpeg().toBuffer(), film)
    const second = await admin.upload(other, '20230815.jpg')
    await server.runJobs()
    assert.equal((await assetOf(admin, second.id)).livePhotoVideoId, moving.id)
    assert.equal(await countAssets(server), 3)
    await admin.call('/assets', json('DELETE', { ids: [second.id], force: true }))
    assert.equal(await countAssets(server), 2, 'the other one still uses it')
  })

  await t.test('it goes with its photo', async () => {
    await admin.call('/assets', json('DELETE', { ids: [id], force: true }))
    await server.runJobs()
    assert.equal(await countAssets(server), 0)
    const objects = await server.db.selectFrom('stored_object').select('id').execute()
    assert.equal(objects.length, 0)
  })
})

test('a download has both halves of a live photo, and what is inside of a photo where that is preferred', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const filmPath = join(folder, 'download.mp4')
  await makeVideo(filmPath, { seconds: 1, width: 160, height: 120, codec: 'libx264' })
  const film = await readFile(filmPath)
  const picture = sharp({ create: { width: 400, height: 300, channels: 3, background: '#573' } })
  const video = await admin.upload(randomBytes(2_000), 'IMG_1.mov')
  const apple = await uploadStill(admin, await picture.jpeg().toBuffer(), 'IMG_1.jpg', {
    livePhotoVideoId: video.id,
  })
  const android = await admin.upload(motionPhoto(await picture.png().jpeg().toBuffer(), film), 'PXL_1.jpg')
  await server.runJobs()
  const inside = (await assetOf(admin, android.id)).livePhotoVideoId
  assert.ok(inside)
  const ask = async (client: Client, wish: object) => {
    const { archives, totalSize } = await client.json<{
      totalSize: number
      archives: { size: number; assetIds: string[] }[]
    }>('/download/info', json('POST', wish))
    assert.equal(
      archives.reduce((sum, { size }) => sum + size, 0),
      totalSize,
    )
    return archives.flatMap(({ assetIds }) => assetIds)
  }
  const wish = { assetIds: [apple.id, android.id] }
  assert.deepEqual((await ask(admin, wish)).toSorted(), [apple.id, android.id, video.id].toSorted())
  assert.deepEqual((await ask(admin, wish)).at(-1), video.id, 'films come last')
  const ids = await ask(admin, wish)
  const archive = await admin.call('/download/archive', json('POST', { assetIds: ids }))
  const names = readZip(Buffer.from(await archive.arrayBuffer())).map(({ name }) => name)
  assert.deepEqual(names.toSorted(), ['IMG_1.jpg', 'IMG_1.mov', 'PXL_1.jpg'])

  const { id: userId } = await admin.json<{ id: string }>('/users/me')
  assert.equal((await ask(admin, { userId })).length, 3)
  await admin.json('/users/me/preferences', json('PUT', { download: { includeEmbeddedVideos: true } }))
  assert.deepEqual((await ask(admin, wish)).toSorted(), [...ids, inside].toSorted())

  // Who sees the photo in an album sees it move, and takes both.
  const friend = await server.newUser('friend')
  assert.equal((await friend.call(`/assets/${video.id}`)).status, 400)
  const album = await admin.json<{ id: string }>(
    '/albums',
    json('POST', {
      albumName: 'Lake',
      assetIds: [apple.id],
      albumUsers: [{ userId: friend.userId, role: 'viewer' }],
    }),
  )
  assert.equal((await friend.call(`/assets/${video.id}/original`)).status, 200)
  const theirs = await ask(friend, { albumId: album.id })
  assert.deepEqual(theirs, [apple.id, video.id])
  assert.equal((await friend.call('/download/archive', json('POST', { assetIds: theirs }))).status, 200)
  assert.equal((await friend.call(`/assets/${inside}/original`)).status, 400)
})

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function countAssets(server: TestServer): Promise<number> {
  return (await server.db.selectFrom('asset').select('id').execute()).length
}

async function usage(client: Client): Promise<number> {
  return (await client.json<{ quotaUsageInBytes: number }>('/users/me')).quotaUsageInBytes
}
