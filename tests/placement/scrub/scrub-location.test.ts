/** Reading again what a location holds: rot that no listing sees, the budget, and what it never does. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { takeFromBudget } from '../../../src/placement/scrub/budget.ts'
import { scrubLocation } from '../../../src/placement/scrub/scrub-location.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'
import { type ClassBucket, startClassBucket } from '../../support/storage/class-bucket.ts'

const MIB = 2 ** 20
let database: TestDatabase
let bucket: ClassBucket
let rig: Awaited<ReturnType<typeof testPlacement>>

beforeEach(async () => {
  database = await testDatabase()
  bucket = await startClassBucket({}, 's3')
  rig = await testPlacement(database.db, {
    remotes: [],
    extra: [bucket.location],
    originals: ['local', 's3'],
  })
})
afterEach(async () => {
  await rig.close()
  await bucket.close()
  await database.drop()
})

const backendOf = () => bucket.location.backend
const places = (id: string) => placesOf(database.db, id)
const replicaAt = async (id: string, at: string) =>
  (await loadObject(database.db, id))!.replicas.find(({ locationId }) => locationId === at)!
const scrub = (at: string) => scrubLocation(rig.placement, at, { isUnlimited: true })
const statusOf = async (at: string) =>
  (await storageStatus(rig.placement)).locations.find(({ id }) => id === at)!.scrub

/** Verified on the disk and in the bucket. */
async function twice(bytes: Buffer): Promise<string> {
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  return id
}

/** Other bytes of the same size and time, as a disk that rots gives them. */
async function rotLocal(id: string): Promise<void> {
  const path = join(rig.mediaLocation, (await replicaAt(id, 'local')).key)
  const { atime, mtime } = await stat(path)
  const bytes = await readFile(path)
  bytes[bytes.length >> 1]! ^= 1
  await chmod(path, 0o600)
  await writeFile(path, bytes)
  await utimes(path, atime, mtime)
}

const rotInBucket = (key: string) => bucket.server.stored.tamper(key)

test('rot that keeps size, time and ETag is found by reading, and a new copy is made from the other', async () => {
  const bytes = randomBytes(50_000)
  const [onDisk, inBucket, whole] = [
    await twice(bytes),
    await twice(randomBytes(60_000)),
    await twice(randomBytes(70_000)),
  ]
  await rotLocal(onDisk)
  await rotInBucket((await replicaAt(inBucket, 's3')).key)
  for (const at of ['local', 's3']) await checkListing(rig.placement, at, { isNow: true })
  for (const id of [onDisk, inBucket, whole])
    assert.deepEqual(await places(id), ['local verified', 's3 verified'], 'a listing sees nothing of it')

  const local = await scrub('local')
  assert.deepEqual(local, {
    locationId: 'local',
    found: { read: { count: 2, bytes: 130_000 }, wrong: 1, unread: 0 },
    isFinished: true,
  })
  assert.equal((await scrub('s3'))!.found.wrong, 1)
  assert.deepEqual(await places(onDisk), ['local suspect', 's3 verified'])
  assert.deepEqual(await places(inBucket), ['local verified', 's3 suspect'])
  assert.deepEqual(await places(whole), ['local verified', 's3 verified'])
  assert.equal((await replicaAt(whole, 's3')).proofLevel, 4)
  await replicateObject(rig.placement, { objectId: onDisk, to: 'local' })
  await replicateObject(rig.placement, { objectId: onDisk, to: 'local' })
  assert.deepEqual(await places(onDisk), ['local verified', 's3 verified'])
  const path = join(rig.mediaLocation, (await replicaAt(onDisk, 'local')).key)
  assert.ok((await readFile(path)).equals(bytes))
  const status = await statusOf('local')
  assert.equal(status.wrong, 1)
  assert.ok(status.readSince)
})

test('a pass through an empty location is not said to have read what comes later, and puts nothing off', async () => {
  assert.deepEqual((await scrubLocation(rig.placement, 'local'))!.isFinished, true)
  assert.equal((await statusOf('local')).readSince, null)
  await twice(randomBytes(1_000))
  await database.pool.query(
    `insert into scrub_budget (location_id, allowed_bytes) values ('local', 10000)
     on conflict (location_id) do update set allowed_bytes = 10000, at = now()`,
  )
  assert.equal((await scrubLocation(rig.placement, 'local'))!.found.read.count, 1)
  assert.ok((await statusOf('local')).readSince)
})

