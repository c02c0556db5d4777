/** A restore is asked after at a bucket that became another one since the last look at it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { checkRestores } from '../../../src/placement/classes/check-restores.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { confirmLocation } from '../../../src/placement/locations/locations.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { startClassBucket } from '../../support/storage/class-bucket.ts'

async function open() {
  const database = await testDatabase()
  const bucket = await startClassBucket({}, 's3')
  const rig = await testPlacement(database.db, { remotes: [], extra: [bucket.location] })
  const id = await ingestBytes(rig.placement, randomBytes(2_000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await database.pool.query(
    `insert into replica_restore (object_id, location_id, tier, days, requested_at, expected_at, accepted_at, check_at)
     values ($1, 's3', 'bulk', 2, now(), now(), now(), now() - interval '1 minute')`,
    [id],
  )
  return {
    ...rig,
    id,
    bucket,
    database,
    async close() {
      await rig.close()
      await bucket.close()
      await database.drop()
    },
  }
}

for (const isAnother of [true, false])
  test(`what is not found ${isAnother ? 'in another bucket stays' : 'in this bucket is found bad'}`, async () => {
    const { placement, bucket, database, id, close } = await open()
    try {
      await confirmLocation(placement, bucket.location)
      const { stored } = bucket.server
      for (const { key } of await stored.objects())
        if (isAnother || key.startsWith('users/')) await stored.vanish(key)
      assert.equal(await checkRestores(placement), isAnother ? 0 : 1)
      const expected = ['local verified', isAnother ? 's3 verified' : 's3 suspect']
      assert.deepEqual(await placesOf(database.db, id), expected)
    } finally {
      await close()
    }
  })
