/**
 * Every reader gets the right bytes or an error: originals at two places and at one, damaged behind the
 * server's back in every way that disks and buckets know. Over HTTP, on real files and a strict S3 server
 * with two buckets.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import sharp from 'sharp'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import type { Replica } from '../../../src/placement/ledger/objects.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { withLocalFile } from '../../../src/placement/reads/recall.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { eventually } from '../../support/eventually.ts'
import { readZip } from '../../support/files/zip.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { startTestServer, type TestServer, type TestServerOptions } from '../../support/server.ts'

const CREDENTIALS = { accessKeyId: 'right', secretAccessKey: 'right-secret' }
const SMALL = 300_000
const LARGE = 2_000_000
// What follows behind its end decoders don't mind. A head of random bytes claims sizes for which each time
// another decoder starts.
const picture = await sharp({ create: { width: 64, height: 48, channels: 3, background: 'teal' } })
  .jpeg()
  .toBuffer()

type Rig = {
  server: TestServer
  bucket: StrictS3
  bytes: Buffer
  assetId: string
  objectId: string
  /** The replica at a place, as the ledger has it now. */
  at(locationId: string): Promise<Replica>
  path(): Promise<string>
  get(headers?: Record<string, string>): Promise<Response>
  /** With the SHA-256 of the answer's bytes, or null where it was cut off. */
  read(headers?: Record<string, string>): Promise<{ status: number; body: string | null }>
  /** Puts other bytes under the key of a replica in a bucket. */
  overwrite(locationId: string, body: Buffer): Promise<void>
}

/**
 * One original of `size` bytes, at the places where originals belong and nowhere else. `east` and `west` are
 * buckets.
 */
async function start(
  t: TestContext,
  places: ('local' | 'east' | 'west')[],
  size: number,
  options: TestServerOptions = {},
): Promise<Rig> {
  const bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: ['east', 'west'],
  })
  t.after(() => bucket.close())
  const place = (name: string) => ({ endpoint: bucket.endpoint, ...CREDENTIALS, bucket: name })
  const extra = ['east', 'west'].map((name) =>
    locationOfBackend(name, 's3', openS3Backend(s3TestSettings(place(name), { prefix: '' }), silentLog)),
  )
  const server = await startTestServer(t, { ...options, remotes: [], originals: places, extra })
  const bytes = Buffer.concat([picture, randomBytes(size - picture.length)])
  const { id: assetId } = await server.admin.upload(bytes, 'photo.jpg')
  const { rows } = await server.pool.query<{ id: string }>('select original_object_id as id from asset')
  const objectId = rows[0]!.id
  const replicas = async () => (await loadObject(server.db, objectId))!.replicas
  await eventually(async () => {
    await server.runJobs()
    const there = (await replicas()).map(({ locationId, state }) => `${locationId} ${state}`).sort()
    assert.deepEqual(there, places.map((id) => `${id} verified`).sort())
  }, 60_000)
  const at = async (locationId: string) => (await replicas()).find((one) => one.locationId === locationId)!
  const get = (headers: Record<string, string> = {}) =>
    server.admin.call(`/assets/${assetId}/original`, { headers })
  const client = new S3Client({
    endpoint: bucket.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: CREDENTIALS,
  })
  t.after(() => client.destroy())
  return {
    server,
    bucket,
    bytes,
    assetId,
    objectId,
    at,
    get,
    path: async () => server.disk.inner.localFiles!.path((await at('local')).key),
    async read(headers) {
      const response = await get(headers)
      const body = await response.arrayBuffer().catch(() => null)
      return { status: response.status, body: body && sha256(Buffer.from(body)) }
    },
    async overwrite(locationId, Body) {
      const { key } = await at(locationId)
      await client.send(new PutObjectCommand({ Bucket: locationId, Key: key, Body }))
    },
  }
}

