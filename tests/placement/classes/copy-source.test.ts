/** What a copy does with a source that is not what the ledger says of it. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { sql } from 'kysely'
import { loadObject, lockObject, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { isStorageError } from '../../../src/storage/backend.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'
import { testDatabase } from '../../support/postgres.ts'

const rig = placementForEach()
const { s3, places } = rig

async function localPath(objectId: string): Promise<string> {
  const loaded = await loadObject(rig.db, objectId)
  return rig.disk.inner.localFiles!.path(loaded!.replicas[0]!.key)
}

test('a damaged source is never copied; it stops counting as a copy', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  const path = await localPath(id)
  const bytes = await readFile(path)
  bytes[3]! ^= 1
  await rm(path)
  await writeFile(path, bytes)
  await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }))
  assert.equal(s3().inner.held.size, 0)
  assert.deepEqual(await places(id), ['local suspect'])
  assert.equal((await storageStatus(rig.placement)).originals.atRisk.count, 1)
})

test('a truncated source, too', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await truncate(await localPath(id), 400)
  await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }))
  assert.equal(s3().inner.held.size, 0)
  assert.deepEqual(await places(id), ['local suspect'])
})

test('a source that is gone stops counting, and the next try copies from another', async (t) => {
  const own = await testDatabase()
  const two = await testPlacement(own.db, { remotes: ['a', 'b'], originals: ['a', 'b'] })
  t.after(async () => {
    await two.close()
    await own.drop()
  })
  const objectId = await ingestBytes(two.placement, randomBytes(1000))
  for (const to of ['a', 'b']) await replicateObject(two.placement, { objectId, to })
  await evictReplica(two.placement, { objectId, from: 'local' })
  Object.assign(two.placement.policy, { original: ['local', 'a', 'b'] })
  // The one that is read from first.
  const { locationId, key } = (await loadObject(own.db, objectId))!.replicas[0]!
  two.remotes.get(locationId)!.inner.held.delete(key)
  await assert.rejects(replicateObject(two.placement, { objectId, to: 'local' }))
  const statesOf = async () =>
    new Map(
      (await loadObject(own.db, objectId))!.replicas.map((replica) => [replica.locationId, replica.state]),
    )
  assert.equal((await statesOf()).get(locationId), 'suspect')
  await replicateObject(two.placement, { objectId, to: 'local' })
  assert.equal((await statesOf()).get('local'), 'verified')
})

test('a local file that is gone stops counting as a copy', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await rm(await localPath(id))
  await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }), (error) =>
    isStorageError(error, 'not-found'),
  )
  assert.deepEqual(await places(id), ['local suspect'])
  assert.equal((await storageStatus(rig.placement)).originals.atRisk.count, 1)
})

for (const [what, put] of [
  ['whose folder is gone', async () => undefined],
  ['that left an empty folder', (root: string) => mkdir(root)],
] as const) {
  test(`a volume ${what} is not taken for files that are gone`, async () => {
    const bytes = randomBytes(1000)
    const id = await ingestBytes(rig.placement, bytes)
    await rename(rig.mediaLocation, `${rig.mediaLocation}.away`)
    await put(rig.mediaLocation)
    await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }))
    assert.deepEqual(await places(id), ['local verified'])
    await rm(rig.mediaLocation, { recursive: true, force: true })
    await rename(`${rig.mediaLocation}.away`, rig.mediaLocation)
    await replicateObject(rig.placement, { objectId: id, to: 's3' })
    assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  })
}

test('proving a doubtful copy and giving it up do not wait for each other: the object is locked first', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const replica = (await loadObject(rig.db, id))!.replicas.find(({ locationId }) => locationId === 's3')!
  await suspectReplica(rig.db, replica, 'test')
  let proving: Promise<void> | undefined
  await rig.db.transaction().execute(async (tx) => {
    await lockObject(tx, id)
    proving = replicateObject(rig.placement, { objectId: id, to: 's3' })
    await untilLockIsAwaited(rig.pool)
    await sql`select 1 from replica where object_id = ${id} and location_id = 's3' for update nowait`.execute(
      tx,
    )
  })
  await proving
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})
