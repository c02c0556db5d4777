/** Two buckets that hold an object under one key, since somebody has copied the one to the other. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { safetyOf } from '../../../src/library/server/words/safety.ts'
import { loadObject, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { everyLocation } from '../../../src/placement/policy.ts'
import { adoptBytes } from '../../../src/placement/replica-io/adopt-bytes.ts'
import { recheckReplica } from '../../../src/placement/replica-io/recheck-replica.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { PROOF } from '../../../src/placement/states.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

/** Originals in both buckets; one copy is enough to give up the local one. */
async function startBuckets(t: TestContext) {
  const database = await testDatabase(t)
  const rig = await testPlacement(database.db, { remotes: ['s3', 'mirror'], originals: ['s3', 'mirror'] })
  database.beforeDrop(() => rig.close())
  const { placement } = rig
  Object.assign(placement, { minCopies: { ...everyLocation(placement.policy), original: 1 } })
  await database.pool.query('update home set min_copies = 1')
  return { ...database, ...rig }
}

test('a copy that nobody looked at does not stand for another one under the same key', async (t) => {
  const { placement, db, remotes } = await startBuckets(t)
  const bytes = randomBytes(50_000)
  const objectId = await ingestBytes(placement, bytes)
  await replicateObject(placement, { objectId, to: 's3' })
  const atS3 = (await loadObject(db, objectId))!.replicas.find(({ locationId }) => locationId === 's3')!
  const [s3, mirror] = [remotes.get('s3')!, remotes.get('mirror')!]
  mirror.inner.held.set(atS3.key, s3.inner.held.get(atS3.key)!)
  const held = (await mirror.backend.head(atS3.key))!
  await db
    .transaction()
    .execute((tx) =>
      adoptBytes(
        tx,
        { objectId, locationId: 'mirror', key: atS3.key },
        { level: PROOF.readBack, proof: { method: 'read-back' }, held, actor: 'adopt' },
      ),
    )
  const all = ['local verified', 'mirror verified', 's3 verified']
  assert.deepEqual(await placesOf(db, objectId), all)
  mirror.backend.head = async () => {
    throw new StorageError('unavailable', 'no answer')
  }
  // Somebody who reads finds out that it is wrong while it is looked at here.
  const { head } = s3.backend
  s3.backend.head = async (...given) => {
    const found = await head(...given)
    await suspectReplica(db, atS3, 'read', 'wrong bytes')
    return found
  }
  await evictReplica(placement, { objectId, from: 'local' }).catch(() => undefined)
  assert.ok((await placesOf(db, objectId)).includes('local verified'))
})

test('where enough copies are right, a location that is configured no more keeps no local file', async (t) => {
  const { placement, db } = await startBuckets(t)
  const objectId = await ingestBytes(placement, randomBytes(50_000))
  for (const to of ['s3', 'mirror']) await replicateObject(placement, { objectId, to })
  ;(placement.locations as Map<string, unknown>).delete('mirror')
  Object.assign(placement, { policy: policyOf(['s3']) })
  await evictReplica(placement, { objectId, from: 'local' })
  assert.deepEqual(await placesOf(db, objectId), ['mirror verified', 's3 verified'])
})

test('the only copy at a location that is configured no more is told, and nothing is given up for it', async (t) => {
  const { placement, db } = await startBuckets(t)
  const objectId = await ingestBytes(placement, randomBytes(50_000))
  await replicateObject(placement, { objectId, to: 'mirror' })
  ;(placement.locations as Map<string, unknown>).delete('mirror')
  Object.assign(placement, { policy: policyOf(['s3']) })
  await assert.rejects(evictReplica(placement, { objectId, from: 'local' }), { code: 'unavailable' })
  assert.deepEqual(await placesOf(db, objectId), ['local verified', 'mirror verified'])
  const before = await storageStatus(placement)
  assert.equal(before.notConfigured.count, 0, 'it can be read here')
  await db
    .updateTable('replica')
    .set({ state: 'suspect', actor: 'test' })
    .where('location_id', '=', 'local')
    .execute()
  const status = await storageStatus(placement)
  assert.deepEqual(status.notConfigured, { count: 1, bytes: 50_000 })
  assert.equal(safetyOf(status, new Date()).tone, 'bad')
})

test('a second look is at the copy that was wrong, and not at one with the same key elsewhere', async (t) => {
  const { placement, db, remotes, mediaLocation } = await startBuckets(t)
  // The order of rows is nobody's promise: each of the two is the one that is wrong.
  for (const wrongAt of ['local', 'mirror']) {
    const bytes = randomBytes(50_000)
    const objectId = await ingestBytes(placement, bytes)
    const { object, replicas } = (await loadObject(db, objectId))!
    const local = replicas[0]!
    // Somebody has copied the media folder into the bucket `mirror`, with its keys.
    const mirror = remotes.get('mirror')!
    mirror.inner.held.set(local.key, { bytes, modifiedAt: new Date() })
    const held = (await mirror.backend.head(local.key))!
    const level = PROOF.readBack
    await db
      .transaction()
      .execute((tx) =>
        adoptBytes(
          tx,
          { objectId, locationId: 'mirror', key: local.key },
          { level, proof: { method: 'read-back' }, held, actor: 'adopt' },
        ),
      )
    const wrong = randomBytes(50_000)
    if (wrongAt === 'local') await writeFile(join(mediaLocation, local.key), wrong)
    else mirror.inner.held.set(local.key, { bytes: wrong, modifiedAt: new Date() })
    for (const replica of (await loadObject(db, objectId))!.replicas) {
      const { answer } = await recheckReplica(placement, object, replica, 'test')
      assert.equal(answer, replica.locationId === wrongAt ? 'different' : 'same')
    }
    assert.deepEqual(
      await placesOf(db, objectId),
      ['local', 'mirror'].map((id) => `${id} ${id === wrongAt ? 'suspect' : 'verified'}`),
    )
  }
})
