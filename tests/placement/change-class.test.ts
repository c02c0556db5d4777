import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { sql } from 'kysely'
import { changeClass } from '../../src/placement/change-class.ts'
import { evictReplica } from '../../src/placement/evict.ts'
import { markForPurge, purgeObject } from '../../src/placement/purge.ts'
import { receiptOf } from '../../src/placement/receipt.ts'
import { loadObject } from '../../src/placement/replicas.ts'
import { replicateObject } from '../../src/placement/replicate.ts'
import { findServable } from '../../src/placement/serve.ts'
import type { ClassPolicy } from '../../src/placement/storage-classes.ts'
import { sweepPlacement } from '../../src/placement/sweep.ts'
import { RetryLater } from '../../src/queue/retry-later.ts'
import { StorageError } from '../../src/storage/backend.ts'
import type { StrictProfile } from '../../src/strict-s3/profiles.ts'
import { type ClassBucket, countOf, heldClasses, startClassBucket } from '../support/class-bucket.ts'
import { ingestBytes, testPlacement } from '../support/placement.ts'
import { testDatabase } from '../support/postgres.ts'

const DAY_MS = 24 * 3_600_000
const KIB = 1024
const MIB = 1024 * KIB
const TO_IA: ClassPolicy = {
  original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'STANDARD_IA' }] },
}
const TO_GLACIER: ClassPolicy = {
  original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'GLACIER' }] },
}

let database: Awaited<ReturnType<typeof testDatabase>>
let bucket: ClassBucket
let rig: Awaited<ReturnType<typeof testPlacement>>
let aheadMs = 0

beforeEach(async () => {
  database = await testDatabase()
  aheadMs = 0
})
afterEach(async () => {
  await rig.close()
  await bucket.close()
  await database.drop()
})

async function open(classes: ClassPolicy, profile: Partial<StrictProfile> = {}): Promise<void> {
  bucket = await startClassBucket(profile)
  rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['bucket'],
    extra: [bucket.location],
    classes,
    now: () => new Date(Date.now() + aheadMs),
  })
}

async function offload(bytes: Buffer): Promise<string> {
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 'bucket' })
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  return id
}

const change = (objectId: string, signal?: AbortSignal) =>
  changeClass(rig.placement, { objectId, at: 'bucket' }, signal)

async function replicaOf(objectId: string) {
  const { replicas } = (await loadObject(database.db, objectId))!
  assert.equal(replicas.length, 1)
  return replicas[0]!
}

async function read(objectId: string): Promise<Buffer> {
  const servable = await findServable(rig.placement, objectId)
  return Buffer.concat(await Array.fromAsync(await servable.open()))
}

async function standingChanges(): Promise<number> {
  return (await database.db.selectFrom('class_change').selectAll().execute()).length
}

/** As if the writer had been dead for long. */
async function expireLeases(): Promise<void> {
  await sql`update class_change set lease_expires_at = now() - interval '1 second'`.execute(database.db)
}

test('a replica gets into its class by a copy, a HEAD and a delete, and no byte comes here', async () => {
  await open(TO_IA)
  const bytes = randomBytes(200 * KIB)
  const id = await offload(bytes)
  const before = await replicaOf(id)
  const calls = (
    ['CopyObject', 'HeadObject', 'GetObject', 'PutObject', 'DeleteObject', 'DeleteObjects'] as const
  ).map((name) => ({ name, count: countOf(bucket.server, name) }))
  await change(id)
  assert.deepEqual(await replicaOf(id), before, 'too young: nothing happens')

  aheadMs = 31 * DAY_MS
  await change(id)
  const after = await replicaOf(id)
  assert.notEqual(after.key, before.key)
  assert.deepEqual([after.state, after.storageClass, after.proofLevel], ['verified', 'STANDARD_IA', 3])
  assert.deepEqual([...(await heldClasses(bucket.server))], [[after.key, 'STANDARD_IA']])
  assert.equal(await standingChanges(), 0)
  const hits = Object.fromEntries(calls.map(({ name, count }) => [name, count.hits]))
  const deletes = hits.DeleteObject! + hits.DeleteObjects!
  assert.deepEqual([hits.CopyObject, hits.HeadObject, hits.GetObject, hits.PutObject], [1, 1, 0, 0])
  assert.ok(deletes <= 1, JSON.stringify(hits))
  assert.deepEqual(await read(id), bytes)
  const { history } = await receiptOf(rig.placement, id)
  assert.deepEqual(
    history.slice(-1).map(({ from, to, proofLevel, actor }) => [from, to, proofLevel, actor]),
    [['verified', 'verified', 3, 'job change-class']],
  )
  await change(id)
  assert.deepEqual(await replicaOf(id), after, 'there already: nothing happens')
})

