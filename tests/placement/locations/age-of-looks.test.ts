/** A comparison of the counter is good for a minute, whichever process has made it, and however slowly. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ageLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { confirmLocation, locationOf } from '../../../src/placement/locations/locations.ts'
import { systemClock } from '../../../src/storage/moment.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

let aheadMs = 0
const rig = placementForEach({
  clock: () => {
    const { steadyMs, bootMs, wallMs } = systemClock()
    return { steadyMs: steadyMs + aheadMs, bootMs: bootMs + aheadMs, wallMs: wallMs + aheadMs }
  },
})
const bucket = () => locationOf(rig.placement, 's3')

/** Counts the requests for the counter from now on. */
function countAsked(): { count: number } {
  const { backend } = rig.s3()
  const { readCounter, writeCounter } = backend
  const asked = { count: 0 }
  backend.readCounter = () => {
    asked.count += 1
    return readCounter()
  }
  backend.writeCounter = (...given) => {
    asked.count += 1
    return writeCounter(...given)
  }
  return asked
}

/** Another process of ours has advanced the counter, so many seconds ago. */
const advancedBefore = (seconds: number) =>
  rig.pool.query(
    `update location_counter set advanced_at = now() - $1 * interval '1 second' where location_id = 's3'`,
    [seconds],
  )

test('a look that rests on what another process has compared is as old as that', async () => {
  await confirmLocation(rig.placement, bucket())
  ageLooks(rig.placement, 61_000)
  await advancedBefore(58)
  const asked = countAsked()
  await confirmLocation(rig.placement, bucket())
  assert.equal(asked.count, 0, 'the other process has asked 58 s ago')
  ageLooks(rig.placement, 3_000)
  await advancedBefore(61)
  await confirmLocation(rig.placement, bucket())
  assert.ok(asked.count > 0, 'that is longer ago than a minute by now')
})

test('a counter is as old as the request that advanced it, and not as its answer', async () => {
  await confirmLocation(rig.placement, bucket())
  ageLooks(rig.placement, 61_000)
  await advancedBefore(61)
  const { backend } = rig.s3()
  const { writeCounter } = backend
  backend.writeCounter = async (...given) => {
    const version = await writeCounter(...given)
    aheadMs += 30_000
    return version
  }
  await confirmLocation(rig.placement, bucket())
  const { rows } = await rig.pool.query(
    `select extract(epoch from now() - advanced_at)::float8 as age from location_counter where location_id = 's3'`,
  )
  assert.ok(rows[0].age >= 30, String(rows[0].age))
})
