/**
 * The end of a lease beside the end of its object. What removes an object locks its row and then, by the
 * cascade, its leases; so whoever ends a lease locks in that order, too.
 */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { beforeEach, test } from 'node:test'
import { releaseLease, releaseProcessingLease, takeLease } from '../../../src/placement/ledger/leases.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
let objectId: string

beforeEach(async () => {
  objectId = await ingestBytes(rig.placement, randomBytes(1_000))
})

/** Runs `release` while another transaction holds the object's row and wants its leases next. */
async function releaseBesideRemoval(release: () => Promise<unknown>): Promise<void> {
  const removal = await rig.pool.connect()
  try {
    await removal.query('begin')
    await removal.query('select from stored_object where id = $1 for update', [objectId])
    const released = release()
    await untilLockIsAwaited(rig.pool, 1)
    const { rowCount } = await removal.query(
      'select from local_lease where object_id = $1 for update nowait',
      [objectId],
    )
    assert.equal(rowCount, 1)
    await removal.query('commit')
    await released
    const left = await rig.pool.query('select from local_lease')
    assert.equal(left.rowCount, 0)
  } finally {
    removal.release()
  }
}

test('a reader gives its lease back while its object is removed', async () => {
  const leaseId = await takeLease(rig.db, objectId, 'recall', 60_000)
  await releaseBesideRemoval(() => releaseLease(rig.placement, objectId, leaseId))
})

test('processing ends while its object is removed', async () => {
  await takeLease(rig.db, objectId, 'processing', 60_000)
  await releaseBesideRemoval(() =>
    rig.db.transaction().execute((tx) => releaseProcessingLease(tx, rig.placement, objectId)),
  )
})
