/** Bytes on their way out of a real (strict) S3 server that cuts, lies, stalls and goes away. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { afterEach, beforeEach, test } from 'node:test'
import { sql } from 'kysely'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { withLocalFile } from '../../../src/placement/reads/recall.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { eventually, until } from '../../support/eventually.ts'
import { ingestBytes, locationOfBackend, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const CREDENTIALS = { accessKeyId: 'serve', secretAccessKey: 'serve-secret' }

let database: Awaited<ReturnType<typeof testDatabase>>
let server: StrictS3
let rig: Awaited<ReturnType<typeof testPlacement>>
let bytes: Buffer
let objectId: string

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
  })
  bytes = randomBytes(3_000_000)
  objectId = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId, to: 's3' })
  await evictReplica(rig.placement, { objectId, from: 'local' })
  server.counts.reset()
})

afterEach(async () => {
  await rig.close()
  await server.close()
  await database.drop()
})

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

async function read(range?: { start: number; end: number }): Promise<Buffer> {
  const object = await findServable(rig.placement, objectId)
  return collect(await object.open(range ? { range } : {}))
}

test('a range asks the bucket for that range only', async () => {
  assert.deepEqual(await read({ start: 1_000_000, end: 1_000_099 }), bytes.subarray(1_000_000, 1_000_100))
  assert.ok(server.counts.bytesOut < 20_000, `${server.counts.bytesOut} bytes left the bucket`)
})

test('a body that the bucket cuts is resumed from the offset that was reached', async () => {
  server.faults.add({ match: { method: 'GET' }, times: 2, fault: { kind: 'cut-response', atByte: 700_000 } })
  assert.deepEqual(await read(), bytes)
  assert.equal(server.counts.of('GetObject'), 3)
  assert.ok(server.counts.bytesOut < bytes.length * 1.2, 'nothing was read twice')
})

test('a bucket that keeps cutting makes the stream fail, never end short', async () => {
  server.faults.add({ match: { method: 'GET' }, fault: { kind: 'cut-response', atByte: 0 } })
  await assert.rejects(read())
  server.faults.clear()
  server.faults.add({ match: { method: 'GET' }, fault: { kind: 'truncate', atByte: 0, declare: 'short' } })
  await assert.rejects(read())
  server.faults.clear()
  assert.deepEqual(await read(), bytes)
})

test('sixty readers that leave free their connections at once, and the next one streams', async () => {
  for (let reader = 0; reader < 60; reader += 1) {
    const object = await findServable(rig.placement, objectId)
    const stream = await object.open()
    stream.destroy()
  }
  assert.deepEqual(await read(), bytes)
  await eventually(() =>
    assert.ok(server.openConnections() <= 2, `${server.openConnections()} connections are open`),
  )
})

test('a reader that leaves before the first byte came frees its connection, too', async () => {
  const hung = server.faults.add({ match: { method: 'GET' }, fault: { kind: 'hang' } })
  const object = await findServable(rig.placement, objectId)
  const gone = new AbortController()
  const refused = assert.rejects(object.open({ signal: gone.signal }))
  await until('the bucket is asked', () => hung.hits > 0)
  gone.abort()
  await refused
  server.faults.clear()
  assert.deepEqual(await read(), bytes)
})

test('a bucket that denies or is away is unavailable within its time limit, and nothing is suspected', async () => {
  for (const fault of [
    { kind: 'status', status: 503, code: 'SlowDown' },
    { kind: 'hang' },
    { kind: 'status', status: 403, code: 'AccessDenied' },
  ] as const) {
    server.faults.add({ match: { method: 'GET' }, fault })
    const object = await findServable(rig.placement, objectId)
    await assert.rejects(object.open(), { code: 'unavailable' })
    server.faults.clear()
  }
  assert.equal((await loadObject(database.db, objectId))!.replicas[0]!.state, 'verified')
})

test('an object that is gone from the bucket becomes suspect when it is asked for', async () => {
  const key = (await loadObject(database.db, objectId))!.replicas[0]!.key
  await server.stored.vanish(key)
  const object = await findServable(rig.placement, objectId)
  await assert.rejects(object.open(), { code: 'unavailable' })
  assert.equal((await loadObject(database.db, objectId))!.replicas[0]!.state, 'suspect')
})

test('a recall is one GET for everybody, verified, and within its limit', async () => {
  const users = await Promise.all(
    Array.from({ length: 5 }, () => withLocalFile(rig.placement, objectId, 'test', (path) => readFile(path))),
  )
  for (const got of users) assert.deepEqual(got, bytes)
  assert.equal(server.counts.of('GetObject'), 1)
  Object.assign(rig.placement.settings, { recallMaxBytes: 1000 })
  const another = await ingestBytes(rig.placement, randomBytes(2000))
  await replicateObject(rig.placement, { objectId: another, to: 's3' })
  await evictReplica(rig.placement, { objectId: another, from: 'local' })
  await assert.rejects(
    withLocalFile(rig.placement, another, 'test', async () => undefined),
    { code: 'too-large' },
  )
})

test('wrong bytes on the way are never handed to work on a file; the replica is read again before it is suspected', async () => {
  server.faults.add({ match: { method: 'GET' }, times: 1, fault: { kind: 'wrong-bytes' } })
  await assert.rejects(
    withLocalFile(rig.placement, objectId, 'test', async () => undefined),
    { code: 'unavailable' },
  )
  assert.equal((await loadObject(database.db, objectId))!.replicas[0]!.state, 'verified')
  assert.deepEqual(await withLocalFile(rig.placement, objectId, 'test', (path) => readFile(path)), bytes)
})

test('bytes that are wrong in the bucket make the replica suspect, and the sweep looks at it again', async () => {
  const key = (await loadObject(database.db, objectId))!.replicas[0]!.key
  await server.stored.tamper(key)
  await assert.rejects(
    withLocalFile(rig.placement, objectId, 'test', async () => undefined),
    { code: 'corrupt' },
  )
  assert.equal((await loadObject(database.db, objectId))!.replicas[0]!.state, 'suspect')
  await sweepPlacement(rig.placement)
  const { rows } =
    await sql`select 1 from graphile_worker.jobs where key = ${`replicate:${objectId}:s3`}`.execute(
      database.db,
    )
  assert.equal(rows.length, 1)
})

test('a bucket that damages what it is given is found out before the local copy goes', async () => {
  const fresh = await ingestBytes(rig.placement, randomBytes(100_000))
  server.faults.add({ match: { method: 'PUT' }, times: 1, fault: { kind: 'wrong-bytes' } })
  // Nothing was probed here, so nothing the bucket says counts: the copy is read back.
  await assert.rejects(replicateObject(rig.placement, { objectId: fresh, to: 's3' }), { code: 'corrupt' })
  await evictReplica(rig.placement, { objectId: fresh, from: 'local' })
  const states = (await loadObject(database.db, fresh))!.replicas.map(
    ({ locationId, state }) => `${locationId} ${state}`,
  )
  assert.deepEqual(states, ['local verified'])
  await replicateObject(rig.placement, { objectId: fresh, to: 's3' })
})
