import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, test } from 'node:test'
import { sql } from 'kysely'
import type { CliContext } from '../../../src/cli/context.ts'
import { checkFromCli } from '../../../src/cli/storage/check.ts'
import { styleFor } from '../../../src/cli/text.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { listingStatuses } from '../../../src/placement/listing/listing-runs.ts'
import { receiptOf } from '../../../src/placement/reports/receipt.ts'
import { countLost, storageStatus } from '../../../src/placement/reports/status.ts'
import type { ObjectInfo, ObjectKey } from '../../../src/storage/backend.ts'
import { fileBody } from '../../../src/storage/bytes/file-body.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { type ClassBucket, countOf, startClassBucket } from '../../support/storage/class-bucket.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let bucket: ClassBucket
let rig: Awaited<ReturnType<typeof testPlacement>>

beforeEach(async () => {
  database = await testDatabase()
  bucket = await startClassBucket({}, 's3')
  rig = await testPlacement(database.db, { remotes: [], extra: [bucket.location] })
})
afterEach(async () => {
  await rig.close()
  await bucket.close()
  await database.drop()
})

const places = (id: string) => placesOf(database.db, id)
const keyAt = async (id: string, locationId = 's3') =>
  (await loadObject(database.db, id))!.replicas.find((replica) => replica.locationId === locationId)!.key
const listNow = (id = 's3') => checkListing(rig.placement, id, { isNow: true })

/** In the bucket, and, with `isOffloaded`, only there. */
async function inBucket(bytes: Buffer, { isOffloaded = true } = {}): Promise<string> {
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  if (isOffloaded) await evictReplica(rig.placement, { objectId: id, from: 'local' })
  return id
}

async function jobsOf(id: string): Promise<string[]> {
  const { rows } = await sql<{ key: string }>`
    select key from graphile_worker.jobs where key like ${`%${id}%`} order by key`.execute(database.db)
  return rows.map(({ key }) => key.replace(id, 'id'))
}

test('A5: objects that were deleted in the bucket are at risk after the listing, for one HEAD each and none for the others', async () => {
  const ids: string[] = []
  for (let n = 0; n < 10; n += 1) ids.push(await inBucket(randomBytes(1_000 + n)))
  for (const id of ids.slice(0, 5)) await bucket.server.stored.vanish(await keyAt(id))
  const heads = countOf(bucket.server, 'HeadObject')
  const gets = countOf(bucket.server, 'GetObject')
  const lists = bucket.server.faults.add({
    match: { operation: 'ListObjectsV2' },
    fault: { kind: 'delay', ms: 0 },
  })

  const report = await listNow()
  assert.deepEqual([report!.found.missing, report!.found.different, report!.isFinished], [5, 0, true])
  // One for the backups, one for the catalogue, one for everything else, and the marker before and after.
  assert.deepEqual([lists.hits, heads.hits, gets.hits], [5, 5, 0])
  for (const [n, id] of ids.entries())
    assert.deepEqual(await places(id), [n < 5 ? 's3 suspect' : 's3 verified'])
  const { originals, locations } = await storageStatus(rig.placement)
  assert.deepEqual([originals.atRisk.count, originals.offloaded.count], [5, 5])
  assert.equal(locations.find(({ id }) => id === 's3')!.listing!.missing, 5)
  const { history } = await receiptOf(rig.placement, ids[0]!)
  assert.deepEqual([history.at(-1)!.to, history.at(-1)!.actor], ['suspect', 'daily listing'])

  assert.equal(await checkListing(rig.placement, 's3'), null, 'not due for a day')
  assert.equal((await listNow())!.found.missing, 0, 'what is known to be gone is not asked for again')
  assert.equal(heads.hits, 5)
})

test('A5: what was truncated or overwritten in the bucket is noticed by its size and its ETag', async () => {
  const short = await inBucket(randomBytes(5_000))
  const other = await inBucket(randomBytes(6_000))
  const well = await inBucket(randomBytes(7_000))
  await bucket.server.stored.truncateStored(await keyAt(short))
  const otherKey = await keyAt(other)
  await bucket.server.stored.vanish(otherKey)
  const bytes = randomBytes(6_000)
  const path = join(rig.mediaLocation, 'staging', 'other.part')
  await writeFile(path, bytes)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  await bucket.location.backend.put(otherKey, fileBody(path, 6_000, [{ algorithm: 'sha256', value: sha256 }]))

  const { found } = (await listNow())!
  assert.deepEqual([found.missing, found.different], [0, 2])
  assert.deepEqual(await places(short), ['s3 suspect'])
  assert.deepEqual(await places(other), ['s3 suspect'])
  assert.deepEqual(await places(well), ['s3 verified'])
})

