/** A backup of the database from before a bucket was first used knows nothing of it, not even its counter. */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { confirmLocation, locationOf } from '../../../src/placement/locations/locations.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { ledgerStatuses } from '../../../src/placement/takeover/ledger-status.ts'
import { planAdoption } from '../../../src/placement/takeover/plan-adoption.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
const bucket = () => locationOf(rig.placement, 's3')
const conflict = async () => (await ledgerStatuses(rig.placement)).get('s3')!.conflict

/** The bucket was marked and used; then a database was put back that does not know it. */
async function forgetBucket(): Promise<void> {
  const key = `users/${randomUUID()}/${randomUUID()}/original/photo.jpg`
  rig.s3().inner.held.set(key, { bytes: randomBytes(500), modifiedAt: new Date() })
  await rig.pool.query(`delete from location where id = 's3'`)
  forgetLooks(rig.placement)
}

test('a bucket that this database has never seen is taken over to the end, and keeps what nobody knows', async () => {
  await forgetBucket()
  await assert.rejects(confirmLocation(rig.placement, bucket()), { code: 'conflict' })
  assert.equal(await conflict(), 'another-ledger')
  assert.equal((await planAdoption(rig.placement, 's3')).unknown.count, 1)
  await beginAdoption(rig.placement, 's3', 'test')
  const report = await adoptLocation(rig.placement, { locationId: 's3' })
  assert.deepEqual([report!.held.count, report!.unknown.count], [1, 1])
  assert.equal(await conflict(), null)
  await confirmLocation(rig.placement, bucket())
  const id = await ingestBytes(rig.placement, randomBytes(2_000))
  await rig.offload(id)
  assert.deepEqual(await rig.places(id), ['s3 verified'])
  assert.equal(rig.s3().inner.held.size, 2, 'what was there is still there')
})

test('whoever chooses an empty bucket instead uses that', async () => {
  await forgetBucket()
  await assert.rejects(confirmLocation(rig.placement, bucket()), { code: 'conflict' })
  const { backend } = rig.s3()
  backend.readMarker = async () => null
  backend.readCounter = async () => null
  backend.writeMarker = async () => undefined
  backend.writeCounter = async () => ''
  bucket().identity = 'another place'
  await confirmLocation(rig.placement, bucket())
  assert.equal(await conflict(), null)
})
