/**
 * A bucket that was copied or encrypted anew gives right bytes other ETags. They stay readable, are asked for
 * once, and are read by and by.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { sql } from 'kysely'
import type { StrictProfile } from 'strict-s3/profiles'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { rebalanceAnew } from '../../../src/placement/maintenance/rebalance.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { planAdoption } from '../../../src/placement/takeover/plan-adoption.ts'
import { findSafeObjects } from '../../../src/placement/uploads/safe-copies.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { type ClassBucket, countOf, startClassBucket } from '../../support/storage/class-bucket.ts'

/** Says nothing of the bytes but an ETag of its own. */
const SILENT = { opaqueEtags: true, multipartEtags: 'random', ignoreChecksums: true } as const

let database: Awaited<ReturnType<typeof testDatabase>>
let bucket: ClassBucket
let rig: Awaited<ReturnType<typeof testPlacement>>

beforeEach(async () => {
  database = await testDatabase()
})
afterEach(async () => {
  await rig.close()
  await bucket.close()
  await database.drop()
})

async function openWith(profile: Partial<StrictProfile>): Promise<void> {
  bucket = await startClassBucket(profile, 's3')
  rig = await testPlacement(database.db, { remotes: [], extra: [bucket.location] })
}

const places = (id: string) => placesOf(database.db, id)
const read = async (id: string) => buffer(await (await findServable(rig.placement, id)).open())
const listNow = () => checkListing(rig.placement, 's3', { isNow: true })

async function replicaOf(id: string) {
  return (await loadObject(database.db, id))!.replicas.find(({ locationId }) => locationId === 's3')!
}

async function inBucket(bytes: Buffer, { isOffloaded = true } = {}): Promise<string> {
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  // Of this service, reading it is what gives up the local copy.
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  if (isOffloaded) await evictReplica(rig.placement, { objectId: id, from: 'local' })
  return id
}

/** As after a copy of the bucket: what is proven is another ETag than that which the bucket has. */
async function rename(): Promise<void> {
  await sql`update replica set proof = jsonb_set(proof, '{etag}', '"0123456789abcdef0123456789abcdef"')
    where location_id = 's3'`.execute(database.db)
}

async function jobsOf(id: string): Promise<string[]> {
  const { rows } = await sql<{ key: string }>`
    select key from graphile_worker.jobs where key like ${`%${id}%`} order by key`.execute(database.db)
  return rows.map(({ key }) => key.replace(id, 'id'))
}

async function adopt() {
  await sql`update location_counter set conflict = 'another-ledger', conflict_since = now()
    where location_id = 's3'`.execute(database.db)
  await beginAdoption(rig.placement, 's3', 'test')
  return (await adoptLocation(rig.placement, { locationId: 's3' }))!
}

for (const how of ['listing', 'adoption'] as const)
  test(`a file of which the ${how} shows another ETag stays readable, and is read by the sweep`, async () => {
    await openWith(SILENT)
    const contents = [randomBytes(30_000), randomBytes(30_000)]
    const ids = [await inBucket(contents[0]!), await inBucket(contents[1]!)]
    await rename()
    await bucket.server.stored.tamper((await replicaOf(ids[1]!)).key)
    const heads = countOf(bucket.server, 'HeadObject')
    const gets = countOf(bucket.server, 'GetObject')
    if (how === 'listing') {
      const { found } = (await listNow())!
      assert.deepEqual([found.missing, found.different], [0, 0])
      await listNow()
    } else {
      const plan = await planAdoption(rig.placement, 's3')
      const report = await adopt()
      for (const { confirmed, toRead, wrong } of [plan, report])
        assert.deepEqual([confirmed.count, toRead.count, wrong.count], [2, 2, 0])
    }
    assert.deepEqual([heads.hits, gets.hits], [2, 0], 'one request for each, and nothing is read yet')
    for (const id of ids) assert.deepEqual(await places(id), ['s3 verified'])
    const { locations } = await storageStatus(rig.placement)
    assert.equal(locations.find(({ id }) => id === 's3')!.doubted.count, 2)
    assert.deepEqual([...(await findSafeObjects(rig.placement, ids))], [], 'nobody deletes theirs for it')

    await sql`delete from graphile_worker._private_jobs`.execute(database.db)
    rebalanceAnew(rig.placement)
    await sweepPlacement(rig.placement)
    for (const id of ids) assert.deepEqual(await jobsOf(id), ['replicate:id:s3'])
    await replicateObject(rig.placement, { objectId: ids[0]!, to: 's3' })
    await replicateObject(rig.placement, { objectId: ids[1]!, to: 's3' }).catch(() => undefined)
    assert.deepEqual(await places(ids[0]!), ['s3 verified'])
    assert.deepEqual(await places(ids[1]!), ['s3 suspect'])
    assert.equal((await replicaOf(ids[0]!)).proof!.doubt, undefined)
    assert.deepEqual(await read(ids[0]!), contents[0])
    assert.deepEqual([...(await findSafeObjects(rig.placement, ids))], [ids[0]])
    await listNow()
    assert.equal(heads.hits, 2, 'what is known by its new ETag is not asked for again')
  })

test('a file of which a listing shows another ETag can be read at once', async () => {
  await openWith(SILENT)
  const bytes = randomBytes(30_000)
  const id = await inBucket(bytes)
  await rename()
  await listNow()
  assert.deepEqual(await read(id), bytes)
  assert.equal((await replicaOf(id)).proof!.doubt, undefined, 'and is proven anew by that')
})

test('what the bucket attests to is proven with its new ETag by the listing, however many there are', async () => {
  await openWith({})
  const ids: string[] = []
  for (let n = 0; n < 3; n += 1) ids.push(await inBucket(randomBytes(1_000 + n)))
  await rename()
  const heads = countOf(bucket.server, 'HeadObject')
  await listNow()
  await listNow()
  assert.equal(heads.hits, 3)
  for (const id of ids) assert.equal((await replicaOf(id)).proof!.doubt, undefined)
})

test('a copy with another ETag is read before the one that is given up for it is kept or goes', async () => {
  await openWith(SILENT)
  const [right, wrong] = [randomBytes(30_000), randomBytes(30_000)]
  const ids = [await inBucket(right, { isOffloaded: false }), await inBucket(wrong, { isOffloaded: false })]
  await rename()
  await bucket.server.stored.tamper((await replicaOf(ids[1]!)).key)
  await evictReplica(rig.placement, { objectId: ids[0]!, from: 'local' })
  assert.deepEqual(await places(ids[0]!), ['s3 verified'])
  await evictReplica(rig.placement, { objectId: ids[1]!, from: 'local' }).catch(() => undefined)
  assert.deepEqual(await places(ids[1]!), ['local verified', 's3 suspect'])
})
