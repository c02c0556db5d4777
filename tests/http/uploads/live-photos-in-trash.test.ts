/**
 * A still that is not in the trash keeps its video, whatever else uses that and lies there; and what was
 * acknowledged after it was deleted is not purged with what was deleted before.
 */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { sweepLibrary } from '../../../src/library/server/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { type Answer, sendJson, sendStill, someStill, someVideo } from '../../support/http/live-photos.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

type Asset = {
  isTrashed: boolean
  visibility: string
  livePhotoVideoId: string | null
}

/** A video, and so many stills of it. */
async function startWithLivePhoto(t: TestContext, count: number) {
  const server = await startTestServer(t)
  const film = someVideo()
  const video = await server.admin.upload(film, 'IMG_1.mov')
  const bytes = Array.from({ length: count }, someStill)
  const stills: Answer[] = []
  for (const still of bytes) stills.push(await sendStill(server.admin, still, video.id))
  await server.runJobs()
  return { server, film, videoId: video.id, bytes, ids: stills.map(({ id }) => id) }
}

const trash = ({ admin }: TestServer, ids: string[]) => sendJson(admin, 'DELETE', '/assets', { ids })
const deleteForGood = ({ admin }: TestServer, ids: string[]) =>
  sendJson(admin, 'DELETE', '/assets', { ids, force: true })
const restore = ({ admin }: TestServer, ids: string[]) =>
  sendJson(admin, 'POST', '/trash/restore/assets', { ids })

const ENDS: Record<string, (server: TestServer) => Promise<unknown>> = {
  'the trash is emptied': ({ admin }) => sendJson(admin, 'POST', '/trash/empty'),
  'its time is over': async ({ db, pool, placement }) => {
    await pool.query(`update asset set deleted_at = now() - interval '31 days' where deleted_at is not null`)
    await sweepLibrary({ db, placement, log: silentLog })
  },
}

async function look({ admin }: TestServer, id: string) {
  const { isTrashed, visibility } = await admin.json<Asset>(`/assets/${id}`)
  return { isTrashed, visibility, original: (await admin.call(`/assets/${id}/original`)).status }
}
const HIDDEN = { isTrashed: false, visibility: 'hidden', original: 200 }
const SHOWN = { ...HIDDEN, visibility: 'timeline' }

async function idsLeft({ db }: TestServer): Promise<string[]> {
  return (await db.selectFrom('asset').select('id').execute()).map(({ id }) => id)
}

for (const how of ['restored by hand', 'sent again'] as const) {
  for (const [end, pass] of Object.entries(ENDS)) {
    test(`the video of a still that was ${how} stays when ${end}, though its other still lies in the trash`, async (t) => {
      const { server, videoId, bytes, ids } = await startWithLivePhoto(t, 2)
      await trash(server, ids)
      if (how === 'restored by hand') await restore(server, [ids[1]!])
      else assert.equal((await sendStill(server.admin, bytes[1]!, videoId)).status, 'duplicate')
      assert.deepEqual(await look(server, videoId), HIDDEN)
      await pass(server)
      await server.runJobs()
      assert.deepEqual(await look(server, videoId), HIDDEN)
      const still = await server.admin.json<Asset>(`/assets/${ids[1]}`)
      assert.equal(still.livePhotoVideoId, videoId)
      assert.equal((await idsLeft(server)).length, 2)
    })
  }
}

test('stills that come back one by one bring their video', async (t) => {
  const { server, videoId, ids } = await startWithLivePhoto(t, 2)
  await trash(server, ids)
  for (const id of ids) await restore(server, [id])
  await ENDS['its time is over']!(server)
  await server.runJobs()
  assert.deepEqual(await look(server, videoId), HIDDEN)
})

test('stills that are deleted one after the other take their video along with the last', async (t) => {
  const { server, videoId, ids } = await startWithLivePhoto(t, 2)
  await trash(server, [ids[0]!])
  assert.deepEqual(await look(server, videoId), HIDDEN)
  await trash(server, [ids[1]!])
  assert.equal((await look(server, videoId)).isTrashed, true)
  await ENDS['the trash is emptied']!(server)
  assert.deepEqual(await idsLeft(server), [])
})

