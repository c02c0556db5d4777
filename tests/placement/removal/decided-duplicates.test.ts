/**
 * A duplicate waits for the other copy of its bytes to be confirmed. When the owner of the bytes deletes that
 * one for good, the decision is about all of them.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { beforeEach, test } from 'node:test'
import type { PurgeReason } from '../../../src/database/schema.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { hasJob } from '../../../src/queue/find-jobs.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
let bytes: Buffer
let ownerId: string

beforeEach(async () => {
  bytes = randomBytes(2_000)
  ownerId = randomUUID()
})

const inBucket = (owner = ownerId) => rig.ingestOffloaded(bytes, { ownerId: owner })
const mark = (id: string, reason: PurgeReason) =>
  rig.db.transaction().execute((tx) => markForPurge(tx, [id], reason))
const purge = (objectId: string) => purgeObject(rig.placement, { objectId })
const heldInBucket = () => rig.s3().inner.held.size

/** For bytes that are not a day old no twin in a bucket counts, so it waits. */
async function waitingDuplicate(owner = ownerId): Promise<string> {
  const id = await inBucket(owner)
  await mark(id, 'duplicate')
  await assert.rejects(purge(id), RetryLater)
  return id
}

test('a duplicate that waits goes with the photo that its owner deletes for good', async () => {
  const photo = await inBucket()
  const duplicate = await waitingDuplicate()
  await mark(photo, 'user')
  await rig.pool.query('delete from graphile_worker._private_jobs')
  await purge(photo)
  assert.equal(await hasJob(rig.db, 'purge-object', { objectId: duplicate }), true)
  await purge(duplicate)
  assert.equal(await loadObject(rig.db, duplicate), null)
  assert.equal(heldInBucket(), 0)
})

test('of two photos with the same bytes that are deleted at once, the last one takes the duplicate along', async () => {
  const photos = [await inBucket(), await inBucket()]
  const duplicate = await waitingDuplicate()
  await Promise.all(photos.map((id) => mark(id, 'user')))
  await Promise.all(photos.map(purge))
  await purge(duplicate)
  assert.equal(heldInBucket(), 0)
})

test('a duplicate goes on waiting for a photo that is there, for one of somebody else, and for no decision', async () => {
  const [first, second] = [await inBucket(), await inBucket()]
  const duplicate = await waitingDuplicate()
  const others = await waitingDuplicate(randomUUID())
  await mark(first, 'user')
  await purge(first)
  await assert.rejects(purge(duplicate), RetryLater)
  // A newer file stands for it: nobody has deleted these bytes.
  await mark(second, 'replaced')
  await purge(second)
  await assert.rejects(purge(duplicate), RetryLater)
  await assert.rejects(purge(others), RetryLater)
  assert.deepEqual(await rig.places(duplicate), ['s3 verified'])
  assert.equal(heldInBucket(), 2)
})

test('what was decided so is removed by the rules of any removal: not where another ledger is', async () => {
  const photo = await inBucket()
  const duplicate = await waitingDuplicate()
  await mark(photo, 'user')
  await purge(photo)
  await rig.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  forgetLooks(rig.placement)
  await assert.rejects(purge(duplicate), { code: 'conflict' })
  assert.equal(heldInBucket(), 1)
})
