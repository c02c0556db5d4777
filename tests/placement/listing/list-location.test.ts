import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { sql } from 'kysely'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { type Difference, listLocation } from '../../../src/placement/listing/list-location.ts'
import type { ObjectInfo, ObjectKey } from '../../../src/storage/backend.ts'
import { compareKeys } from '../../../src/storage/object-key.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { type ClassBucket, startClassBucket } from '../../support/storage/class-bucket.ts'
import { leaveTo } from '../../support/storage/permit.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let bucket: ClassBucket
let stranger: S3Client
let rig: Awaited<ReturnType<typeof testPlacement>>

beforeEach(async () => {
  database = await testDatabase()
  bucket = await startClassBucket({}, 's3')
  const { endpoint } = bucket.server
  const credentials = { accessKeyId: 'classes', secretAccessKey: 'classes-secret' }
  stranger = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
  rig = await testPlacement(database.db, { remotes: [], extra: [bucket.location] })
})
afterEach(async () => {
  stranger.destroy()
  await rig.close()
  await bucket.close()
  await database.drop()
})

/** By another program's hand: under any key. */
async function putStray(Key: string, Body: Buffer | string): Promise<void> {
  await stranger.send(new PutObjectCommand({ Bucket: 'photos', Key, Body }))
}

async function all(listing: AsyncIterable<Difference>): Promise<Difference[]> {
  const found: Difference[] = []
  for await (const entry of listing) found.push(entry)
  return found
}
const keyOf = ({ listed, replica }: Difference) => (listed ?? replica)!.key as string

async function inBucket(count: number): Promise<string[]> {
  const keys: string[] = []
  for (let n = 0; n < count; n += 1) {
    const id = await ingestBytes(rig.placement, randomBytes(100 + n))
    await replicateObject(rig.placement, { objectId: id, to: 's3' })
    keys.push(
      (await loadObject(database.db, id))!.replicas.find(({ locationId }) => locationId === 's3')!.key,
    )
  }
  return keys
}

/** Rows as `count` proven replicas have them, without their bytes. */
async function rowsOf(count: number, locationId: string): Promise<void> {
  await sql`
    with object as (
      insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension, is_linked)
      select gen_random_uuid(), ${randomUUID()}, 'original', 1, sha256(n::text::bytea), 'image/jpeg', 'jpg', true
      from generate_series(1, ${count}) as n returning id)
    insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
    select id, ${locationId}, 'users/' || id || '/original.jpg', 'writing', 'test', now() from object`.execute(
    database.db,
  )
}

test('A5: what a bucket lists is laid beside what the ledger has there, one request for it all', async () => {
  const [gone, ...there] = (await inBucket(4)).sort(compareKeys)
  await bucket.location.backend.delete(leaveTo([gone as ObjectKey]))
  const stray = 'users/nobody/stray.jpg'
  await putStray(stray, Buffer.from('a stray'))
  await putStray('somebody-elses.txt', Buffer.from('not ours'))
  const lists = bucket.server.faults.add({
    match: { operation: 'ListObjectsV2' },
    fault: { kind: 'delay', ms: 0 },
  })
  const heads = bucket.server.faults.add({
    match: { operation: 'HeadObject' },
    fault: { kind: 'delay', ms: 0 },
  })

  const found = await all(listLocation(rig.placement, bucket.location))
  assert.deepEqual(found.map(keyOf), [gone!, ...there, stray].sort(compareKeys))
  for (const entry of found) {
    if (keyOf(entry) === gone) assert.equal(entry.listed, null)
    else if (keyOf(entry) === stray)
      assert.deepEqual([entry.replica, 'stray' in entry && entry.stray], [null, 'unknown'])
    else {
      assert.equal(entry.listed!.size, entry.replica!.size)
      assert.equal(entry.listed!.etag, entry.replica!.proof!.etag)
    }
  }
  assert.deepEqual([lists.hits, heads.hits], [3, 0])
})

test('A5: a stray is told from what is under way, and from what the ledger gave out before', async () => {
  const [kept] = await inBucket(1)
  const before = 'users/a/used.jpg'
  const underWay = 'users/b/forwarded.jpg'
  await sql`insert into used_key (location_id, key) values ('s3', ${before})`.execute(database.db)
  await sql`insert into unfinished_upload (location_id, key, upload_id, lease_expires_at)
    values ('s3', ${underWay}, null, now())`.execute(database.db)
  for (const key of [before, underWay]) await putStray(key, Buffer.from(key))

  const found = await all(listLocation(rig.placement, bucket.location))
  const strays = new Map(found.map((entry) => [keyOf(entry), 'stray' in entry ? entry.stray : null]))
  assert.deepEqual(Object.fromEntries(strays), { [kept!]: null, [before]: 'used', [underWay]: 'under-way' })
})