test('the last copy is marked and stays where it is', async () => {
  const id = await twice(randomBytes(10_000))
  Object.assign(rig.placement, {
    policy: { ...rig.placement.policy, original: ['s3'] },
    minCopies: { ...rig.placement.minCopies, original: 1 },
  })
  await database.pool.query('update home set min_copies = 1')
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  const { key } = await replicaAt(id, 's3')
  await rotInBucket(key)
  assert.equal((await scrub('s3'))!.found.wrong, 1)
  assert.deepEqual(await places(id), ['s3 suspect'])
  assert.ok(await bucket.server.stored.bytes(key), 'its bytes may be of use to somebody')
})

test('a place that is away is left alone after one object, and nothing of it is called wrong or done', async () => {
  const ids = [
    await twice(randomBytes(1_000)),
    await twice(randomBytes(1_000)),
    await twice(randomBytes(1_000)),
  ]
  const backend = backendOf()
  const { get, readMarker, readCounter } = backend
  let gets = 0
  const away = async () => {
    throw new StorageError('unavailable', 'nobody there')
  }
  backend.get = async () => {
    gets += 1
    Object.assign(backend, { readMarker: away, readCounter: away })
    return away()
  }
  await assert.rejects(scrub('s3'), /nobody there/)
  assert.equal(gets, 1)
  Object.assign(backend, { get, readMarker, readCounter })
  const status = await statusOf('s3')
  assert.ok(status.underWay?.error)
  assert.equal(status.underWay.count, 0)
  for (const id of ids) assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  assert.equal((await scrub('s3'))!.found.read.count, 3)
})