test('A5: where there is another copy, the missing one is made anew', async () => {
  const id = await inBucket(randomBytes(9_000), { isOffloaded: false })
  const lost = await keyAt(id)
  await bucket.server.stored.vanish(lost)
  await listNow()
  assert.deepEqual(await places(id), ['local verified', 's3 suspect'])
  assert.ok((await jobsOf(id)).includes('replicate:id:s3'))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  assert.notEqual(await keyAt(id), lost)
})

test('A5: a file that is gone or cut on this disk is noticed too', async () => {
  const gone = await ingestBytes(rig.placement, randomBytes(2_000))
  const cut = await ingestBytes(rig.placement, randomBytes(3_000))
  const well = await ingestBytes(rig.placement, randomBytes(4_000))
  await rm(join(rig.mediaLocation, await keyAt(gone, 'local')))
  await truncate(join(rig.mediaLocation, await keyAt(cut, 'local')), 10)
  const { found } = (await listNow('local'))!
  assert.deepEqual([found.missing, found.different], [1, 1])
  assert.deepEqual(await places(gone), ['local suspect'])
  assert.deepEqual(await places(cut), ['local suspect'])
  assert.deepEqual(await places(well), ['local verified'])
})

test('A5: at another bucket of that name, or a folder without its mount, nothing is taken for missing', async () => {
  const id = await inBucket(randomBytes(1_500))
  const local = await ingestBytes(rig.placement, randomBytes(1_600))
  for (const { key } of await bucket.server.stored.objects()) await bucket.server.stored.vanish(key)
  await assert.rejects(listNow('s3'), { code: 'conflict' })
  await rm(rig.mediaLocation, { recursive: true })
  await assert.rejects(listNow('local'))
  assert.deepEqual(await places(id), ['s3 verified'])
  assert.deepEqual(await places(local), ['local verified'])
  assert.match((await listingStatuses(rig.placement)).get('s3')!.underWay!.error!, /marker/)
})

test('A5: the place changes while it is listed: what was found missing is forgotten again', async () => {
  const id = await inBucket(randomBytes(1_500))
  await bucket.server.stored.vanish(await keyAt(id))
  const { backend } = bucket.location
  const head = backend.head.bind(backend)
  const location = {
    ...bucket.location,
    backend: {
      ...backend,
      async head(...given: Parameters<typeof head>) {
        const held = await head(...given)
        await backend.writeMarker('another installation')
        return held
      },
    },
  }
  const locations = new Map([...rig.placement.locations, ['s3', location]])
  await assert.rejects(checkListing({ ...rig.placement, locations }, 's3', { isNow: true }), {
    code: 'conflict',
  })
  assert.deepEqual(await places(id), ['s3 verified'])
})

test('A5: what is proven while the listing is under way is not asked for, and a listing that leaves it out not believed', async () => {
  const before = await inBucket(randomBytes(1_100))
  const { backend } = bucket.location
  let during = ''
  const location = {
    ...bucket.location,
    backend: {
      ...backend,
      async *list(prefix: string): AsyncGenerator<ObjectInfo> {
        if (prefix !== 'users/') return
        during = await inBucket(randomBytes(1_200))
        yield* []
      },
    },
  }
  const heads = countOf(bucket.server, 'HeadObject')
  const locations = new Map([...rig.placement.locations, ['s3', location]])
  const report = await checkListing({ ...rig.placement, locations }, 's3', { isNow: true })
  assert.equal(report!.found.missing, 0)
  assert.deepEqual(await places(before), ['s3 verified'])
  assert.deepEqual(await places(during), ['s3 verified'])
  // One of the eviction, one for the file that the listing left out.
  assert.equal(heads.hits, 2)
})

test('A5: a listing that leaves out hundreds of files that are there is given up, not asked after one by one', async () => {
  const { backend } = bucket.location
  const bytes = randomBytes(100)
  for (let n = 0; n < 260; n += 1)
    await inBucket(Buffer.concat([bytes, Buffer.from(String(n))]), { isOffloaded: false })
  const location = {
    ...bucket.location,
    backend: {
      ...backend,
      list: async function* (): AsyncGenerator<ObjectInfo> {
        yield* []
      },
    },
  }
  const heads = countOf(bucket.server, 'HeadObject')
  const locations = new Map([...rig.placement.locations, ['s3', location]])
  await assert.rejects(checkListing({ ...rig.placement, locations }, 's3', { isNow: true }), {
    code: 'unavailable',
  })
  assert.ok(heads.hits < 220, `${heads.hits} HEADs`)
  const { originals } = await storageStatus(rig.placement)
  assert.equal(originals.both.count, 260)
})

