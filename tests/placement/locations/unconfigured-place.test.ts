/** The configuration names a place no more that still holds files: a bucket was given up, or is forgotten. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { sweepLibrary } from '../../../src/library/server/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { receiptOf } from '../../../src/placement/reports/receipt.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { startTestServer } from '../../support/server.ts'

/** Originals here and in a bucket, of which a process that starts now knows nothing. */
async function startWithoutBucket(bytes: Buffer, { originals }: { originals: string[] }) {
  const database = await testDatabase()
  const before = await testPlacement(database.db, { settings: { deleteLocalAfterUpload: false } })
  const objectId = await ingestBytes(before.placement, bytes)
  await replicateObject(before.placement, { objectId, to: 's3' })
  assert.deepEqual(await placesOf(database.db, objectId), ['local verified', 's3 verified'])
  const remotes = originals.filter((id) => id !== 'local')
  const { mediaLocation } = before
  const now = await testPlacement(database.db, { remotes, originals, mediaLocation })
  return {
    ...now,
    db: database.db,
    objectId,
    async end() {
      await now.close()
      await before.close()
      await database.drop()
    },
  }
}

test('an original whose bucket is not configured any more is read from the disk', async (t) => {
  const bytes = randomBytes(2_000_000)
  const rig = await startWithoutBucket(bytes, { originals: ['local'] })
  t.after(rig.end)
  const object = await findServable(rig.placement, rig.objectId)
  assert.equal(object.remoteSource(), null)
  const wish = { contentType: '', contentDisposition: '', browserOfUserId: null, pageOrigin: null }
  assert.equal(await object.redirectTarget({ ...wish, canReach: () => true }), null)
  assert.deepEqual(await buffer(await object.open()), bytes)
  const { replicas } = await receiptOf(rig.placement, rig.objectId)
  assert.deepEqual(replicas.map(({ location, locationKind }) => `${location} ${locationKind}`).sort(), [
    'local disk',
    's3 null',
  ])
})

test('an original whose bucket is not configured any more is copied from the disk to another bucket', async (t) => {
  const rig = await startWithoutBucket(randomBytes(2_000), { originals: ['a-bucket'] })
  t.after(rig.end)
  // As the rows may come.
  await rig.db.updateTable('replica').set({ actor: 'test' }).where('location_id', '=', 'local').execute()
  await replicateObject(rig.placement, { objectId: rig.objectId, to: 'a-bucket' })
  assert.deepEqual(await placesOf(rig.db, rig.objectId), [
    'a-bucket verified',
    'local verified',
    's3 verified',
  ])
})

test('nothing is purged by time while a place that holds files is not configured', async (t) => {
  const server = await startTestServer(t, { settings: { deleteLocalAfterUpload: false } })
  const { admin, pool, placement, db } = server
  const { id } = await admin.upload(randomBytes(1_000), 'photo.jpg')
  await server.runJobs()
  await pool.query(`update asset set deleted_at = now() - interval '31 days' where id = $1`, [id])
  const locations = placement.locations as Map<string, ReturnType<typeof placement.locations.get>>
  const bucket = locations.get('s3')
  locations.delete('s3')
  const sweep = () => sweepLibrary({ db, placement, log: silentLog })
  assert.equal((await sweep()).purgedFromTrash, 0, 'a newer database may have used it meanwhile')
  locations.set('s3', bucket)
  assert.equal((await sweep()).purgedFromTrash, 1)
})
