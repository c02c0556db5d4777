/**
 * A ledger that is older than its place names keys whose bytes have got another one since. Which of both keys
 * is listed first is chance.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import type { StrictProfile } from 'strict-s3/profiles'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { type AdoptionReport, beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { planAdoption } from '../../../src/placement/takeover/plan-adoption.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { heldClasses, passClassTime, startClassBucket } from '../../support/storage/class-bucket.ts'

const MONTH_MS = 31 * 24 * 3_600_000
const KIB = 1024
const MIB = 1024 * KIB

let database: Awaited<ReturnType<typeof testDatabase>>
const closing: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  database = await testDatabase()
  closing.push(() => database.drop())
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

type Rig = Awaited<ReturnType<typeof testPlacement>>

const read = async ({ placement }: Rig, id: string) =>
  buffer(await (await findServable(placement, id)).open())

async function replicaAt(objectId: string, at: string) {
  const { replicas } = (await loadObject(database.db, objectId))!
  return replicas.find(({ locationId }) => locationId === at)!
}

async function offload({ placement }: Rig, bytes: Buffer, to: string): Promise<string> {
  const id = await ingestBytes(placement, bytes)
  await replicateObject(placement, { objectId: id, to })
  await evictReplica(placement, { objectId: id, from: 'local' })
  return id
}

/** As after a backup that was put back, when an administrator has said so. */
async function adopt({ placement }: Rig, at: string): Promise<AdoptionReport> {
  await database.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = $1`,
    [at],
  )
  await beginAdoption(placement, at, 'test')
  return (await adoptLocation(placement, { locationId: at }))!
}

const counts = ({ held, confirmed, adopted, missing, wrong, unknown }: AdoptionReport) =>
  [held, confirmed, adopted, missing, wrong, unknown].map(({ count }) => count)

async function openWithBucket(storageClass: string, profile: Partial<StrictProfile>) {
  const bucket = await startClassBucket(profile)
  closing.push(() => bucket.close())
  let aheadMs = 0
  const rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['bucket'],
    extra: [bucket.location],
    classes: { original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: storageClass }] } },
    now: () => new Date(Date.now() + aheadMs),
  })
  closing.push(() => rig.close())
  return { bucket, rig, passMonth: () => (aheadMs = MONTH_MS) }
}

for (const [storageClass, size, profile] of [
  ['STANDARD_IA', 200 * KIB, {}],
  ['GLACIER', 200 * KIB, {}],
  ['GLACIER', 11 * MIB, {}],
  ['GLACIER', 200 * KIB, { computesCrc64nvme: true, opaqueEtags: true, multipartEtags: 'random' }],
] as const) {
  const how = `${storageClass}, ${size} bytes, ${JSON.stringify(profile)}`
  test(`a backup from before a change of class finds all that has another key since: ${how}`, async () => {
    const { bucket, rig, passMonth } = await openWithBucket(storageClass, profile)
    // With so many, some keys come before the ones that are named, and some after them.
    const photos = new Map<string, Buffer>()
    for (let count = 0; count < 8; count += 1) {
      const bytes = randomBytes(size)
      photos.set(await offload(rig, bytes, 'bucket'), bytes)
    }
    const snapshot = await takeSnapshot(database.pool)
    passMonth()
    for (const objectId of photos.keys()) await changeClass(rig.placement, { objectId, at: 'bucket' })
    await passClassTime(database.db)
    await sweepPlacement(rig.placement)
    const held = await heldClasses(bucket.server)
    assert.deepEqual([...held.values()], Array(8).fill(storageClass))

    await restoreSnapshot(database.pool, snapshot)
    assert.deepEqual(counts(await planAdoption(rig.placement, 'bucket')), [8, 0, 8, 8, 0, 0])
    assert.deepEqual(counts(await adopt(rig, 'bucket')), [8, 0, 8, 8, 0, 0])
    for (const [id, bytes] of photos) {
      const replica = await replicaAt(id, 'bucket')
      assert.deepEqual([replica.state, replica.storageClass], ['verified', storageClass])
      assert.ok(held.has(replica.key))
      if (storageClass === 'STANDARD_IA') assert.deepEqual(await read(rig, id), bytes)
    }
  })
}

test('an archived file of which nothing can be told does not keep an adoption from its end', async () => {
  const silent = { opaqueEtags: true, multipartEtags: 'random', ignoreChecksums: true } as const
  const { bucket, rig } = await openWithBucket('STANDARD_IA', silent)
  const id = await offload(rig, randomBytes(200 * KIB), 'bucket')
  const { key } = await replicaAt(id, 'bucket')
  const copy = freshKey((await loadObject(database.db, id))!.object)
  await bucket.location.backend.copies!.copy(key, copy, { storageClass: 'GLACIER', size: 200 * KIB })
  const found = (await heldClasses(bucket.server)).get(copy)
  assert.equal(found, 'GLACIER')
  await database.pool.query(`update replica set state = 'suspect' where location_id = 'bucket'`)
  assert.deepEqual(counts(await adopt(rig, 'bucket')), [2, 0, 1, 0, 0, 1])
  assert.deepEqual(await placesOf(database.db, id), ['bucket verified'])
  assert.equal((await replicaAt(id, 'bucket')).key, key)
})

async function keyBeside(objectId: string, named: string, isBefore: boolean): Promise<ObjectKey> {
  const { object } = (await loadObject(database.db, objectId))!
  for (;;) {
    const key = freshKey(object)
    if (key < named === isBefore) return key
  }
}

for (const isBefore of [true, false]) {
  const order = isBefore ? 'before' : 'after'
  test(`a file that was repaired since the backup is found under its other key, listed ${order} the named one`, async () => {
    const rig = await testPlacement(database.db, { originals: ['local'] })
    closing.push(() => rig.close())
    const bytes = randomBytes(20 * KIB)
    const id = await ingestBytes(rig.placement, bytes)
    const { key } = await replicaAt(id, 'local')
    const other = await keyBeside(id, key, isBefore)
    const { path } = rig.placement.local.backend.localFiles!
    await rename(path(key), path(other))
    assert.deepEqual(counts(await planAdoption(rig.placement, 'local')), [1, 0, 1, 1, 0, 0])
    assert.deepEqual(counts(await adopt(rig, 'local')), [1, 0, 1, 1, 0, 0])
    assert.deepEqual(await placesOf(database.db, id), ['local verified'])
    assert.equal((await replicaAt(id, 'local')).key, other)
    assert.deepEqual(await read(rig, id), bytes)
  })

  test(`what was being given up in the backup, and put anew since, is found, listed ${order} the named key`, async () => {
    const rig = await testPlacement(database.db, { originals: ['local', 's3'] })
    closing.push(() => rig.close())
    const bytes = randomBytes(20 * KIB)
    const id = await ingestBytes(rig.placement, bytes)
    await replicateObject(rig.placement, { objectId: id, to: 's3' })
    const { key } = await replicaAt(id, 's3')
    const other = await keyBeside(id, key, isBefore)
    const { held } = rig.remotes.get('s3')!.inner
    held.set(other, held.get(key)!)
    held.delete(key)
    // They belonged on the disk alone when it began.
    await database.pool.query('update home set min_copies = 1')
    await database.pool.query(
      `update replica set state = 'evicting', removal = 'other-copy', lease_expires_at = now() where location_id = 's3'`,
    )
    assert.deepEqual(counts(await adopt(rig, 's3')), [1, 0, 1, 0, 0, 0])
    assert.deepEqual(await placesOf(database.db, id), ['local verified', 's3 verified'])
    assert.equal((await replicaAt(id, 's3')).key, other)
  })

  test(`a copy beside one that is right stays unknown, listed ${order} the named key`, async () => {
    const rig = await testPlacement(database.db)
    closing.push(() => rig.close())
    const id = await offload(rig, randomBytes(20 * KIB), 's3')
    const { key } = await replicaAt(id, 's3')
    const other = await keyBeside(id, key, isBefore)
    const { held } = rig.remotes.get('s3')!.inner
    held.set(other, held.get(key)!)
    assert.deepEqual(counts(await planAdoption(rig.placement, 's3')), [2, 1, 0, 0, 0, 1])
    assert.deepEqual(counts(await adopt(rig, 's3')), [2, 1, 0, 0, 0, 1])
    assert.equal((await replicaAt(id, 's3')).key, key)
    assert.deepEqual([...held.keys()].sort(), [key, other].sort())
  })
}
