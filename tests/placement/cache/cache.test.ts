/** The cache in front of a real (strict) S3 server whose requests are counted. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { sql } from 'kysely'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import type { ObjectKind } from '../../../src/database/schema.ts'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { closeCache } from '../../../src/placement/cache/open.ts'
import { loadObject, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { openPlacement } from '../../../src/placement/open.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { withLocalFile } from '../../../src/placement/reads/recall.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { lookEverywhere } from '../../../src/placement/uploads/look-everywhere.ts'
import { ensureCopy } from '../../../src/placement/uploads/repair.ts'
import { stageStream } from '../../../src/placement/uploads/stage.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { eventually } from '../../support/eventually.ts'
import { ingestBytes, locationOfBackend, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const CREDENTIALS = { accessKeyId: 'cache', secretAccessKey: 'cache-secret' }
const CHUNK = 256 * 1024
const WHOLE = 512 * 1024

let database: Awaited<ReturnType<typeof testDatabase>>
let server: StrictS3
let rig: Awaited<ReturnType<typeof testPlacement>>
/** One that is cached as a whole, and one in six chunks. */
let photo: { id: string; bytes: Buffer }
let film: { id: string; bytes: Buffer }

beforeEach(async () => {
  database = await testDatabase()
  server = await startStrictS3({ store: { kind: 'memory' }, credentials: CREDENTIALS, buckets: ['photos'] })
  const backend = openS3Backend(
    s3TestSettings(
      { endpoint: server.endpoint, ...CREDENTIALS, bucket: 'photos' },
      { prefix: '', requestTimeoutMs: 2_000 },
    ),
    silentLog,
  )
  rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['s3'],
    extra: [locationOfBackend('s3', 's3', backend)],
    settings: { cacheMaxBytes: 64 * 1024 ** 2, cacheWholeBytes: WHOLE, cacheChunkBytes: CHUNK },
  })
  photo = await offloaded(400_000)
  film = await offloaded(5 * CHUNK + 1_000)
  server.counts.reset()
})

afterEach(async () => {
  await rig.close()
  await server.close()
  await database.drop()
})

async function offloaded(size: number, kind: ObjectKind = 'original') {
  const bytes = randomBytes(size)
  const id = await ingestBytes(rig.placement, bytes, { kind })
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  return { id, bytes }
}

async function open(
  object: { id: string },
  range?: { start: number; end: number },
  placement = rig.placement,
) {
  return (await findServable(placement, object.id)).open(range ? { range } : {})
}