/** Compared by digests: a difference of megabytes takes minutes to be printed. */
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** The replica has become suspect, and its history says what was found. */
function suspected({ at, server, assetId }: Rig, locationId: string): Promise<void> {
  return eventually(async () => {
    assert.equal((await at(locationId)).state, 'suspect')
    const receipt = await server.admin.json<{
      history: { location: string; to: string | null; actor: string; reason: string | null }[]
    }>(`/storage/receipts/${assetId}`)
    const move = receipt.history.findLast(({ location, to }) => location === locationId && to === 'suspect')
    assert.ok(move?.reason, 'the history has a reason')
  }, 30_000)
}

/** A photo of the same size. */
const another = (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 4), randomBytes(bytes.length - 4)])

const flipped = (bytes: Buffer, at = bytes.length >> 1) => {
  const copy = Buffer.from(bytes)
  copy[at]! ^= 1
  return copy
}

const LOCAL_DAMAGES: { name: string; do(path: string, bytes: Buffer): Promise<void> }[] = [
  { name: 'flipped in place', do: (path, bytes) => writeFile(path, flipped(bytes)) },
  { name: 'overwritten with another photo', do: (path, bytes) => writeFile(path, another(bytes)) },
  { name: 'truncated', do: (path, bytes) => truncate(path, bytes.length >> 1) },
  { name: 'longer', do: (path, bytes) => writeFile(path, Buffer.concat([another(bytes), bytes])) },
  { name: 'emptied', do: (path) => truncate(path, 0) },
  { name: 'gone', do: (path) => rm(path) },
]
const RANGE = { range: 'bytes=1000-200999' }

for (const size of [SMALL, LARGE]) {
  for (const damage of LOCAL_DAMAGES) {
    test(`A6: a local file of ${size} bytes is ${damage.name}: the copy in the bucket is served`, async (t) => {
      const rig = await start(t, ['local', 'east'], size)
      for (const headers of [undefined, { range: 'bytes=0-' }, RANGE]) {
        await damage.do(await rig.path(), rig.bytes)
        const { status, body } = await rig.read(headers)
        assert.equal(status, headers ? 206 : 200)
        assert.equal(body, headers === RANGE ? sha256(rig.bytes.subarray(1000, 201_000)) : sha256(rig.bytes))
        await suspected(rig, 'local')
        // What was found is repaired from the other copy.
        await rig.server.runJobs()
        assert.equal(sha256(await readFile(await rig.path())), sha256(rig.bytes))
        assert.equal((await rig.at('local')).state, 'verified')
      }
    })
  }
}

test('A6: a local file whose bytes changed and whose time did not: a small one is never served', async (t) => {
  const rig = await start(t, ['local', 'east'], SMALL)
  const path = await rig.path()
  const { atime, mtime } = await stat(path)
  await writeFile(path, flipped(rig.bytes))
  await utimes(path, atime, mtime)
  assert.deepEqual(await rig.read(), { status: 200, body: sha256(rig.bytes) })
  await suspected(rig, 'local')
})

test('A6: a large one is cut off before it is complete, and whoever asks again gets the other copy', async (t) => {
  const rig = await start(t, ['local', 'east'], LARGE)
  const path = await rig.path()
  const { atime, mtime } = await stat(path)
  await writeFile(path, flipped(rig.bytes))
  await utimes(path, atime, mtime)
  assert.equal((await rig.read()).body, null)
  assert.deepEqual(await rig.read(), { status: 200, body: sha256(rig.bytes) })
  await suspected(rig, 'local')
})

test('A6: what was cut off because it was wrong is not completed with the rest of a right copy', async (t) => {
  const rig = await start(t, ['east', 'west'], LARGE)
  const etag = (
    await rig.server.admin.call(`/assets/${rig.assetId}/original`, { method: 'HEAD' })
  ).headers.get('etag')!
  const rest = { range: 'bytes=1500000-', 'if-range': etag }
  assert.equal((await rig.get(rest)).status, 206)
  for (const id of ['east', 'west']) await rig.bucket.stored.tamper((await rig.at(id)).key, { bucket: id })
  assert.equal((await rig.read()).body, null)
  for (const id of ['east', 'west']) await rig.bucket.stored.tamper((await rig.at(id)).key, { bucket: id })
  assert.deepEqual(await rig.read(rest), { status: 200, body: sha256(rig.bytes) })
})