test('A5: a listing goes on behind a key, with all that comes after it and nothing before', async () => {
  const keys = (await inBucket(5)).sort(compareKeys)
  await bucket.location.backend.delete(leaveTo([keys[3] as ObjectKey]))
  const found = await all(listLocation(rig.placement, bucket.location, { after: keys[1]! }))
  assert.deepEqual(found.map(keyOf), keys.slice(2))
  assert.deepEqual(
    found.map(({ listed }) => listed !== null),
    [true, false, true],
  )
})

test('A5: thousands of keys on one side, on the other, and on both, also unsorted within pages', async () => {
  await rowsOf(3_500, 's3')
  const { rows } = await sql<{ key: string }>`select key from replica order by key collate "C"`.execute(
    database.db,
  )
  const keys = rows.map(({ key }) => key)
  const listed = [
    ...keys.slice(1_200),
    ...Array.from({ length: 2_100 }, (_, n) => `users/g${n}/${n % 7}.jpg`),
  ]
  // Some at a time.
  for (let at = 0; at < listed.length; at += 40)
    await Promise.all(listed.slice(at, at + 40).map((key) => putStray(key, 'x')))
  bucket.server.profile.unsortedLists = true

  const found = await all(listLocation(rig.placement, bucket.location))
  const expected = [...new Set([...keys, ...listed])].sort(compareKeys)
  assert.deepEqual(found.map(keyOf), expected)
  const isListed = new Set(listed)
  const isKnown = new Set(keys)
  for (const entry of found)
    assert.deepEqual(
      [entry.listed !== null, entry.replica !== null],
      [isListed.has(keyOf(entry)), isKnown.has(keyOf(entry))],
    )
})

test('A5: keys are compared by their bytes, as PostgreSQL and the strict server order them', async () => {
  const odd = [
    'users/￿.jpg',
    'users/\u{1f600}.jpg',
    'users/a-b.jpg',
    'users/a/b.jpg',
    'users/Z.jpg',
    'users/é.jpg',
  ]
  for (const key of odd) await putStray(key, Buffer.from(key))
  const { rows } = await sql<{ key: string }>`
    select key from unnest(${odd}::text[]) as key order by key collate "C"`.execute(database.db)
  assert.deepEqual(
    odd.toSorted(compareKeys),
    rows.map(({ key }) => key),
  )
  const found = await all(listLocation(rig.placement, bucket.location))
  assert.deepEqual(
    found.map(keyOf),
    rows.map(({ key }) => key),
  )
})

test('A5: a listing in no order at all is refused, and nothing is taken for missing', async () => {
  const keys = Array.from({ length: 5_000 }, (_, n) => `users/${String(n).padStart(5, '0')}.jpg`).reverse()
  async function* backwards(): AsyncGenerator<ObjectInfo> {
    for (const key of keys) yield { key: key as ObjectKey, size: 1, modifiedAt: new Date(), attested: [] }
  }
  const location = { ...bucket.location, backend: { ...bucket.location.backend, list: backwards } }
  await assert.rejects(all(listLocation(rig.placement, location)), {
    code: 'unavailable',
    message: /in no order/,
  })
})

test('A5: the media volume is listed the same way, without staged, recalled and cached files', async () => {
  const kept = await ingestBytes(rig.placement, randomBytes(300))
  const lost = await ingestBytes(rig.placement, randomBytes(400))
  const pathOf = async (id: string) =>
    join(rig.mediaLocation, (await loadObject(database.db, id))!.replicas[0]!.key as string)
  await rm(await pathOf(lost))
  await writeFile(join(rig.mediaLocation, 'staging', 'somebody.part'), 'staged')
  const found = await all(listLocation(rig.placement, rig.placement.local))
  assert.deepEqual(
    new Map(found.map((entry) => [entry.replica!.objectId, entry.listed?.size ?? null])),
    new Map([kept, lost].sort().map((id) => [id, id === kept ? 300 : null])),
  )
})
