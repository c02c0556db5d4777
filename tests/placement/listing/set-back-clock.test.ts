/** A listing that PostgreSQL's clock has dated while it was ahead. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { observeClock } from '../../../src/database/clock.ts'
import { silentLog } from '../../../src/log.ts'
import { placementClockRepairs } from '../../../src/placement/ledger/clock-repairs.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { findSafeObjects } from '../../../src/placement/uploads/safe-copies.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

test('a listing that was made while the clock was ahead keeps no other from being made, and grows old', async (t) => {
  const { db, pool, drop } = await testDatabase()
  const rig = await testPlacement(db)
  t.after(async () => {
    await rig.close()
    await drop()
  })
  const { placement } = rig
  const id = await ingestBytes(placement, randomBytes(2_000))
  await replicateObject(placement, { objectId: id, to: 's3' })
  await evictReplica(placement, { objectId: id, from: 'local' })
  await checkListing(placement, 's3', { isNow: true })
  const repairs = placementClockRepairs(placement)
  await observeClock(db, silentLog, repairs)

  // Both were 30 days ahead; the clock is put right, and three days pass.
  await pool.query(`update location_listing set begun_at = begun_at + interval '30 days',
    finished_at = finished_at + interval '30 days'`)
  await pool.query(`update clock_seen set seen_at = seen_at + interval '30 days'`)
  assert.equal(await observeClock(db, silentLog, repairs), 'went-back')
  await pool.query(`update location_listing set begun_at = begun_at - interval '3 days',
    finished_at = finished_at - interval '3 days'`)
  await pool.query(`update replica set verified_at = verified_at - interval '3 days'`)

  assert.deepEqual(await findSafeObjects(placement, [id]), new Set(), 'nobody has looked for three days')
  assert.notEqual(await checkListing(placement, 's3'), null, 'a listing is due')
  assert.deepEqual(await findSafeObjects(placement, [id]), new Set([id]))
})