test('a video whose other still lies in the trash waits there when the last is deleted for good', async (t) => {
  const { server, videoId, ids } = await startWithLivePhoto(t, 2)
  await trash(server, [ids[0]!])
  await deleteForGood(server, [ids[1]!])
  assert.equal((await look(server, videoId)).isTrashed, true)
  await restore(server, [ids[0]!])
  assert.deepEqual(await look(server, videoId), HIDDEN)
  await deleteForGood(server, [ids[0]!])
  assert.deepEqual(await idsLeft(server), [])
})

for (const how of ['uploaded with', 'linked to'] as const) {
  test(`a still that is ${how} a video in the trash takes it out`, async (t) => {
    const { server, videoId } = await startWithLivePhoto(t, 0)
    await trash(server, [videoId])
    if (how === 'uploaded with')
      assert.equal((await sendStill(server.admin, someStill(), videoId)).status, 'created')
    else {
      const { id } = await sendStill(server.admin, someStill(), null)
      assert.equal(
        (await sendJson(server.admin, 'PUT', `/assets/${id}`, { livePhotoVideoId: videoId })).status,
        200,
      )
    }
    assert.deepEqual(await look(server, videoId), HIDDEN)
    await ENDS['the trash is emptied']!(server)
    await server.runJobs()
    assert.deepEqual(await look(server, videoId), HIDDEN)
  })
}

const ENDS_OF_A_STILL = {
  ...ENDS,
  'the still alone is deleted for good': (server: TestServer, id: string) => deleteForGood(server, [id]),
  'the still is deleted once more, and then the trash is emptied': async (server: TestServer, id: string) => {
    await trash(server, [id])
    await ENDS['the trash is emptied']!(server)
  },
}

for (const [end, pass] of Object.entries(ENDS_OF_A_STILL)) {
  test(`a video that was uploaded again since its still is in the trash stays, and is shown, when ${end}`, async (t) => {
    const { server, film, videoId, ids } = await startWithLivePhoto(t, 1)
    await trash(server, ids)
    const again = await server.admin.upload(film, 'IMG_1.mov')
    assert.deepEqual(again, { id: videoId, status: 'duplicate' })
    await pass(server, ids[0]!)
    await server.runJobs()
    assert.deepEqual(await idsLeft(server), [videoId])
    assert.deepEqual(await look(server, videoId), SHOWN)
  })
}

test('a video that is deleted by its own id goes with its still, or by that id alone', async (t) => {
  const { server, videoId, ids } = await startWithLivePhoto(t, 1)
  await trash(server, [videoId])
  await ENDS['the trash is emptied']!(server)
  assert.deepEqual(await look(server, videoId), { ...HIDDEN, isTrashed: true })
  await deleteForGood(server, [videoId])
  assert.deepEqual(await idsLeft(server), ids)
})

test('a still that gets another video leaves its first one to be seen', async (t) => {
  const { server, videoId, ids } = await startWithLivePhoto(t, 2)
  const other = await server.admin.upload(someVideo(), 'IMG_2.mov')
  const relink = (id: string) =>
    sendJson(server.admin, 'PUT', `/assets/${id}`, { livePhotoVideoId: other.id })
  await relink(ids[0]!)
  assert.deepEqual(await look(server, videoId), HIDDEN, 'the other still has it')
  await relink(ids[1]!)
  assert.deepEqual(await look(server, videoId), SHOWN)
  assert.deepEqual(await look(server, other.id), HIDDEN)
})

/** Whoever changes assets waits before the commit, until `go`. */
async function holdChanges({ pool }: TestServer) {
  await pool.query(`
    create function wait() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock_shared(1); return null; end $$;
    create trigger wait after update on asset for each statement execute function wait()`)
  const holder = await pool.connect()
  await holder.query('select pg_advisory_lock(1)')
  return {
    untilWaiting: (count: number) => untilLockIsAwaited(pool, count),
    async go(): Promise<void> {
      await holder.query('select pg_advisory_unlock(1)')
      holder.release()
    },
  }
}

test('of two stills one comes back at the moment in which the other is deleted: the video stays', async (t) => {
  const { server, videoId, ids } = await startWithLivePhoto(t, 2)
  await trash(server, [ids[1]!])
  const changes = await holdChanges(server)
  const deleting = trash(server, [ids[0]!])
  await changes.untilWaiting(1)
  const restoring = restore(server, [ids[1]!])
  await changes.untilWaiting(2)
  await changes.go()
  assert.deepEqual([(await deleting).status, (await restoring).status], [204, 200])
  assert.deepEqual(await look(server, videoId), HIDDEN)
})