test('A6: nor by another process, or after a restart, when the client asks there for the rest', async (t) => {
  const rig = await start(t, ['east', 'west'], LARGE)
  const elsewhere = () => findServable({ ...rig.server.placement }, rig.objectId)
  assert.equal(await (await elsewhere()).mayBeResumed(), true)
  for (const id of ['east', 'west']) await rig.bucket.stored.tamper((await rig.at(id)).key, { bucket: id })
  assert.equal((await rig.read()).body, null)
  assert.equal(await (await elsewhere()).mayBeResumed(), false)
})

type BucketDamage = { name: string; isSeenInParts: boolean; do(rig: Rig, id: string): Promise<void> }
const BUCKET_DAMAGES: BucketDamage[] = [
  {
    name: 'flipped, under its ETag',
    isSeenInParts: false,
    do: async ({ bucket, at }, id) => bucket.stored.tamper((await at(id)).key, { bucket: id }),
  },
  {
    name: 'truncated',
    isSeenInParts: true,
    do: async ({ bucket, at }, id) => bucket.stored.truncateStored((await at(id)).key, { bucket: id }),
  },
  {
    name: 'replaced by another photo of its size',
    isSeenInParts: true,
    do: (rig, id) => rig.overwrite(id, another(rig.bytes)),
  },
  {
    name: 'overwritten with more',
    isSeenInParts: true,
    do: (rig, id) => rig.overwrite(id, Buffer.concat([another(rig.bytes), rig.bytes])),
  },
]

for (const damage of BUCKET_DAMAGES) {
  test(`A6: an object is ${damage.name}: another bucket is read, or the answer is never a success`, async (t) => {
    for (const size of [SMALL, LARGE]) {
      const rig = await start(t, ['east', 'west'], size)
      // Whichever is read first.
      const [first, second] = (await loadObject(rig.server.db, rig.objectId))!.replicas.map(
        (one) => one.locationId,
      )
      await damage.do(rig, first!)
      if (damage.isSeenInParts) {
        assert.deepEqual(await rig.read(RANGE), {
          status: 206,
          body: sha256(rig.bytes.subarray(1000, 201_000)),
        })
        await suspected(rig, first!)
      } else {
        const { body } = await rig.read()
        assert.equal(
          body,
          size === SMALL ? sha256(rig.bytes) : null,
          'of a large one the first bytes were sent',
        )
        assert.equal(
          (await rig.read({ range: 'bytes=0-' })).body,
          sha256(rig.bytes),
          'then of the other copy',
        )
        await suspected(rig, first!)
      }
      assert.deepEqual(await rig.read(), { status: 200, body: sha256(rig.bytes) })

      await damage.do(rig, second!)
      const whole = await rig.read()
      assert.ok(whole.status === 503 || whole.body === null, `${whole.status} with all bytes`)
      await suspected(rig, second!)
      const after = await rig.get()
      assert.equal(after.status, 503)
      assert.equal(after.headers.get('etag'), null, 'an error does not claim the digest')
      await after.arrayBuffer()
    }
  })
}

test('A6: one byte flipped on the way is the line’s fault: the bytes are asked for again, nothing is suspected', async (t) => {
  const rig = await start(t, ['east'], SMALL)
  rig.bucket.faults.add({ match: { method: 'GET' }, times: 1, fault: { kind: 'wrong-bytes' } })
  assert.deepEqual(await rig.read(), { status: 200, body: sha256(rig.bytes) })
  assert.equal((await rig.at('east')).state, 'verified')
})

test('A6: a seek that began early is not answered from an object that was replaced meanwhile', async (t) => {
  const rig = await start(t, ['east', 'west'], LARGE)
  assert.equal((await rig.read(RANGE)).body, sha256(rig.bytes.subarray(1000, 201_000)))
  const [first] = (await loadObject(rig.server.db, rig.objectId))!.replicas
  await rig.overwrite(first!.locationId, another(rig.bytes))
  assert.equal((await rig.read(RANGE)).body, sha256(rig.bytes.subarray(1000, 201_000)))
  await suspected(rig, first!.locationId)
})

