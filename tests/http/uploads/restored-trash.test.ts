/**
 * What was taken out of the trash since a backup lies in it again when that is put back, and its time runs.
 * So whoever was told that it is out of the trash changes what the ledger promises, and the places must show
 * to the older ledger that it is older.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { sweepLibrary } from '../../../src/library/server/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { ageLooks, forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { forgetSeen } from '../../../src/placement/locations/counter/moved-installation.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { confirmLocation } from '../../../src/placement/locations/locations.ts'
import type { Client } from '../../support/client.ts'
import { restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import { until } from '../../support/eventually.ts'
import {
  ask,
  confirm,
  type DirectServer,
  hashOf,
  send,
  show,
  startDirectServer,
} from '../../support/http/direct-upload.ts'
import { sendStill, someStill, someVideo } from '../../support/http/live-photos.ts'
import { photo } from '../../support/server-with-bucket.ts'

/** No minute and no ten minutes pass, but when the test says so. */
const SETTINGS = { counterGoodForMs: 3_600_000, idleAdvanceMs: 36_000_000 }

type Trashed = { server: DirectServer; id: string; bytes: Buffer; beganAs: Awaited<ReturnType<typeof ask>> }

const post = (client: Client, path: string, body?: unknown, method = 'POST') =>
  client.call(path, {
    method,
    ...(body !== undefined && {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  })

const PHOTO = { fileName: 'photo.jpg', make: () => photo() }
const VIDEO = { fileName: 'film.mov', make: someVideo }

/** A photo that is in the bucket alone, and in the trash. */
async function startWithTrashed(
  t: TestContext,
  { fileName, make }: { fileName: string; make: () => Buffer | Promise<Buffer> } = PHOTO,
): Promise<Trashed> {
  const server = await startDirectServer(t, { settings: SETTINGS })
  const bytes = await make()
  // Asked for before the photo is there, so that it is no duplicate.
  const beganAs = await ask(server.admin, bytes, fileName)
  await send(beganAs.put!, bytes)
  const { id } = await server.admin.upload(bytes, fileName)
  await server.runJobs()
  assert.equal((await post(server.admin, '/assets', { ids: [id] }, 'DELETE')).status, 204)
  return { server, id, bytes, beganAs }
}

/** As if the last comparison of the counters were older than it is good for, and less than the idle time. */
async function passMinute({ placement, pool }: DirectServer): Promise<void> {
  ageLooks(placement, SETTINGS.counterGoodForMs)
  await pool.query(
    `update location_counter set advanced_at = now() - ${SETTINGS.counterGoodForMs + 60_000} * interval '1 millisecond'`,
  )
}

const countsAtBucket = async ({ pool }: DirectServer) => {
  const { rows } = await pool.query<{ value: number }>(
    `select value::int from location_counter where location_id = 's3'`,
  )
  return rows[0]!.value
}

const isTrashed = async ({ admin }: DirectServer, id: string) =>
  (await admin.json<{ isTrashed: boolean }>(`/assets/${id}`)).isTrashed

type Backup = { ledger: Awaited<ReturnType<typeof takeSnapshot>>; counter: string }

/** Of the database, and of the counter in the media folder: as of the whole data folder. */
async function takeBackup({ pool, placement }: DirectServer): Promise<Backup> {
  const ledger = await takeSnapshot(pool)
  return { ledger, counter: (await placement.local.backend.readCounter())!.text }
}

/**
 * The backup is put back, its trash is old by then, and the server starts. How many photos its sweep takes.
 */
async function purgedAfterRestore(
  { db, pool, placement }: DirectServer,
  { ledger, counter }: Backup,
): Promise<number> {
  const { backend } = placement.local
  await restoreSnapshot(pool, ledger)
  await backend.writeCounter(counter, (await backend.readCounter())!.version)
  await pool.query(`update asset set deleted_at = now() - interval '31 days' where deleted_at is not null`)
  forgetLooks(placement)
  forgetSeen(placement)
  const { purgedFromTrash } = await sweepLibrary({ db, placement, log: silentLog })
  assert.equal(await conflictAt({ pool }, 'local'), null, 'that one is as old as the database')
  return purgedFromTrash
}

async function conflictAt({ pool }: Pick<DirectServer, 'pool'>, locationId: string): Promise<string | null> {
  const { rows } = await pool.query<{ conflict: string | null }>(
    'select conflict from location_counter where location_id = $1',
    [locationId],
  )
  return rows[0]!.conflict
}

const DOORS: Record<string, (trashed: Trashed) => Promise<unknown>> = {
  'the bytes are sent': ({ server, bytes }) => server.admin.upload(bytes, 'photo.jpg'),
  'its checksum is announced in a header': ({ server: { admin }, bytes }) =>
    admin.call('/assets', { method: 'POST', headers: { 'x-immich-checksum': hashOf('sha1', bytes) } }),
  'a direct upload is announced': ({ server, bytes }) => ask(server.admin, bytes, 'photo.jpg'),
  'a direct upload of it is confirmed': async ({ server, id, beganAs }) => {
    await confirm(server.admin, beganAs.id)
    await server.runJobs()
    const { state, assetId } = await show(server.admin, beganAs.id)
    assert.deepEqual([state, assetId], ['duplicate', id])
  },
  'it is restored': ({ server, id }) => post(server.admin, '/trash/restore/assets', { ids: [id] }),
  'all of the trash is restored': ({ server }) => post(server.admin, '/trash/restore'),
}

/** Of the video of a live photo, whose still is not in the trash. */
const DOORS_OF_A_VIDEO: typeof DOORS = {
  'its still is uploaded': async ({ server, id }) => {
    assert.equal((await sendStill(server.admin, someStill(), id)).status, 'created')
  },
  'its still is uploaded directly': async ({ server, id }) => {
    const still = await photo()
    const began = await ask(server.admin, still, 'photo.jpg', { livePhotoVideoId: id })
    await send(began.put!, still)
    await confirm(server.admin, began.id)
    await server.runJobs()
    assert.equal((await show(server.admin, began.id)).state, 'done')
  },
  'a still is linked to it': async ({ server, id }) => {
    const still = await sendStill(server.admin, someStill(), null)
    await passMinute(server)
    const answer = await post(server.admin, `/assets/${still.id}`, { livePhotoVideoId: id }, 'PUT')
    assert.equal(answer.status, 200)
  },
}

const ALL_DOORS = [
  ...Object.entries(DOORS).map(([door, pass]) => ({ what: 'a photo', file: PHOTO, door, pass })),
  ...Object.entries(DOORS_OF_A_VIDEO).map(([door, pass]) => ({
    what: 'a video',
    file: VIDEO,
    door,
    pass,
  })),
]
for (const { what, file, door, pass } of ALL_DOORS) {
  test(`S1: ${what} that leaves the trash since ${door} is not purged by a ledger of before that`, async (t) => {
    const trashed = await startWithTrashed(t, file)
    const { server, id } = trashed
    await passMinute(server)
    const backup = await takeBackup(server)
    await pass(trashed)
    assert.equal(await isTrashed(server, id), false)
    assert.equal(await purgedAfterRestore(server, backup), 0)
    assert.equal(await conflictAt(server, 's3'), 'another-ledger')
    assert.equal((await server.admin.call(`/assets/${id}/original`)).status, 200)
  })
}

test('S1: a ledger of after that is in no conflict', async (t) => {
  const { server, id } = await startWithTrashed(t)
  await passMinute(server)
  await post(server.admin, '/trash/restore/assets', { ids: [id] })
  const backup = await takeBackup(server)
  assert.equal(await purgedAfterRestore(server, backup), 0)
  assert.equal(await conflictAt(server, 's3'), null)
})

test('S1: within a minute of the last advance it costs nothing, and the next check advances', async (t) => {
  const { server, id } = await startWithTrashed(t)
  const { admin, bucket, placement } = server
  await passMinute(server)
  await confirmLocation(placement, placement.locations.get('s3')!)
  const before = await countsAtBucket(server)
  const backup = await takeBackup(server)
  bucket.counts.reset()
  await post(admin, '/trash/restore/assets', { ids: [id] })
  assert.deepEqual(bucket.counts.requests, {})
  await checkLocations(placement)
  assert.equal(await countsAtBucket(server), before, 'not more than one in a minute')
  await passMinute(server)
  await checkLocations(placement)
  assert.equal(await countsAtBucket(server), before + 1)
  await passMinute(server)
  await checkLocations(placement)
  assert.equal(await countsAtBucket(server), before + 1, 'once for all that was promised')
  assert.equal(await purgedAfterRestore(server, backup), 0)
  assert.equal(await conflictAt(server, 's3'), 'another-ledger')
})

test('S1: thirty photos that leave the trash at once cost one small request', async (t) => {
  const server = await startDirectServer(t, { settings: SETTINGS })
  const { admin, bucket } = server
  const ids = await Promise.all(
    Array.from({ length: 30 }, async () => (await admin.upload(await photo(), 'photo.jpg')).id),
  )
  await server.runJobs()
  await post(admin, '/assets', { ids }, 'DELETE')
  await passMinute(server)
  bucket.counts.reset()
  const answers = await Promise.all(ids.map((id) => post(admin, '/trash/restore/assets', { ids: [id] })))
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  assert.deepEqual(bucket.counts.requests, { PutObject: 1 })
})

test('S1: a bucket that does not answer keeps nobody from restoring; the advance is made up for', async (t) => {
  const { server, id } = await startWithTrashed(t)
  const { admin, bucket, placement } = server
  await passMinute(server)
  const backup = await takeBackup(server)
  const fault = bucket.faults.add({ match: {}, fault: { kind: 'status', status: 503, code: 'SlowDown' } })
  assert.equal((await post(admin, '/trash/restore/assets', { ids: [id] })).status, 200)
  fault.remove()
  placement.locations.get('s3')!.breaker?.close()
  await checkLocations(placement)
  assert.equal(await purgedAfterRestore(server, backup), 0)
  assert.equal(await conflictAt(server, 's3'), 'another-ledger')
})

test('S1: where the advance finds another ledger, what lies there is no duplicate for who has sent nothing', async (t) => {
  const { server, id, bytes } = await startWithTrashed(t)
  const { admin, pool } = server
  const snapshot = await takeSnapshot(pool)
  await passMinute(server)
  await post(admin, '/trash/restore/assets', { ids: [id] })
  // The older one answers, and has not looked yet.
  await restoreSnapshot(pool, snapshot)
  await passMinute(server)
  assert.equal(
    (await ask(admin, bytes, 'photo.jpg').catch((error: Error) => ({ status: error.message }))).status ===
      'duplicate',
    false,
  )
  assert.equal(await conflictAt(server, 's3'), 'another-ledger')
})

test('S1: a direct upload is called a duplicate of a photo in the trash when the places show that it is out of it', async (t) => {
  const trashed = await startWithTrashed(t)
  const { server, id, beganAs } = trashed
  const { admin, bucket, placement } = server
  // Its copy is here, so that nobody asks the bucket for it.
  const { original_object_id: objectId } = await server.db
    .selectFrom('asset')
    .select('original_object_id')
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  Object.assign(placement.policy, { original: ['local', 's3'] })
  await replicateObject(placement, { objectId, to: 'local' })
  await confirm(admin, beganAs.id)
  // A minute passes while what was uploaded is read.
  const [reading, showing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  bucket.faults.add({
    match: { operation: 'GetObject', key: /\/original\./ },
    fault: { kind: 'hold', until: reading.promise },
  })
  bucket.faults.add({ match: { operation: 'PutObject' }, fault: { kind: 'hold', until: showing.promise } })
  bucket.counts.reset()
  const jobs = server.runJobs()
  try {
    await until('it is read', () => (bucket.counts.requests.GetObject ?? 0) > 0)
    await passMinute(server)
    reading.resolve()
    await until('the counter is put', () => (bucket.counts.requests.PutObject ?? 0) > 0)
    assert.equal((await show(admin, beganAs.id)).state, 'received')
  } finally {
    bucket.faults.clear()
    reading.resolve()
    showing.resolve()
    await jobs
  }
  assert.deepEqual([(await show(admin, beganAs.id)).state, await isTrashed(server, id)], ['duplicate', false])
})