test('a key that a URL may still put to is cleared again when the replica has left it', async () => {
  await open(TO_IA)
  const id = await offload(randomBytes(200 * KIB))
  await sql`update replica set writable_until = now() + interval '20 minutes'`.execute(database.db)
  const before = await replicaOf(id)
  aheadMs = 31 * DAY_MS
  await change(id)
  const after = await replicaOf(id)
  assert.notEqual(after.key, before.key)
  assert.equal(after.writableUntil, null, 'no URL leads to the copy')
  const noted = await database.db.selectFrom('key_to_clear').selectAll().execute()
  assert.deepEqual(
    noted.map((row) => [row.key, row.writable_until, row.clear_at]),
    [[before.key, before.writableUntil, before.writableUntil]],
  )
})

test('what came in parts is copied in the same parts, so that its ETag proves it', async () => {
  await open(TO_GLACIER)
  const bytes = randomBytes(11 * MIB)
  const id = await offload(bytes)
  const before = await replicaOf(id)
  assert.equal(before.proof?.parts, 3)
  aheadMs = 31 * DAY_MS
  const parts = countOf(bucket.server, 'UploadPartCopy')
  await change(id)
  const after = await replicaOf(id)
  assert.deepEqual(
    [after.storageClass, after.proofLevel, after.proof?.etag],
    ['GLACIER', 3, before.proof?.etag],
  )
  assert.equal(parts.hits, 3)
  assert.deepEqual([...(await heldClasses(bucket.server)).keys()], [after.key])
})

test('where the bucket attests to nothing, the copy is read back, and no archive is used', async () => {
  const silent = { opaqueEtags: true, multipartEtags: 'random', ignoreChecksums: true } as const
  await open(TO_IA, silent)
  const id = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  const reads = countOf(bucket.server, 'GetObject')
  await change(id)
  const replica = await replicaOf(id)
  assert.deepEqual([replica.storageClass, replica.proofLevel], ['STANDARD_IA', 4])
  assert.equal(reads.hits, 1)
  rig.placement.classes = TO_GLACIER
  aheadMs = 100 * DAY_MS
  await assert.rejects(change(id), /attests to no digest/)
  assert.deepEqual(await replicaOf(id), replica)
})

for (const [what, profile, complaint] of [
  ['of other bytes', { copyDamages: true }, /made a copy of other bytes/],
  [
    'of other bytes behind opaque ETags',
    { copyDamages: true, opaqueEtags: true },
    /made a copy of other bytes/,
  ],
  ['in the old class', { copyKeepsClass: true }, /copied to class STANDARD instead of STANDARD_IA/],
  ['that is an error', { copyFails: true }, /CopyObject .* failed/],
] as const) {
  test(`a copy ${what} is thrown away and the old bytes stay`, async () => {
    await open(TO_IA, profile)
    const bytes = randomBytes(200 * KIB)
    const id = await offload(bytes)
    const before = await replicaOf(id)
    aheadMs = 31 * DAY_MS
    await assert.rejects(change(id), complaint)
    assert.deepEqual(await replicaOf(id), before)
    assert.deepEqual([...(await heldClasses(bucket.server)).keys()], [before.key])
    assert.equal(await standingChanges(), 0)
    assert.deepEqual(await read(id), bytes)
  })
}

test('a copy whose answer gets lost is begun anew, and nothing of it stays', async () => {
  await open(TO_IA)
  const id = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  bucket.server.faults.add({
    match: { operation: 'CopyObject' },
    times: 1,
    fault: { kind: 'commit-then-500' },
  })
  await assert.rejects(change(id))
  await change(id)
  const replica = await replicaOf(id)
  assert.deepEqual([...(await heldClasses(bucket.server))], [[replica.key, 'STANDARD_IA']])
})

test('a writer that dies after its copy leaves the old replica; the sweep removes the copy', async () => {
  await open(TO_IA)
  const bytes = randomBytes(200 * KIB)
  const id = await offload(bytes)
  const before = await replicaOf(id)
  aheadMs = 31 * DAY_MS
  // What a killed process leaves: the intent and the copy.
  await sql`insert into class_change (object_id, location_id, from_key, to_key, to_class, lease_expires_at, actor)
    values (${id}, 'bucket', ${before.key}, 'users/a/b/copy.jpg', 'STANDARD_IA', now() + interval '1 hour', 'test')`.execute(
    database.db,
  )
  await bucket.location.backend.copies!.copy(before.key, 'users/a/b/copy.jpg' as typeof before.key, {
    storageClass: 'STANDARD_IA',
    size: bytes.length,
  })
  aheadMs = 0
  await assert.rejects(change(id), RetryLater)
  assert.equal((await heldClasses(bucket.server)).size, 2)
  await expireLeases()
  const report = await sweepPlacement(rig.placement)
  assert.equal(report.endedClassChanges, 1)
  assert.deepEqual([...(await heldClasses(bucket.server)).keys()], [before.key])
  assert.deepEqual(await replicaOf(id), before)
  assert.equal(await standingChanges(), 0)
  assert.deepEqual(await read(id), bytes)
})

