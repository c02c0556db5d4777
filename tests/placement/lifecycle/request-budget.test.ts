/** What keeping one ledger costs at a bucket: small requests by the minute, and nothing by the photo. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import type { StrictProfile } from 'strict-s3/profiles'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { ageLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { countOf, startClassBucket } from '../../support/storage/class-bucket.ts'

const MINUTES = 4
const PHOTOS_A_MINUTE = 6

async function start(t: TestContext, profile: Partial<StrictProfile>) {
  const database = await testDatabase()
  const bucket = await startClassBucket(profile)
  const rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['bucket'],
    extra: [bucket.location],
    // Nothing expires by the clock: a minute passes when the test says so.
    settings: { counterGoodForMs: 3_600_000, idleAdvanceMs: 7_200_000 },
  })
  t.after(async () => {
    await rig.close()
    await bucket.close()
    await database.drop()
  })
  await checkLocations(rig.placement)
  return { bucket, placement: rig.placement }
}

/** As if what was confirmed, in this process and in the ledger, were older than it is good for. */
async function passMinute(placement: Placement): Promise<void> {
  const { db, settings } = placement
  ageLooks(placement, settings.counterGoodForMs)
  await db
    .updateTable('location_counter')
    .set({ advanced_at: new Date(Date.now() - settings.counterGoodForMs - 60_000) })
    .execute()
}

async function live(placement: Placement): Promise<void> {
  const objectId = await ingestBytes(placement, randomBytes(3_000))
  await replicateObject(placement, { objectId, to: 'bucket' })
  await evictReplica(placement, { objectId, from: 'local' })
}

for (const [what, profile, most, headsAPhoto] of [
  ['that compares and replaces at once', {}, 1, 1],
  ['that can only be compared before', { ignoreConditionalPut: true }, 3, 2],
] as const) {
  test(`A2: the life of a photo costs one PUT and at most one HEAD to prove it, and the counter a few small requests a minute, at a bucket ${what}`, async (t) => {
    const { bucket, placement } = await start(t, profile)
    const ours = (['PutObject', 'HeadObject', 'GetObject', 'ListObjectsV2', 'DeleteObject'] as const).map(
      (name) => countOf(bucket.server, name),
    )
    const small = bucket.server.faults.add({
      match: { key: /^\.glassine-/ },
      fault: { kind: 'delay', ms: 0 },
    })
    bucket.server.counts.reset()
    for (let minute = 0; minute < MINUTES; minute += 1) {
      await passMinute(placement)
      const before = small.hits
      for (let count = 0; count < PHOTOS_A_MINUTE; count += 1) await live(placement)
      await sweepPlacement(placement)
      assert.ok(small.hits - before <= most, `${small.hits - before} small requests in minute ${minute}`)
      assert.ok(small.hits > before, 'it is compared')
      // The check of every minute looks once, and a minute without a write has nothing else.
      const looked = small.hits
      await checkLocations(placement)
      assert.ok(small.hits - looked <= 1, 'one look')
    }
    const photos = MINUTES * PHOTOS_A_MINUTE
    const [puts, heads, gets, lists, deletes] = ours.map(({ hits }) => hits)
    assert.deepEqual([puts, gets, lists, deletes], [photos, 0, 0, 0])
    // Without a condition on the put, one HEAD before it keeps it from overwriting.
    assert.ok(heads! <= photos * headsAPhoto, `${heads} HEADs`)
    assert.equal(bucket.server.counts.total, puts! + heads! + small.hits, 'nothing else is asked')
  })
}
