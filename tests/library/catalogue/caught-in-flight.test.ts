/**
 * A backup was made while an upload was under way: the restored database has the object, and nothing refers
 * to it. The takeover of the bucket finds its bytes first, so that the key is named when the catalogue is
 * brought back.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { lookAtUnlinked } from '../../../src/placement/maintenance/unlinked.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { type LedgerSnapshot, restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import { addSidecar, type Installation, openInstallation, sidecarOf } from './support.ts'

/** What the database held while the work put its first file into place. */
async function snapshotWithin<T>(
  { placement, pool }: Installation,
  work: () => Promise<T>,
): Promise<{ result: T; snapshot: LedgerSnapshot }> {
  const files = placement.local.backend.localFiles!
  const { adopt } = files
  let snapshot: LedgerSnapshot | undefined
  files.adopt = async (...args) => {
    snapshot ??= await takeSnapshot(pool)
    return adopt(...args)
  }
  // So that the state after the snapshot is known by its counters.
  forgetLooks(placement)
  const result = await work()
  files.adopt = adopt
  forgetLooks(placement)
  return { result, snapshot: snapshot! }
}

/** Puts the backup back, takes the places over, and lets the sweep look at what nothing refers to. */
async function restore({ placement, pool }: Installation, snapshot: LedgerSnapshot): Promise<void> {
  await checkLocations(placement)
  await restoreSnapshot(pool, snapshot)
  await pool.query(
    `update replica set lease_expires_at = now() - interval '1 minute' where state = 'writing'`,
  )
  forgetLooks(placement)
  await checkLocations(placement)
  for (const locationId of ['s3', 'local']) {
    await beginAdoption(placement, locationId, 'test')
    await adoptLocation(placement, { locationId })
  }
  const { rows } = await pool.query<{ id: string }>('select id from stored_object where not is_linked')
  for (const { id } of rows) await lookAtUnlinked(placement, id)
}

async function photoCaught(t: TestContext) {
  const one = await openInstallation(t)
  const anna = await one.user()
  await one.upload(anna.id, 'before.jpg')
  await one.write()
  const { result: photo, snapshot } = await snapshotWithin(one, () => one.upload(anna.id, 'caught.jpg'))
  const objectIds = await one.pool.query<{ id: string }>(
    'select original_object_id as id from asset where id = $1',
    [photo.id],
  )
  const objectId = objectIds.rows[0]!.id
  // As if its previews were made.
  await one.pool.query('delete from local_lease')
  await evictReplica(one.placement, { objectId, from: 'local' })
  assert.deepEqual(await copiesOf(one, objectId), ['s3 verified'])
  return { one, photo, objectId, snapshot }
}

async function copiesOf({ db }: Installation, objectId: string): Promise<string[]> {
  return (await loadObject(db, objectId))!.replicas.map(({ locationId, state }) => `${locationId} ${state}`)
}

test('a photo whose upload a backup caught in flight comes back as the catalogue names it', async (t) => {
  const { one, photo, objectId, snapshot } = await photoCaught(t)
  await one.write()
  await restore(one, snapshot)
  const report = await one.adopt({ isRebuild: false })
  const { rows } = await one.pool.query(
    'select original_file_name as name, original_object_id as object, is_linked from asset join stored_object o on o.id = original_object_id where asset.id = $1',
    [photo.id],
  )
  assert.deepEqual(rows, [{ name: 'caught.jpg', object: objectId, is_linked: true }])
  assert.deepEqual([report.assets, report.missing, report.byKeyAlone], [1, 0, 0])
  assert.deepEqual(await copiesOf(one, objectId), ['s3 verified'])
  assert.equal((await one.adopt({ isRebuild: false })).assets, 0, 'it is there')
  assert.equal((await one.assets()).length, 2)
})

test('it comes back by its key alone where no catalogue names it', async (t) => {
  const { one, photo, objectId, snapshot } = await photoCaught(t)
  await restore(one, snapshot)
  const report = await one.adopt({ isRebuild: false })
  assert.deepEqual([report.assets, report.byKeyAlone], [1, 1])
  const { rows } = await one.pool.query(
    'select original_object_id as object, is_linked from asset join stored_object o on o.id = original_object_id where asset.id = $1',
    [photo.id],
  )
  assert.deepEqual(rows, [{ object: objectId, is_linked: true }])
})

test('it stays away where a later state has deleted it for good', async (t) => {
  const { one, photo, snapshot } = await photoCaught(t)
  await one.write()
  await one.pool.query('delete from asset where id = $1', [photo.id])
  await one.write()
  await restore(one, snapshot)
  assert.equal((await one.adopt({ isRebuild: false })).assets, 0)
  assert.equal((await one.assets()).length, 1)
})

test('an upload that is under way now is left to itself', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const { result: during } = await snapshotWithin(one, async () => {
    const files = one.placement.local.backend.localFiles!
    const { adopt } = files
    let found: number | undefined
    files.adopt = async (...args) => {
      const placed = await adopt(...args)
      files.adopt = adopt
      found = (await one.adopt({ isRebuild: false })).assets
      return placed
    }
    await one.upload(anna.id)
    return found
  })
  assert.equal(during, 0)
  assert.equal((await one.assets()).length, 1)
})

test('a sidecar whose upload a backup caught in flight comes back, too', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const photo = await one.upload(anna.id)
  await one.write()
  const { result: sidecar, snapshot } = await snapshotWithin(one, () => addSidecar(one, photo.id))
  await one.write()
  await restore(one, snapshot)
  assert.equal(await sidecarOf(one, photo.id), undefined)
  const report = await one.adopt({ isRebuild: false })
  assert.equal(await sidecarOf(one, photo.id), sidecar)
  assert.deepEqual([report.sidecars, report.missingSidecars], [1, 0])
})
