import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { sql } from 'kysely'
import type { StrictProfile } from 'strict-s3/profiles'
import { describeClasses } from '../../../src/cli/storage/classes.ts'
import { styleFor } from '../../../src/cli/text.ts'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { sweepClasses } from '../../../src/placement/classes/sweep-classes.ts'
import { PROXY_EVERYTHING } from '../../../src/placement/delivery-rules.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { classReport } from '../../../src/placement/reports/class-report.ts'
import { receiptOf } from '../../../src/placement/reports/receipt.ts'
import type { ClassPolicy } from '../../../src/placement/storage-classes.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import {
  type ClassBucket,
  countOf,
  heldClasses,
  passClassTime,
  startClassBucket,
} from '../../support/storage/class-bucket.ts'

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

/** `later`: what the bucket does once it was probed. */
async function open(
  classes: ClassPolicy,
  profile: Partial<StrictProfile> = {},
  later: Partial<StrictProfile> = {},
): Promise<void> {
  bucket = await startClassBucket(profile)
  Object.assign(bucket.server.profile, later)
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

/** The sweep of a later day. */
async function sweepLater() {
  await passClassTime(database.db)
  return sweepPlacement(rig.placement)
}

const heldKeys = async () => [...(await heldClasses(bucket.server)).keys()].sort()

test('a replica gets into its class by a copy, two HEADs and a delete, and no byte comes here', async () => {
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
  assert.deepEqual(await heldKeys(), [before.key, after.key].sort(), 'who reads the old bytes goes on')
  await sweepPlacement(rig.placement)
  assert.deepEqual(await heldKeys(), [before.key, after.key].sort())
  assert.equal((await sweepLater()).endedClassChanges, 1)
  assert.deepEqual([...(await heldClasses(bucket.server))], [[after.key, 'STANDARD_IA']])
  assert.equal(await standingChanges(), 0)
  const hits = Object.fromEntries(calls.map(({ name, count }) => [name, count.hits]))
  const deletes = hits.DeleteObject! + hits.DeleteObjects!
  assert.deepEqual([hits.CopyObject, hits.HeadObject, hits.GetObject, hits.PutObject], [1, 2, 0, 0])
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
  const { rows } = await sql<{ until: Date }>`
    update replica set writable_until = now() + interval '20 minutes' returning writable_until as until`.execute(
    database.db,
  )
  const { until } = rows[0]!
  const before = await replicaOf(id)
  aheadMs = 31 * DAY_MS
  await change(id)
  const after = await replicaOf(id)
  assert.notEqual(after.key, before.key)
  assert.equal(after.writableLeftMs, null, 'no URL leads to the copy')
  const noted = await database.db.selectFrom('key_to_clear').selectAll().execute()
  assert.deepEqual(
    noted.map((row) => [row.key, row.writable_until, row.clear_at]),
    [[before.key, until, until]],
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
  await sweepLater()
  assert.deepEqual(await heldKeys(), [after.key])
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

for (const [what, profile, later, complaint] of [
  ['of other bytes', {}, { copyDamages: true }, /made a copy of other bytes/],
  [
    'of other bytes behind opaque ETags',
    { opaqueEtags: true },
    { copyDamages: true },
    /made a copy of other bytes/,
  ],
  ['in the old class', {}, { copyKeepsClass: true }, /copied to class STANDARD instead of STANDARD_IA/],
  ['that is an error', {}, { copyFails: true }, /CopyObject .* failed/],
] as const) {
  test(`a copy ${what} is thrown away and the old bytes stay`, async () => {
    await open(TO_IA, profile, later)
    const bytes = randomBytes(200 * KIB)
    const id = await offload(bytes)
    const before = await replicaOf(id)
    aheadMs = 31 * DAY_MS
    await assert.rejects(change(id), complaint)
    assert.deepEqual(await replicaOf(id), before)
    assert.deepEqual(await heldKeys(), [before.key])
    await sweepLater()
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
  const before = await replicaOf(id)
  await assert.rejects(change(id), StorageError)
  await assert.rejects(change(id), RetryLater)
  assert.deepEqual(await heldKeys(), [before.key])
  await passClassTime(database.db)
  await change(id)
  const replica = await replicaOf(id)
  await sweepLater()
  assert.deepEqual([...(await heldClasses(bucket.server))], [[replica.key, 'STANDARD_IA']])
})

test('a copy that ends after its writer was taken for dead, and forgotten, is removed by the writer', async () => {
  await open(TO_IA)
  const id = await offload(randomBytes(200 * KIB))
  const before = await replicaOf(id)
  aheadMs = 31 * DAY_MS
  const asked = Promise.withResolvers<void>()
  const goesOn = Promise.withResolvers<void>()
  const { backend } = bucket.location
  const slow: typeof backend = {
    ...backend,
    copies: {
      async copy(...given) {
        asked.resolve()
        await goesOn.promise
        await backend.copies!.copy(...given)
      },
    },
  }
  bucket.location.backend = slow
  const changing = assert.rejects(change(id), /changed while its class was changed/)
  await asked.promise
  await sweepLater()
  await sweepLater()
  assert.equal(await standingChanges(), 0, 'it was taken for dead')
  goesOn.resolve()
  await changing
  assert.deepEqual(await heldKeys(), [before.key])
  assert.deepEqual(await replicaOf(id), before)
})

test('the old bytes stay for as long as a URL that somebody was sent to leads there', async () => {
  await open(TO_IA)
  const windowMs = 2 * 3_600_000
  rig.placement.delivery = { ...PROXY_EVERYTHING, modes: { original: 'redirect' }, windowMs }
  const id = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  const servable = await findServable(rig.placement, id)
  const { url } = (await servable.redirectTarget({
    contentType: 'image/jpeg',
    contentDisposition: 'inline',
    browserOfUserId: null,
    pageOrigin: null,
    canReach: () => true,
  }))!
  await change(id)
  const keptMs = sql<number>`(extract(epoch from clear_after - now()) * 1000)::float8`.as('ms')
  const { ms } = await database.db.selectFrom('class_change').select(keptMs).executeTakeFirstOrThrow()
  assert.ok(ms > 2 * windowMs - 60_000 && ms <= 2 * windowMs, `${ms}`)
  const key = new URL(url).pathname.slice('/photos/'.length)
  assert.ok((await heldKeys()).includes(decodeURIComponent(key)))
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
  const report = await sweepLater()
  assert.equal(report.endedClassChanges, 1)
  assert.deepEqual(await heldKeys(), [before.key])
  assert.deepEqual(await replicaOf(id), before)
  assert.equal(await standingChanges(), 1, 'what was asked for may be made late')
  await sweepLater()
  assert.equal(await standingChanges(), 0)
  assert.deepEqual(await read(id), bytes)
})

test('old bytes that could not be removed go later, and the copy counts all the while', async () => {
  await open(TO_IA)
  const bytes = randomBytes(200 * KIB)
  const id = await offload(bytes)
  aheadMs = 31 * DAY_MS
  bucket.server.profile.denied = ['DeleteObject']
  await change(id)
  const after = await replicaOf(id)
  assert.equal(after.storageClass, 'STANDARD_IA')
  assert.equal((await sweepLater()).endedClassChanges, 0)
  assert.equal((await heldClasses(bucket.server)).size, 2)
  assert.deepEqual(await read(id), bytes)
  bucket.server.profile.denied = []
  await change(id)
  assert.deepEqual(await heldKeys(), [after.key])
  assert.equal(await standingChanges(), 0)
})

test('a purge removes the replica and what a dead class change left', async () => {
  await open(TO_IA)
  const id = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  const before = await replicaOf(id)
  await change(id)
  assert.ok((await heldKeys()).includes(before.key))
  await markForPurge(database.db, [id], 'user')
  await assert.rejects(purgeObject(rig.placement, { objectId: id }), RetryLater)
  assert.ok(!(await heldKeys()).includes(before.key), 'nobody reads it any more')
  await passClassTime(database.db)
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
  await sweepLater()
  assert.equal((await heldClasses(bucket.server)).size, 1)
})

async function proofWithout(objectId: string, ...names: string[]): Promise<void> {
  await sql`update replica set proof = proof - ${names}::text[] where object_id = ${objectId}`.execute(
    database.db,
  )
}

test('what could not be proven in an archive is not copied there: it stays, and that is remembered', async () => {
  await open(TO_GLACIER)
  // As a direct upload in parts whose job was killed after its parts were one object: how they were cut is
  // not known.
  const inParts = await offload(randomBytes(11 * MIB))
  await proofWithout(inParts, 'partBytes', 'parts')
  const whole = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  const heads = countOf(bucket.server, 'HeadObject')
  const [copies, parts] = [countOf(bucket.server, 'CopyObject'), countOf(bucket.server, 'UploadPartCopy')]
  const before = await replicaOf(inParts)
  await change(inParts)
  await change(inParts)
  assert.deepEqual(await replicaOf(inParts), before)
  assert.deepEqual([copies.hits, parts.hits, heads.hits], [0, 0, 1])
  await change(whole)
  assert.equal((await replicaOf(whole)).storageClass, 'GLACIER')
  const { changes } = await classReport(rig.placement)
  assert.deepEqual(
    changes.map(({ to, why, count }) => [to, why, count]),
    [['GLACIER', 'refused', 1]],
  )
  assert.equal(await sweepClasses(rig.placement), 0)

  await sql`update class_refusal set refused_until = now()`.execute(database.db)
  assert.equal(await sweepClasses(rig.placement), 1, 'later it is looked at again')
})

test('where ETags say nothing, what the bucket reports of the very object decides', async () => {
  // Its checksums are of what came in one piece; of parts it reports none, though the probe saw that it
  // computes them.
  await open(TO_GLACIER, { computesCrc64nvme: true, opaqueEtags: true, multipartEtags: 'random' })
  const inParts = await offload(randomBytes(11 * MIB))
  const whole = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  const parts = countOf(bucket.server, 'UploadPartCopy')
  await change(inParts)
  assert.deepEqual([(await replicaOf(inParts)).storageClass, parts.hits], [null, 0])
  await change(whole)
  const replica = await replicaOf(whole)
  assert.deepEqual([replica.storageClass, replica.proofLevel], ['GLACIER', 3])
})

for (const [what, profile] of [
  ['of other bytes', { copyDamages: true }],
  ['in the old class', { copyKeepsClass: true }],
] as const) {
  test(`a copy ${what} is made once, not every day`, async () => {
    await open(TO_GLACIER, {}, profile)
    const id = await offload(randomBytes(200 * KIB))
    aheadMs = 31 * DAY_MS
    const copies = countOf(bucket.server, 'CopyObject')
    await assert.rejects(change(id))
    for (let attempt = 2; attempt <= 5; attempt++) {
      await passClassTime(database.db)
      await change(id)
    }
    assert.equal(copies.hits, 1)
    assert.equal(await sweepClasses(rig.placement), 0)
    const { refused_until } = await database.db
      .selectFrom('class_refusal')
      .select('refused_until')
      .executeTakeFirstOrThrow()
    assert.ok(refused_until.getTime() > Date.now() + 89 * DAY_MS, 'for as long as the copy is billed')
  })
}

test('an archive copy that can not be looked at now is not made five times a day', async () => {
  await open(TO_GLACIER)
  const id = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  const copies = countOf(bucket.server, 'CopyObject')
  const fault = { kind: 'status', status: 503, code: 'SlowDown' } as const
  bucket.server.faults.add({ match: { operation: 'HeadObject', key: /^users/ }, after: 1, fault })
  await assert.rejects(change(id), /can't be proven: HEAD failed/)
  bucket.server.faults.clear()
  await passClassTime(database.db)
  await change(id)
  assert.equal((await replicaOf(id)).storageClass, null)
  assert.ok(copies.hits <= 1)
  await sql`update class_refusal set refused_until = now()`.execute(database.db)
  await change(id)
  assert.equal((await replicaOf(id)).storageClass, 'GLACIER')
})

test('where the probe saw no copy succeed, none is tried, and the report says so', async () => {
  await open(TO_IA, { copyFails: true })
  const id = await offload(randomBytes(200 * KIB))
  aheadMs = 31 * DAY_MS
  const copies = countOf(bucket.server, 'CopyObject')
  assert.equal(await sweepClasses(rig.placement), 0)
  await assert.rejects(change(id), /makes no copies of its own objects/)
  assert.equal(copies.hits, 0)
  const report = await classReport(rig.placement)
  assert.deepEqual(
    report.changes.map(({ to, why, count }) => [to, why, count]),
    [['STANDARD_IA', 'no-copies', 1]],
  )
  assert.match(
    describeClasses(report, styleFor(false, true)),
    /let storage\.classes give fresh files their class/,
  )
})

test('what is bad at its old key is not archived, but suspect', async () => {
  await open(TO_GLACIER)
  const id = await offload(randomBytes(200 * KIB))
  const { key } = await replicaOf(id)
  await bucket.server.stored.truncateStored(key)
  aheadMs = 31 * DAY_MS
  const copies = countOf(bucket.server, 'CopyObject')
  await change(id)
  assert.deepEqual([(await replicaOf(id)).state, copies.hits], ['suspect', 0])
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
    sql`update class_change set doomed_key = ${doomed}, clear_after = now() where object_id = ${id}`.execute(
      database.db,
    )
  await assert.rejects(doom(key), { code: 'GL002' })
  await turn('users/x/y/z.jpg')
  await assert.rejects(doom('users/x/y/z.jpg'), { code: 'GL002' })
  await doom(key)
  await assert.rejects(turn(key), { code: 'GL001' })
})