async function read(
  object: { id: string },
  range?: { start: number; end: number },
  placement = rig.placement,
) {
  return collect(await open(object, range, placement))
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const gets = () => server.counts.of('GetObject')
const cacheOf = ({ cache }: Placement) => cache!

/** What goes on behind an answer: the cache's files are written. */
async function quiet(placement = rig.placement): Promise<void> {
  const { pending } = cacheOf(placement)
  while (pending.size > 0) await Promise.all(pending)
}

async function cachedFiles(): Promise<string[]> {
  const folder = join(rig.mediaLocation, 'cache')
  // Before the first file there is no folder.
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

test('what was read once costs no second request, be it a file, a film or a part of it', async () => {
  assert.deepEqual(await read(photo), photo.bytes)
  assert.deepEqual(await read(film), film.bytes)
  assert.equal(gets(), 2, 'one request each, however many chunks')
  await quiet()
  assert.deepEqual(await read(photo), photo.bytes)
  assert.deepEqual(await read(photo, { start: 5, end: 300_000 }), photo.bytes.subarray(5, 300_001))
  assert.deepEqual(await read(film), film.bytes)
  for (const start of [0, CHUNK - 1, CHUNK, 3 * CHUNK + 17]) {
    const end = start + CHUNK
    assert.deepEqual(await read(film, { start, end }), film.bytes.subarray(start, end + 1))
  }
  assert.equal(gets(), 2)
})

test('a part of a film brings in the chunks that it touches, by one request for each gap', async () => {
  const { start, end } = { start: 2 * CHUNK + 10, end: 3 * CHUNK + 10 }
  assert.deepEqual(await read(film, { start, end }), film.bytes.subarray(start, end + 1))
  await quiet()
  assert.equal(gets(), 1)
  assert.ok(server.counts.bytesOut < 2 * CHUNK + 20_000, `${server.counts.bytesOut} bytes left the bucket`)
  assert.deepEqual(await read(film), film.bytes)
  assert.equal(gets(), 3, 'what lies before and what lies behind')
  await quiet()
  await read(film)
  assert.equal(gets(), 3)
})

test('thirty readers at a time cost one request, and each gets every byte', async () => {
  const readers = Array.from({ length: 30 }, (_, index) => read(index % 2 ? photo : film))
  for (const [index, bytes] of (await Promise.all(readers)).entries())
    assert.ok(bytes.equals(index % 2 ? photo.bytes : film.bytes))
  assert.ok(gets() <= 3, `${gets()} requests`)
})

test('an object that is cached is served while the bucket is away', async () => {
  await read(photo)
  await quiet()
  server.faults.add({ match: {}, fault: { kind: 'status', status: 503, code: 'SlowDown' } })
  assert.deepEqual(await read(photo), photo.bytes)
  await assert.rejects(read(film))
})

test('who leaves early leaves nothing behind; who leaves late leaves a finished file', async () => {
  server.faults.add({ match: { method: 'GET' }, times: 1, fault: { kind: 'hang' } })
  const gone = new AbortController()
  const opening = (await findServable(rig.placement, photo.id)).open({ signal: gone.signal })
  await eventually(() => assert.equal(cacheOf(rig.placement).fills.size, 1))
  gone.abort()
  await assert.rejects(opening)
  await quiet()
  assert.deepEqual(await cachedFiles(), [])
  assert.equal(cacheOf(rig.placement).fillBytes, 0)
  await eventually(() => assert.ok(server.openConnections() <= 1))

  server.counts.reset()
  const stream = await open(photo)
  const fill = [...cacheOf(rig.placement).fills.values()][0]
  await eventually(() => assert.ok(fill === undefined || fill.available * 2 >= photo.bytes.length))
  stream.destroy()
  await quiet()
  assert.deepEqual(await read(photo), photo.bytes)
  assert.equal(gets(), 1)
})

test('one reader that leaves does not take the bytes from another', async () => {
  const first = await open(film)
  const second = await open(film)
  first.destroy()
  assert.deepEqual(await collect(second), film.bytes)
})

test('wrong bytes never end as a success, are never kept, and count against the bucket only when it holds them', async () => {
  for (const object of [photo, film]) {
    server.faults.add({ match: { method: 'GET' }, times: 1, fault: { kind: 'wrong-bytes' } })
    // Of the photo nothing was sent yet when they were found out, so it is read again.
    if (object === photo) assert.deepEqual(await read(object), object.bytes)
    else await assert.rejects(read(object))
    await quiet()
    assert.equal((await loadObject(database.db, object.id))!.replicas[0]!.state, 'verified')
    for (const file of await cachedFiles()) await rm(file)
    assert.deepEqual(await read(object), object.bytes)
    await quiet()
    await rm(join(rig.mediaLocation, 'cache'), { recursive: true })
    await server.stored.tamper((await loadObject(database.db, object.id))!.replicas[0]!.key)
    await assert.rejects(read(object))
    await quiet()
    assert.deepEqual(await cachedFiles(), [])
    assert.equal((await loadObject(database.db, object.id))!.replicas[0]!.state, 'suspect')
  }
})

test('a part of an object that was replaced in the bucket is not kept', async () => {
  const { key } = (await loadObject(database.db, film.id))!.replicas[0]!
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: CREDENTIALS,
  })
  const Body = randomBytes(film.bytes.length)
  await client.send(new PutObjectCommand({ Bucket: 'photos', Key: key, Body }))
  client.destroy()
  await assert.rejects(read(film, { start: CHUNK, end: CHUNK + 10 }), { code: 'unavailable' })
  await quiet()
  assert.deepEqual(await cachedFiles(), [])
  assert.equal((await loadObject(database.db, film.id))!.replicas[0]!.state, 'suspect')
})