test('A6: a backup that was put back has other times: all of a file is read once, then its parts', async (t) => {
  const rig = await start(t, ['local'], LARGE)
  await utimes(await rig.path(), new Date(), new Date(Date.now() - 86_400_000))
  const before = await rig.at('local')
  assert.equal((await rig.read(RANGE)).body, sha256(rig.bytes.subarray(1000, 201_000)))
  const proven = await rig.at('local')
  assert.equal(proven.proofLevel, 4)
  assert.notEqual(proven.proof!.modifiedAtMs, before.proof!.modifiedAtMs)
  const { get } = rig.server.disk.calls
  assert.equal((await rig.read(RANGE)).body, sha256(rig.bytes.subarray(1000, 201_000)))
  assert.equal(rig.server.disk.calls.get, get + 1, 'only the part is read')
  assert.deepEqual((await rig.at('local')).verifiedAt, proven.verifiedAt)
})

test('A6: an object under another ETag is judged by its bytes, and proven anew where they are right', async (t) => {
  const rig = await start(t, ['east'], LARGE)
  await rig.server.pool.query(
    `update replica set proof = jsonb_set(proof, '{etag}', '"0123456789abcdef0123456789abcdef"')`,
  )
  assert.equal((await rig.read(RANGE)).body, sha256(rig.bytes.subarray(1000, 201_000)))
  const { proof, state } = await rig.at('east')
  assert.equal(state, 'verified')
  assert.notEqual(proof!.etag, '0123456789abcdef0123456789abcdef')
})

test('A6: a ZIP takes the copy that is right, and breaks off where none is', async (t) => {
  for (const size of [SMALL, LARGE]) {
    const rig = await start(t, ['east', 'west'], size)
    const archive = async () => {
      const response = await rig.server.admin.call('/download/archive', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ assetIds: [rig.assetId] }),
      })
      const body = await response.arrayBuffer().catch(() => null)
      return body && readZip(Buffer.from(body)).map(({ content }) => sha256(content))
    }
    const [first, second] = (await loadObject(rig.server.db, rig.objectId))!.replicas.map(
      (one) => one.locationId,
    )
    await rig.overwrite(first!, another(rig.bytes))
    assert.deepEqual(await archive(), [sha256(rig.bytes)])
    await suspected(rig, first!)
    await rig.bucket.stored.tamper((await rig.at(second!)).key, { bucket: second! })
    assert.equal(await archive(), null)
    await suspected(rig, second!)
  }
})

test('A6: work on a local file that was changed gets the copy in the bucket, or no file', async (t) => {
  const rig = await start(t, ['local', 'east'], LARGE)
  const { placement } = rig.server
  const path = await rig.path()
  const { atime, mtime } = await stat(path)
  await writeFile(path, flipped(rig.bytes))
  await utimes(path, atime, mtime)
  const got = await withLocalFile(placement, rig.objectId, 'test', (file) => readFile(file))
  assert.equal(sha256(got), sha256(rig.bytes))
  await suspected(rig, 'local')

  const lone = await start(t, ['local'], SMALL)
  await writeFile(await lone.path(), another(lone.bytes))
  await assert.rejects(
    withLocalFile(lone.server.placement, lone.objectId, 'test', (file) => readFile(file)),
    { code: 'corrupt' },
  )
  await suspected(lone, 'local')
  assert.equal((await lone.get()).status, 503)
})

test('A6: with a cache, wrong bytes of a bucket are not kept, and the other bucket is read', async (t) => {
  for (const headers of [undefined, RANGE]) {
    const rig = await start(t, ['east', 'west'], LARGE, {
      settings: { cacheMaxBytes: 256 * 1024 ** 2, cacheWholeBytes: 1024 ** 2, cacheChunkBytes: 1024 ** 2 },
    })
    const [first] = (await loadObject(rig.server.db, rig.objectId))!.replicas
    await rig.overwrite(first!.locationId, another(rig.bytes))
    const expected = headers ? sha256(rig.bytes.subarray(1000, 201_000)) : sha256(rig.bytes)
    for (let times = 0; times < 3; times += 1) assert.equal((await rig.read(headers)).body, expected)
    await suspected(rig, first!.locationId)
  }
})