test('old bytes that could not be removed go later, and the copy counts all the while', async () => {
  await open(TO_IA)
  const bytes = randomBytes(200 * KIB)
  const id = await offload(bytes)
  aheadMs = 31 * DAY_MS
  bucket.server.profile.denied = ['DeleteObject']
  await assert.rejects(change(id), StorageError)
  const after = await replicaOf(id)
  assert.equal(after.storageClass, 'STANDARD_IA')
  assert.equal((await heldClasses(bucket.server)).size, 2)
  assert.deepEqual(await read(id), bytes)
  bucket.server.profile.denied = []
  await change(id)
  assert.deepEqual([...(await heldClasses(bucket.server)).keys()], [after.key])
  assert.equal(await standingChanges(), 0)
})

test('a purge removes the replica and what a dead class change left', async () => {
  await open(TO_IA)
  const id = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  bucket.server.profile.denied = ['DeleteObject']
  await assert.rejects(change(id), StorageError)
  bucket.server.profile.denied = []
  await markForPurge(database.db, [id])
  await purgeObject(rig.placement, { objectId: id })
  assert.equal((await heldClasses(bucket.server)).size, 0)
  assert.equal(await loadObject(database.db, id), null)
})

test('two workers at once make one copy', async () => {
  await open(TO_IA)
  const id = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  const copies = countOf(bucket.server, 'CopyObject')
  const ended = await Promise.allSettled([change(id), change(id), change(id)])
  for (const one of ended)
    if (one.status === 'rejected') assert.ok(one.reason instanceof RetryLater, one.reason)
  assert.equal(copies.hits, 1)
  assert.equal((await heldClasses(bucket.server)).size, 1)
})

test('small objects stay in the ordinary class, and a fresh one is put in its class at once', async () => {
  await open({ original: { class: 'STANDARD_IA', rules: [{ olderThanDays: 365, class: 'GLACIER_IR' }] } })
  const copies = countOf(bucket.server, 'CopyObject')
  const small = await offload(randomBytes(100 * KIB))
  const large = await offload(randomBytes(200 * KIB))
  assert.equal((await replicaOf(small)).storageClass, null)
  assert.equal((await replicaOf(large)).storageClass, 'STANDARD_IA')
  const held = await heldClasses(bucket.server)
  assert.equal(held.get((await replicaOf(large)).key), 'STANDARD_IA')
  aheadMs = 366 * DAY_MS
  await change(small)
  await change(large)
  assert.equal((await replicaOf(small)).storageClass, null)
  assert.equal((await replicaOf(large)).storageClass, 'GLACIER_IR')
  assert.equal(copies.hits, 1)
})

test('the database turns a replica only to the proven copy of its class change', async () => {
  await open(TO_IA)
  const id = await offload(randomBytes(200 * KIB))
  const { key } = await replicaOf(id)
  const turn = (to: string, level = 3) =>
    sql`update replica set key = ${to}, proof_level = ${level} where object_id = ${id}`.execute(database.db)
  await assert.rejects(turn('users/x/y/z.jpg'), { code: 'GL001' })
  await sql`insert into class_change (object_id, location_id, from_key, to_key, to_class, lease_expires_at, actor)
    values (${id}, 'bucket', ${key}, 'users/x/y/z.jpg', 'STANDARD_IA', now(), 'test')`.execute(database.db)
  await assert.rejects(turn('users/x/y/other.jpg'), { code: 'GL001' })
  await assert.rejects(turn('users/x/y/z.jpg', 2), { code: 'GL001' })
  const doom = (doomed: string) =>
    sql`update class_change set doomed_key = ${doomed} where object_id = ${id}`.execute(database.db)
  await assert.rejects(doom(key), { code: 'GL002' })
  await turn('users/x/y/z.jpg')
  await assert.rejects(doom('users/x/y/z.jpg'), { code: 'GL002' })
  await doom(key)
  await assert.rejects(turn(key), { code: 'GL001' })
})