test('a part of a replica that has rotted is not kept when that is found out, nor given to anybody after a repair', async () => {
  const { key } = (await loadObject(database.db, film.id))!.replicas[0]!
  await server.stored.tamper(key, { offset: CHUNK + 5 })
  const part = { start: CHUNK, end: CHUNK + 10 }
  assert.notDeepEqual(await read(film, part), film.bytes.subarray(CHUNK, CHUNK + 11))
  await quiet()
  assert.equal((await lookEverywhere(rig.placement, film.id)).answer, 'different')
  const sent = await stageStream(rig.placement, Readable.from([film.bytes]), { maxBytes: 1e7 })
  assert.equal(await ensureCopy(rig.placement, film.id, sent), 'repaired')
  await sent.discard()
  await replicateObject(rig.placement, { objectId: film.id, to: 's3' })
  await replicateObject(rig.placement, { objectId: film.id, to: 's3' })
  await evictReplica(rig.placement, { objectId: film.id, from: 'local' })
  assert.deepEqual(await placesOf(database.db, film.id), ['s3 verified'])
  assert.deepEqual(await read(film, part), film.bytes.subarray(CHUNK, CHUNK + 11))
})

/** The bucket holds other bytes of it from now on, and still names the ETag that was proven. */
async function rot({ id }: { id: string }, offset: number): Promise<void> {
  const { key } = (await loadObject(database.db, id))!.replicas[0]!
  await server.stored.tamper(key, { offset })
}

for (const { title, filler } of [
  { title: 'this process', filler: async () => rig.placement },
  { title: 'another one', filler: otherProcess },
])
  test(`of a replica that is found bad nothing is kept that ${title} is still fetching`, async (t) => {
    const filling = await filler(t)
    await rot(film, 4 * CHUNK + 5)
    const reading = await open(film, { start: CHUNK + 1, end: film.bytes.length - 1 }, filling)
    const pieces = reading[Symbol.asyncIterator]()
    for (let received = 0; received < CHUNK + 10; ) received += ((await pieces.next()).value as Buffer).length
    assert.equal((await lookEverywhere(rig.placement, film.id)).answer, 'different')
    while (!(await pieces.next()).done);
    await quiet(filling)
    assert.deepEqual(await cachedFiles(), [])
  })

test('right bytes under a new ETag are judged once, proven anew, and then served', async () => {
  await sql`update replica set proof = jsonb_set(proof, '{etag}', '"0123456789abcdef0123456789abcdef"')
    where object_id = ${film.id}`.execute(database.db)
  const verdicts: string[] = []
  const warn = (_: object, message: string) => verdicts.push(message)
  Object.assign(rig.placement, { log: { ...rig.placement.log, warn } })
  const wanted = film.bytes.subarray(CHUNK, CHUNK + 11)
  const seeks = await Promise.all(
    Array.from({ length: 10 }, () => read(film, { start: CHUNK, end: CHUNK + 10 })),
  )
  for (const seek of seeks) assert.deepEqual(seek, wanted)
  await quiet()
  assert.equal(
    verdicts.filter((text) => text.includes('proven anew')).length,
    1,
    'judged once, not once for each',
  )
  assert.equal((await loadObject(database.db, film.id))!.replicas[0]!.state, 'verified')
  assert.deepEqual(await read(film), film.bytes)
})

test('damaged, missing and unwritable files are misses', async () => {
  await read(film)
  await quiet()
  const [file, other] = await cachedFiles()
  const bytes = await readFile(file!)
  bytes[1_000]! ^= 1
  await writeFile(file!, bytes)
  await rm(other!)
  server.counts.reset()
  assert.deepEqual(await read(film), film.bytes)
  assert.ok(gets() >= 1 && gets() <= 2)
  await quiet()

  const folder = join(rig.mediaLocation, 'cache')
  await rm(folder, { recursive: true })
  await writeFile(folder, 'in the way')
  assert.deepEqual(await read(film), film.bytes)
  await quiet()
  assert.deepEqual(await read(photo), photo.bytes)
  await quiet()
  assert.equal(cacheOf(rig.placement).fillBytes, 0)
})

