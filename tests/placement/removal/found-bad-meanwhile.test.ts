/**
 * While one process asks a bucket for a copy by HEAD, another one reads wrong bytes there. The answer to the
 * HEAD, which the bucket gives from what it noted at the put, does not make that copy a good one again.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { noteBadReplica } from '../../../src/placement/replica-io/mark-bad.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'
import { type ClassBucket, startClassBucket } from '../../support/storage/class-bucket.ts'

let database: TestDatabase
let bucket: ClassBucket
let rig: Awaited<ReturnType<typeof testPlacement>>
beforeEach(async () => {
  database = await testDatabase()
  bucket = await startClassBucket({}, 's3')
  rig = await testPlacement(database.db, { remotes: [], extra: [bucket.location] })
})
afterEach(async () => {
  await rig.close()
  await bucket.close()
  await database.drop()
})

/** In the bucket and here; what is proven of the bucket's copy is another ETag than it has. */
async function inBoth(): Promise<string> {
  const id = await ingestBytes(rig.placement, randomBytes(2_000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await database.pool.query(`update replica set proof = proof || '{"etag": "\\"0123\\""}', verified_at = now() - interval '1 day'
    where location_id = 's3'`)
  return id
}

/** Another process reads the bytes in the bucket while the next HEAD is under way. */
function findBadDuringHead(objectId: string): { wasAsked: boolean } {
  const seen = { wasAsked: false }
  const { backend } = bucket.location
  const { head } = backend
  backend.head = async (key, options) => {
    const held = await head(key, options)
    backend.head = head
    seen.wasAsked = true
    const { replicas } = (await loadObject(database.db, objectId))!
    const replica = replicas.find(({ locationId }) => locationId === 's3')!
    await noteBadReplica(rig.placement, replica, { actor: 'scrub', reason: 'other bytes were read' })
    return held
  }
  return seen
}

test('the copy here is not given up for a copy that was found bad meanwhile', async () => {
  const id = await inBoth()
  const seen = findBadDuringHead(id)
  const eviction = evictReplica(rig.placement, { objectId: id, from: 'local' })
  await assert.rejects(eviction, { name: 'RetryLater' })
  assert.ok(seen.wasAsked)
  assert.deepEqual(await placesOf(database.db, id), ['local verified', 's3 suspect'])
})

test('a listing does not make a copy good again that was found bad meanwhile', async () => {
  const id = await inBoth()
  const seen = findBadDuringHead(id)
  await checkListing(rig.placement, 's3', { isNow: true })
  assert.ok(seen.wasAsked)
  assert.deepEqual(await placesOf(database.db, id), ['local verified', 's3 suspect'])
})
