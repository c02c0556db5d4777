/**
 * An object without a replica, which a sweep forgets, and of which an adoption may find bytes at that moment.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { discardEmptyObject, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

test('A2: an object whose bytes were found before it was forgotten stays, and so do they', async () => {
  const objectId = await ingestBytes(rig.placement, randomBytes(1_000))
  // As `ingestBytes` leaves it, it is linked to nothing: what a sweep looks at.
  await rig.pool.query('update stored_object set is_linked = false')
  await discardEmptyObject(rig.placement, objectId)
  assert.equal((await loadObject(rig.db, objectId))?.object.state, 'live')
  assert.deepEqual(await rig.places(objectId), ['local verified'])
})

test('an object of which nothing is anywhere is forgotten', async () => {
  const other = await ingestBytes(rig.placement, randomBytes(1_000))
  const objectId = randomUUID()
  await rig.pool.query(
    `insert into stored_object select (jsonb_populate_record(o,
      jsonb_build_object('id', $1::text, 'is_linked', false))).* from stored_object o`,
    [objectId],
  )
  await discardEmptyObject(rig.placement, objectId)
  await purgeObject(rig.placement, { objectId })
  assert.equal(await loadObject(rig.db, objectId), null)
  assert.deepEqual(await rig.places(other), ['local verified'])
})