test('it survives a restart, and a smaller limit after it', async () => {
  await read(photo)
  await read(film)
  await quiet()
  const settings = { ...rig.placement.settings }
  const restart = (cacheMaxBytes: number) =>
    openPlacement({
      db: database.db,
      log: silentLog,
      locations: [...rig.placement.locations.values()],
      localId: 'local',
      mediaLocation: rig.mediaLocation,
      policy: rig.placement.policy,
      isAwaited: isOfUnendedUpload,
      settings: { ...settings, cacheMaxBytes },
    })
  const again = await restart(64 * 1024 ** 2)
  server.counts.reset()
  assert.deepEqual(await read(film, undefined, again), film.bytes)
  assert.equal(gets(), 0)
  assert.ok(cacheOf(again).totalBytes > film.bytes.length + photo.bytes.length)
  const small = await restart(1024 ** 2)
  await cacheOf(small).scan.isRunning
  assert.ok(cacheOf(small).totalBytes <= 1024 ** 2)
  assert.equal((await restart(0)).cache, null)
  assert.deepEqual(await readdir(rig.mediaLocation).then((names) => names.includes('cache')), false)
})

test('a purged object is gone from the cache, too, also one that is being read', async () => {
  await read(photo)
  await quiet()
  const reading = await open(film)
  for (const { id } of [photo, film]) {
    await database.db.transaction().execute((tx) => markForPurge(tx, [id], 'user'))
    await purgeObject(rig.placement, { objectId: id })
  }
  reading.destroy()
  await quiet()
  assert.deepEqual(await cachedFiles(), [])
})

/**
 * Another process with the same ledger and the same media volume, and a cache of its own account of the same
 * folder.
 */
async function otherProcess(t: TestContext): Promise<Placement> {
  const { db, log, locations, local, mediaLocation, policy, settings } = rig.placement
  const parts = {
    db,
    log,
    locations: [...locations.values()],
    localId: local.id,
    mediaLocation,
    policy,
    isAwaited: isOfUnendedUpload,
    settings,
  }
  const placement = await openPlacement(parts)
  t.after(() => closeCache(cacheOf(placement)))
  return placement
}

/** As the worker does it when the user deletes for good; what it fails with, if it does. */
async function purge(...objects: { id: string }[]): Promise<Error[]> {
  const ids = objects.map(({ id }) => id)
  await database.db.transaction().execute((tx) => markForPurge(tx, ids, 'user'))
  const failures: Error[] = []
  for (const objectId of ids)
    await purgeObject(rig.placement, { objectId }).catch((error: Error) => failures.push(error))
  return failures
}

test('a purge by one process takes what another has cached, and what that is fetching', async (t) => {
  const other = await otherProcess(t)
  await read(photo, undefined, other)
  await quiet(other)
  assert.equal((await cachedFiles()).length, 1)
  const slow = server.faults.add({
    match: { operation: 'GetObject' },
    fault: { kind: 'slow', bytesPerSecond: 500_000 },
  })
  const reading = collect(await open(film, undefined, other))
  // It has some chunks by now, and is fetching the next.
  while ((await cachedFiles()).length < 3) await sleep(10)
  assert.deepEqual(await purge(photo, film), [])
  slow.remove()
  // Whoever was allowed to begin may end; a strict service sends the rest of what it began.
  await reading.catch(() => undefined)
  await quiet(other)
  assert.deepEqual(await cachedFiles(), [])
})

