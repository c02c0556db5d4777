/** Films that came inside of a photo, beside what their owner does with the photo or has sent by itself. */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import sharp from 'sharp'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { makeVideo } from '../../support/files/make-video.ts'
import { motionPhoto } from '../../support/files/motion-photos.ts'
import { ask, confirm, send, show, startDirectServer } from '../../support/http/direct-upload.ts'
import { sendJson, someVideo } from '../../support/http/live-photos.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

let folder: string
let film: Buffer
let photo: Buffer

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'glassine-embedded-'))
  const path = join(folder, 'film.mp4')
  await makeVideo(path, { seconds: 1, width: 160, height: 120, codec: 'libx264' })
  film = await readFile(path)
  const picture = sharp({ create: { width: 320, height: 240, channels: 3, background: '#4af' } })
  photo = motionPhoto(await picture.jpeg().toBuffer(), film)
})
after(() => rm(folder, { recursive: true }))

type Row = { id: string; type: string; visibility: string; isTrashed: boolean; filmId: string | null }

async function rowsOf({ pool }: TestServer): Promise<Row[]> {
  const { rows } = await pool.query<Row>(
    `select id, type, visibility, deleted_at is not null as "isTrashed", live_photo_video_id as "filmId" from asset`,
  )
  return rows
}

async function deleteForGood(server: TestServer, id: string): Promise<void> {
  await sendJson(server.admin, 'DELETE', '/assets', { ids: [id] })
  await sendJson(server.admin, 'POST', '/trash/empty')
  await server.runJobs()
}

for (const when of ['before', 'after'] as const)
  test(`a film that was sent by itself ${when} its photo is seen, and outlives the photo`, async (t) => {
    const server = await startTestServer(t)
    if (when === 'before') await server.admin.upload(film, 'mine.mp4')
    await server.runJobs()
    const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
    await server.runJobs()
    if (when === 'after') {
      const { status } = await server.admin.upload(film, 'mine.mp4')
      assert.equal(status, 'duplicate')
    }
    const video = (await rowsOf(server)).find(({ type }) => type === 'VIDEO')!
    assert.equal(video.visibility, 'timeline')
    assert.equal((await rowsOf(server)).find((one) => one.id === id)!.filmId, video.id, 'the photo moves')
    await deleteForGood(server, id)
    assert.deepEqual(
      (await rowsOf(server)).map((one) => [one.id, one.isTrashed]),
      [[video.id, false]],
    )
    assert.equal((await server.admin.call(`/assets/${video.id}/original`)).status, 200)
  })

test('a photo that was trashed before it was read takes its film along', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
  await sendJson(server.admin, 'DELETE', '/assets', { ids: [id] })
  await server.runJobs()
  assert.deepEqual(
    (await rowsOf(server)).map(({ isTrashed }) => isTrashed),
    [true, true],
  )
  await sendJson(server.admin, 'POST', '/trash/empty')
  await server.runJobs()
  assert.deepEqual(await rowsOf(server), [])
})

test('a video that the user links while the film is taken out stays linked', async (t) => {
  const server = await startTestServer(t)
  const { id: videoId } = await server.admin.upload(someVideo(), 'mine.mov')
  await server.runJobs()
  const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
  const files = server.placement.local.backend.localFiles!
  const { adopt } = files
  files.adopt = async (...given) => {
    files.adopt = adopt
    await sendJson(server.admin, 'PUT', `/assets/${id}`, { livePhotoVideoId: videoId })
    return adopt.apply(files, given)
  }
  await server.runJobs()
  assert.equal((await rowsOf(server)).find((one) => one.id === id)!.filmId, videoId)
  assert.equal((await rowsOf(server)).length, 2, 'no second film')
})

test('a film that is announced directly, and is a part of a photo only, outlives the photo', async (t) => {
  const server = await startDirectServer(t)
  const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
  await server.runJobs()
  assert.equal((await ask(server.admin, film, 'mine.mp4')).status, 'duplicate')
  await deleteForGood(server, id)
  assert.deepEqual(
    (await rowsOf(server)).map(({ type, isTrashed }) => [type, isTrashed]),
    [['VIDEO', false]],
  )
})

test('a film that is sent while its photo is read outlives the photo', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
  const files = server.placement.local.backend.localFiles!
  const { adopt } = files
  files.adopt = async (...given) => {
    files.adopt = adopt
    await server.runJobs()
    return adopt.apply(files, given)
  }
  assert.equal((await server.admin.upload(film, 'mine.mp4')).status, 'duplicate')
  await deleteForGood(server, id)
  assert.deepEqual(
    (await rowsOf(server)).map(({ type, isTrashed }) => [type, isTrashed]),
    [['VIDEO', false]],
  )
})

test('a film whose copy was lost, and that a direct upload has repaired, outlives its photo', async (t) => {
  const server = await startDirectServer(t)
  const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
  await server.runJobs()
  await server.pool.query(`update replica set state = 'suspect' where state = 'verified' and object_id in (
    select original_object_id from asset where type = 'VIDEO')`)
  const upload = await ask(server.admin, film, 'mine.mp4')
  await send(upload.put!, film)
  await confirm(server.admin, upload.id)
  await server.runJobs()
  assert.equal((await show(server.admin, upload.id)).state, 'duplicate')
  await deleteForGood(server, id)
  assert.deepEqual(
    (await rowsOf(server)).map(({ type, isTrashed }) => [type, isTrashed]),
    [['VIDEO', false]],
  )
})

test('a film of a locked photo that is sent by itself stays in the locked folder', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
  await server.runJobs()
  await server.pool.query(`update asset set visibility = 'locked' where id = $1`, [id])
  assert.equal((await server.admin.upload(film, 'mine.mp4')).status, 'duplicate')
  assert.deepEqual(
    (await rowsOf(server)).map(({ visibility }) => visibility),
    ['locked', 'locked'],
  )
})

test('a film that its user has taken from its photo is not given back when the photo is read again', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
  await server.runJobs()
  await server.admin.upload(film, 'mine.mp4')
  const unlinked = await sendJson(server.admin, 'PUT', `/assets/${id}`, { livePhotoVideoId: null })
  assert.equal(unlinked.status, 200)
  await sendJson(server.admin, 'POST', '/assets/jobs', { assetIds: [id], name: 'refresh-metadata' })
  await server.runJobs()
  assert.equal((await rowsOf(server)).find((one) => one.id === id)!.filmId, null)
})

test('a photo that is deleted while its film is taken out of it takes the film along', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(photo, 'PXL_1.jpg')
  const files = server.placement.local.backend.localFiles!
  const { adopt } = files
  let deletion: Promise<Response> | undefined
  const holder = await server.pool.connect()
  t.after(() => holder.release())
  files.adopt = async (...given) => {
    files.adopt = adopt
    await holder.query('begin')
    await holder.query('select from asset where id = $1 for update', [id])
    void (async () => {
      await untilLockIsAwaited(server.pool, 1)
      deletion = sendJson(server.admin, 'DELETE', '/assets', { ids: [id] })
      await untilLockIsAwaited(server.pool, 2)
      await holder.query('commit')
    })()
    return adopt.apply(files, given)
  }
  await server.runJobs()
  await deletion
  assert.deepEqual(
    (await rowsOf(server)).map(({ isTrashed }) => isTrashed),
    [true, true],
  )
})