test('one disturbance on the way is no damage', async () => {
  const id = await twice(randomBytes(5_000))
  bucket.server.faults.add({
    match: { operation: 'GetObject', key: /^users\// },
    times: 1,
    fault: { kind: 'wrong-bytes' },
  })
  const report = await scrub('s3')
  assert.deepEqual(report!.found, { read: { count: 1, bytes: 5_000 }, wrong: 0, unread: 0 })
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('it stops where the budget is used up, goes on there, and reads each object once in a pass', async () => {
  const ids = []
  for (let n = 0; n < 5; n += 1) ids.push(await twice(randomBytes(MIB)))
  Object.assign(rig.placement.settings, { scrubBucketBytes: 30 * MIB })
  const { get } = backendOf()
  const keys: string[] = []
  backendOf().get = (key, options) => {
    keys.push(key)
    return get(key, options)
  }
  const grow = (bytes: number) =>
    database.pool.query(
      `insert into scrub_budget (location_id, allowed_bytes) values ('s3', $1)
       on conflict (location_id) do update set allowed_bytes = $1, at = now()`,
      [bytes],
    )
  await grow(2.5 * MIB)
  const first = await scrubLocation(rig.placement, 's3')
  assert.deepEqual([first!.found.read.count, first!.isFinished], [2, false])
  const nothing = await scrubLocation(rig.placement, 's3')
  assert.equal(nothing!.found.read.count, 0)
  await grow(30 * MIB)
  const last = await scrubLocation(rig.placement, 's3')
  assert.deepEqual([last!.found.read.count, last!.isFinished], [3, true])
  assert.equal(new Set(keys).size, 5)
  assert.equal(keys.length, 5)

  assert.equal(await scrubLocation(rig.placement, 's3'), null, 'once a month')
  Object.assign(rig.placement.settings, { scrubBucketBytes: MIB / 2, scrubIntervalMs: 0 })
  const small = await scrubLocation(rig.placement, 's3')
  assert.deepEqual(small!.found, { read: { count: 0, bytes: 0 }, wrong: 0, unread: 5 }, 'larger than a month')
  Object.assign(rig.placement.settings, { scrubBucketBytes: 0 })
  assert.equal(await scrubLocation(rig.placement, 's3'), null)
  assert.equal(keys.length, 5)
  backendOf().get = get
})

test('the budget comes by and by: a day of a pause at most, and nothing of a clock that was set back', async () => {
  await twice(randomBytes(100))
  const monthly = 30 * MIB
  const take = (bytes: number) => takeFromBudget(rig.placement, 's3', bytes, monthly)
  const setAgo = (interval: string) =>
    database.pool.query(`update scrub_budget set at = now() - $1::interval`, [interval])
  assert.equal(await take(1), false)
  await setAgo('12 hours')
  assert.equal(await take(MIB / 2), true)
  await setAgo('200 days')
  assert.equal(await take(1.1 * MIB), false)
  assert.equal(await take(0.9 * MIB), true)
  await setAgo('-200 days')
  assert.equal(await take(MIB / 2), false)
  const { rows } = await database.pool.query<{ isNow: boolean }>(
    `select at <= now() as "isNow" from scrub_budget where location_id = 's3'`,
  )
  assert.equal(rows[0]!.isNow, true)
})

test('two processes are not at one place, and one that died is followed by another', async () => {
  await twice(randomBytes(1_000))
  const { get } = backendOf()
  const held = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  backendOf().get = async (...args) => {
    asked.resolve()
    await held.promise
    return get(...args)
  }
  const one = scrub('s3')
  await asked.promise
  assert.equal(await scrub('s3'), null)
  await database.pool.query(`update location_scrub set lease_expires_at = now() - interval '1 second'`)
  backendOf().get = get
  assert.equal((await scrub('s3'))!.isFinished, true)
  held.resolve()
  await assert.rejects(one, { code: 'conflict' })
})

test('whoever wants all of it read now does not mean what a pass has read weeks ago', async () => {
  for (let n = 0; n < 3; n += 1) await twice(randomBytes(1_000))
  // A byte in ten minutes: what comes by while this runs allows no third file.
  rig.placement.settings.scrubBucketBytes = 4_500
  await database.pool.query(
    `insert into scrub_budget (location_id, allowed_bytes) values ('s3', 2500)
     on conflict (location_id) do update set allowed_bytes = 2500, at = now()`,
  )
  const { found, isFinished } = (await scrubLocation(rig.placement, 's3'))!
  assert.deepEqual([found.read.count, isFinished], [2, false])
  await database.pool.query(`update location_scrub set begun_at = begun_at - interval '20 days'`)
  const all = await scrub('s3')
  assert.deepEqual([all!.found.read.count, all!.isFinished], [3, true])
  const age = Date.now() - Date.parse((await statusOf('s3')).readSince!)
  assert.ok(age < 3_600_000, 'everything was read since this pass began, and not since the one before')
})

test('what is interrupted goes on behind what was read', async () => {
  for (let n = 0; n < 3; n += 1) await twice(randomBytes(1_000))
  const stop = new AbortController()
  const { get } = backendOf()
  let gets = 0
  backendOf().get = async (...args) => {
    gets += 1
    const got = await get(...args)
    if (gets === 2) stop.abort()
    return got
  }
  const first = await scrubLocation(rig.placement, 's3', { isUnlimited: true, signal: stop.signal })
  backendOf().get = get
  assert.equal(first!.isFinished, false)
  assert.equal(first!.found.read.count, 1)
  const second = await scrub('s3')
  assert.deepEqual([second!.found.read.count, second!.isFinished], [2, true])
})

test('a budget of money is spent by the price list, and the tighter of both wins', async () => {
  const ids = []
  for (let n = 0; n < 4; n += 1) ids.push(await twice(randomBytes(MIB)))
  const list = {
    asOf: '2026-12',
    source: 'test',
    currency: 'USD',
    reading: { perGb: 1_024, per1000: 0 },
    classes: { STANDARD: { storagePerGbMonth: 0, putsPer1000: 0 } },
  }
  rig.placement.prices = { priced: list }
  // 1 USD for a file of 1 MiB: two of them for this month's money, thirty for its bytes.
  const place = rig.placement.locations.get('s3')!
  Object.assign(place, { provider: 'priced', scrub: { bytes: 30 * MIB, money: 2 } })
  const fill = () =>
    database.pool.query(
      `insert into scrub_budget (location_id, allowed_bytes) values ('s3', $1)
       on conflict (location_id) do update set allowed_bytes = $1, at = now()`,
      [30 * MIB],
    )
  await fill()
  assert.equal((await scrubLocation(rig.placement, 's3'))?.found.read.count, 2)
  assert.deepEqual((await statusOf('s3')).monthlyMoney, { amount: 2, currency: 'USD' })
  Object.assign(place, { scrub: { bytes: 1.5 * MIB, money: 1_000 } })
  await fill()
  assert.equal((await scrubLocation(rig.placement, 's3'))?.found.read.count, 1, 'the bytes are tighter')
  // A class without a price is not read for money that nobody knows.
  await database.pool.query("update replica set storage_class = 'ONEZONE_IA' where location_id = 's3'")
  await fill()
  const { found } = (await scrubLocation(rig.placement, 's3'))!
  assert.deepEqual([found.read.count, found.unread], [0, 1])
})