test('a purge takes what is cached and recalled at once, also while the bucket is away', async (t) => {
  const other = await otherProcess(t)
  await read(photo, undefined, other)
  await read(film, undefined, other)
  await withLocalFile(other, photo.id, 'test', async () => undefined)
  await withLocalFile(rig.placement, film.id, 'test', async () => undefined)
  await Promise.all([quiet(other), quiet()])
  const recalled = async () => {
    const names = await readdir(join(rig.mediaLocation, 'recall'), { recursive: true })
    return names.filter((name) => name.includes(photo.id) || name.includes(film.id))
  }
  assert.equal((await recalled()).length, 2)
  server.faults.add({ match: { operation: 'DeleteObjects' }, fault: { kind: 'reset' } })
  server.faults.add({ match: { operation: 'DeleteObject' }, fault: { kind: 'reset' } })
  assert.equal((await purge(photo, film)).length, 2)
  assert.deepEqual(await cachedFiles(), [])
  assert.deepEqual(await recalled(), [])
})

test('a purge that was killed right after its rows went is run again to the end', async (t) => {
  const other = await otherProcess(t)
  await read(film, undefined, other)
  await quiet(other)
  const files = new Map<string, Buffer>()
  for (const path of await cachedFiles()) files.set(path, await readFile(path))
  await purge(photo, film)
  for (const [path, bytes] of files) await writeFile(path, bytes)
  assert.ok((await cachedFiles()).length > 0)
  await purgeObject(rig.placement, { objectId: film.id })
  assert.deepEqual(await cachedFiles(), [])
})

test('a recall takes from the cache, and brings nothing in', async () => {
  await read(film)
  await quiet()
  server.counts.reset()
  await withLocalFile(rig.placement, film.id, 'test', async (path) =>
    assert.deepEqual(await readFile(path), film.bytes),
  )
  assert.equal(gets(), 0)
  await withLocalFile(rig.placement, photo.id, 'test', async (path) =>
    assert.deepEqual(await readFile(path), photo.bytes),
  )
  assert.equal(gets(), 1)
  assert.ok((await cachedFiles()).every((path) => path.includes(film.id)))
})

test('a fresh thumbnail that leaves the disk is at hand all the same; an old one, or an original, costs a request', async () => {
  rig.placement.policy = policyOf(['s3'], ['s3'])
  const fresh = await offloaded(20_000, 'thumbnail')
  server.counts.reset()
  assert.deepEqual(await read(fresh), fresh.bytes)
  assert.equal(gets(), 0)
  rig.placement.now = () => new Date(Date.now() + 25 * 3_600_000)
  const old = await offloaded(20_000, 'thumbnail')
  server.counts.reset()
  assert.deepEqual(await read(old), old.bytes)
  assert.deepEqual(await read(photo), photo.bytes)
  assert.equal(gets(), 2)
})

test('while the volume is nearly full the cache gives room back and takes nothing', async () => {
  await read(film)
  await quiet()
  const cache = cacheOf(rig.placement)
  const held = cache.totalBytes
  const totalBytes = 1024 ** 4
  cache.space = async () => ({ freeBytes: 1024 ** 3 - CHUNK, totalBytes })
  cache.shortage.askedAt = Number.NEGATIVE_INFINITY
  assert.deepEqual(await read(photo), photo.bytes)
  await quiet()
  assert.ok(
    cache.totalBytes <= held - CHUNK + photo.bytes.length + 1_000,
    'at least what was missing is free',
  )
  cache.space = async () => ({ freeBytes: 0, totalBytes })
  cache.shortage.askedAt = Number.NEGATIVE_INFINITY
  await rm(join(rig.mediaLocation, 'cache'), { recursive: true })
  assert.deepEqual(await read(film), film.bytes)
  await quiet()
  assert.deepEqual(await cachedFiles(), [])
})

test('what is cached counts for nothing: without a verified replica the object is at risk', async () => {
  await read(photo)
  await quiet()
  const [replica] = (await loadObject(database.db, photo.id))!.replicas
  await suspectReplica(database.db, replica!, 'test')
  const { originals } = await storageStatus(rig.placement)
  assert.equal(originals.atRisk.count, 1)
  assert.equal(originals.offloaded.count, 1)
  await assert.rejects(read(photo), { code: 'unavailable' })
})