test('A5: a listing that is cut goes on where it was, in any process, and its counts go on', async () => {
  await sql`
    with object as (
      insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension, is_linked)
      select gen_random_uuid(), gen_random_uuid(), 'thumbnail', 1, sha256(n::text::bytea), 'image/jpeg', 'jpg', true
      from generate_series(1, 2500) as n returning id)
    insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
    select id, 's3', 'users/' || id || '/thumbnail.jpg', 'writing', 'test', now() from object`.execute(
    database.db,
  )
  await sql`update replica set state = 'verified', proof_level = 3, verified_at = now() - interval '1 day'`.execute(
    database.db,
  )
  const { rows } = await sql<{ key: ObjectKey }>`select key from replica order by key collate "C"`.execute(
    database.db,
  )
  const { backend } = bucket.location
  const asked: (string | undefined)[] = []
  const locationThat = (list: (after: string | undefined) => AsyncGenerator<ObjectInfo>) =>
    new Map([
      ...rig.placement.locations,
      [
        's3',
        {
          ...bucket.location,
          backend: {
            ...backend,
            list: (_prefix: string, options: { after?: string } = {}) => {
              asked.push(options.after)
              return list(options.after)
            },
          },
        },
      ],
    ])
  async function* upTo(count: number, after = ''): AsyncGenerator<ObjectInfo> {
    for (const { key } of rows.slice(0, count))
      if (key > after) yield { key, size: 1, modifiedAt: new Date(), attested: [] }
  }
  const failing = locationThat(async function* (after) {
    yield* upTo(2_200, after)
    throw new Error('the line was cut')
  })
  await assert.rejects(checkListing({ ...rig.placement, locations: failing }, 's3', { isNow: true }), /cut/)
  const cut = (await listingStatuses(rig.placement)).get('s3')!
  assert.deepEqual([cut.seenAt, cut.underWay!.count, cut.underWay!.error], [null, 1_000, 'the line was cut'])

  const whole = locationThat((after) => upTo(rows.length, after))
  const report = await checkListing({ ...rig.placement, locations: whole }, 's3')
  assert.deepEqual([report!.isFinished, report!.found.listed.count], [true, 1_500])
  assert.deepEqual(asked, [undefined, rows[999]!.key])
  const finished = (await listingStatuses(rig.placement)).get('s3')!
  assert.deepEqual([finished.listed.count, finished.underWay], [2_500, null])
})

test('A5: two processes never list one place at the same time', async () => {
  let reports: unknown[] = []
  const { backend } = bucket.location
  const location = {
    ...bucket.location,
    backend: {
      ...backend,
      async *list(): AsyncGenerator<ObjectInfo> {
        reports = [await checkListing(rig.placement, 's3', { isNow: true })]
        yield* []
      },
    },
  }
  const locations = new Map([...rig.placement.locations, ['s3', location]])
  assert.ok(await checkListing({ ...rig.placement, locations }, 's3', { isNow: true }))
  assert.deepEqual(reports, [null])
})

test('A5: files that the ledger does not know are counted, and stay', async () => {
  await inBucket(randomBytes(1_000))
  const key = 'users/somebody/else.jpg' as ObjectKey
  const bytes = Buffer.from('nobody knows me')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  await bucket.location.backend.put(key, {
    size: bytes.length,
    digests: [{ algorithm: 'sha256', value: sha256 }],
    open: () => Readable.from([bytes]),
  })
  const { found } = (await listNow())!
  assert.deepEqual([found.unknown, found.listed.count], [{ count: 1, bytes: bytes.length }, 2])
  assert.ok(await bucket.location.backend.head(key))
})

test('A5: `glassine storage check` lists now, says what is missing, and ends with 3; then with 0, all being known', async () => {
  const id = await inBucket(randomBytes(1_000))
  await bucket.server.stored.vanish(await keyAt(id))
  const printed: string[] = []
  const context: CliContext = {
    print: (text) => printed.push(text),
    progress: () => undefined,
    style: styleFor(false, true),
    withDatabase: (use) => use(database.db, {} as never, database.pool),
    withPlacement: (use) => use(rig.placement, {} as never),
    withWorker: () => Promise.reject(new Error('this command does no jobs')),
    withoutLedger: () => Promise.reject(new Error('this command has a ledger')),
    isTerminal: false,
    explain: String,
    untilInterrupted: () => new AbortController().signal,
    input: { isTerminal: false, readAll: async () => '', ask: async () => '', askHidden: async () => '' },
  }
  assert.equal(await checkFromCli(context, 's3', {}), 3)
  assert.match(printed.join('\n'), /s3: 1 proven file missing and 0 changed files; 0 files/)
  assert.equal(await checkFromCli(context, undefined, { json: true }), 0)
  const report = JSON.parse(printed.at(-1)!) as { id: string; report: { isFinished: boolean } }[]
  assert.deepEqual(
    report.map((one) => [one.id, one.report.isFinished]),
    [
      ['local', true],
      ['s3', true],
    ],
  )
  await assert.rejects(checkFromCli(context, 'elsewhere', {}), { code: 'invalid' })
  assert.equal(await countLost(rig.placement), 1)
})
