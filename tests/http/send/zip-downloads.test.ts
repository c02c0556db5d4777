/**
 * Archives of originals in a bucket: how many sources are open, how much is held, and what happens when one
 * fails.
 */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { type IncomingMessage, request } from 'node:http'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { safeEntryNames, type ZipEntry, zipLength, zipStream } from '../../../src/http/send/zip.ts'
import { silentLog } from '../../../src/log.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { bodyOf } from '../../storage/contract/bodies.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { eventually } from '../../support/eventually.ts'
import { readZip } from '../../support/files/zip.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const CREDENTIALS = { accessKeyId: 'zip', secretAccessKey: 'zip-secret' }
const FILE_BYTES = 60_000

type Rig = { server: TestServer; bucket: StrictS3; ids: string[]; keyOf(index: number): ObjectKey }

/** `count` originals that are in the bucket only. */
async function start(t: TestContext, count: number): Promise<Rig> {
  const bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: ['photos'],
  })
  t.after(() => bucket.close())
  const settings = s3TestSettings(
    { endpoint: bucket.endpoint, ...CREDENTIALS, bucket: 'photos' },
    { prefix: '' },
  )
  const backend = openS3Backend(settings, silentLog)
  const server = await startTestServer(t, { remotes: [], extra: [locationOfBackend('s3', 's3', backend)] })
  const { id: userId } = await server.admin.json<{ id: string }>('/users/me')
  const keyOf = (index: number) => `users/${userId}/zip/original.${index}.jpg` as ObjectKey
  const ids = Array.from({ length: count }, () => randomUUID())
  for (const index of ids.keys()) await backend.put(keyOf(index), bodyOf(bytesOf(index)))
  const objectIds = ids.map(() => randomUUID())
  const files = 'unnest($1::uuid[], $2::uuid[]) with ordinality as file (asset_id, object_id, number)'
  await server.pool.query(
    `insert into stored_object (id, owner_id, asset_id, kind, size, sha256, content_type, extension)
     select object_id, $3::uuid, asset_id, 'original', ${FILE_BYTES}, sha256, 'image/jpeg', 'jpg'
     from unnest($1::uuid[], $2::uuid[], $4::bytea[]) as file (asset_id, object_id, sha256)`,
    [ids, objectIds, userId, ids.map((_, index) => createHash('sha256').update(bytesOf(index)).digest())],
  )
  await server.pool.query(
    `insert into asset (id, owner_id, type, checksum, original_object_id, original_file_name, original_mime_type,
                        file_size, file_created_at, file_modified_at, local_date_time)
     select asset_id, $3::uuid, 'IMAGE', substr(sha256(asset_id::text::bytea), 1, 20), object_id,
            'photo ' || number - 1 || '.jpg', 'image/jpeg', ${FILE_BYTES}, now(), now(), now() from ${files}`,
    [ids, objectIds, userId],
  )
  await server.pool.query(
    `insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
     select object_id, 's3', key, 'writing', 'test', now() + interval '1 hour'
     from unnest($1::uuid[], $2::text[]) as file (object_id, key)`,
    [objectIds, ids.map((_, index) => keyOf(index))],
  )
  await server.pool.query(
    `update replica set state = 'verified', proof_level = 4, verified_at = now(), lease_expires_at = null`,
  )
  bucket.counts.reset()
  return { server, bucket, ids, keyOf }
}

/** The same bytes in every run, different ones for every file. */
function bytesOf(index: number): Buffer {
  return Buffer.alloc(FILE_BYTES, createHash('sha256').update(String(index)).digest())
}

/** Resolves with the answer's head; its body waits to be read. */
function download({ server }: Rig, assetIds: string[]): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${server.admin.token}`, 'content-type': 'application/json' }
    const outgoing = request(`${server.url}/api/download/archive`, { method: 'POST', headers }, resolve)
    outgoing.on('error', reject)
    outgoing.end(JSON.stringify({ assetIds }))
  })
}

test('a thousand originals: two connections at most, little held for a reader that pauses, every byte right', async (t) => {
  const rig = await start(t, 1_000)
  const { bucket } = rig
  await eventually(() => assert.ok(bucket.openConnections() <= 2), 10_000)
  const answer = await download(rig, rig.ids)
  assert.equal(answer.statusCode, 200)
  const chunks: Buffer[] = []
  let received = 0
  let mostConnections = 0
  let pausedAt = 0
  let heldBytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    received += chunk.length
    mostConnections = Math.max(mostConnections, bucket.openConnections())
    if (received > 10_000_000 && pausedAt === 0) {
      pausedAt = received
      // Until the bucket is asked for nothing more: what it has sent and we have not received is held in
      // between.
      for (let before = -1; before !== bucket.counts.bytesOut; ) {
        before = bucket.counts.bytesOut
        await sleep(500)
      }
      heldBytes = bucket.counts.bytesOut - received
    }
  }
  const zip = Buffer.concat(chunks)
  assert.equal(zip.length, Number(answer.headers['content-length']))
  assert.ok(mostConnections <= 2, `${mostConnections} connections`)
  // 60 MB in all; most of what is held lies in the buffers of the kernel.
  assert.ok(heldBytes < 16_000_000, `${heldBytes} bytes held`)
  assert.equal(bucket.counts.of('GetObject'), 1_000)
  assert.equal(bucket.counts.of('HeadObject'), 0)
  const entries = readZip(zip)
  assert.deepEqual(
    entries.map(({ name }) => name),
    rig.ids.map((_, index) => `photo ${index}.jpg`),
  )
  for (const [index, { content }] of entries.entries()) assert.ok(content.equals(bytesOf(index)))
})

test('a reader that leaves frees everything; a source that fails breaks the archive; a missing one is named', async (t) => {
  const rig = await start(t, 12)
  const { bucket, server, ids, keyOf } = rig

  await t.test('leaving', async () => {
    bucket.faults.add({ match: { method: 'GET' }, after: 3, fault: { kind: 'hang' } })
    const answer = await download(rig, ids)
    answer.on('error', () => undefined)
    answer.resume()
    await eventually(() => assert.ok(bucket.counts.of('GetObject') >= 4), 10_000)
    answer.destroy()
    await eventually(() => assert.equal(bucket.activeRequests(), 0), 10_000)
    bucket.faults.clear()
  })

  await t.test('a source that is gone when its turn comes, and one that breaks off for good', async () => {
    const match = { method: 'GET', key: keyOf(7) }
    const gone = [{ match, fault: { kind: 'status', status: 403, code: 'AccessDenied' } }] as const
    const broken = [
      { match, times: 1, fault: { kind: 'truncate', atByte: 10_000, declare: 'full' } },
      { match, after: 1, fault: { kind: 'truncate', atByte: 0, declare: 'full' } },
    ] as const
    for (const faults of [gone, broken]) {
      for (const fault of faults) bucket.faults.add(fault)
      const answer = await download(rig, ids)
      assert.equal(answer.statusCode, 200)
      await assert.rejects(Array.fromAsync(answer), { code: 'ECONNRESET' })
      bucket.faults.clear()
    }
  })

  await t.test('what the ledger knows no verified copy of', async () => {
    await server.pool.query(`update replica set state = 'suspect' where key = any($1)`, [
      [keyOf(3), keyOf(5)],
    ])
    const answer = await download(rig, ids)
    const zip = Buffer.concat(await Array.fromAsync(answer))
    assert.equal(zip.length, Number(answer.headers['content-length']))
    const entries = readZip(zip)
    assert.equal(entries.length, 11)
    const { name, content } = entries.at(-1)!
    assert.equal(name, 'NOT IN THIS ARCHIVE.txt')
    assert.match(content.toString(), /\r\nphoto 3\.jpg\r\nphoto 5\.jpg\r\n$/)
    assert.doesNotMatch(content.toString(), /photo 4/)

    await server.pool.query(`update replica set state = 'suspect'`)
    const none = await download(rig, ids)
    assert.equal(none.statusCode, 503)
    none.resume()
  })
})

test('the next source is opened while the last mebibyte of the current one is read, and none is left behind', async () => {
  const opened: string[] = []
  const streams: Readable[] = []
  const entry = (name: string, chunks: number, last?: Error): ZipEntry => ({
    name,
    size: chunks * 2 ** 18,
    modifiedAt: new Date(),
    async open() {
      opened.push(name)
      if (last) throw last
      const stream = Readable.from(
        Array.from({ length: chunks }, () => Buffer.alloc(2 ** 18)),
        { objectMode: false },
      )
      streams.push(stream)
      return stream
    },
  })
  const entries = [entry('a', 16), entry('b', 16), entry('c', 1)]
  const whole = await Array.fromAsync(zipStream(entries))
  assert.equal(Buffer.concat(whole).length, zipLength(entries))
  assert.ok(streams.every((stream) => stream.destroyed))

  opened.length = 0
  streams.length = 0
  const begun = zipStream(entries)
  for (let chunk = 0; chunk < 10; chunk += 1) await begun.next()
  assert.deepEqual(opened, ['a'], 'not before its end is near')
  for (let chunk = 0; chunk < 6; chunk += 1) await begun.next()
  assert.deepEqual(opened, ['a', 'b'])
  await begun.return(undefined)
  await eventually(() => assert.ok(streams.every((stream) => stream.destroyed)), 1_000)

  const failing = Array.fromAsync(zipStream([entry('a', 1), entry('b', 1, new Error('planned'))]))
  await assert.rejects(failing, { message: 'planned' })
})

test('an archive of more than 65,535 files and of more than 4 GiB says so in the zip64 way', () => {
  const entry = (size: number): ZipEntry => ({
    name: 'x',
    size,
    modifiedAt: new Date(),
    open: () => Promise.reject(new Error('not read')),
  })
  const small = zipLength([entry(10)])
  const many = zipLength(Array.from({ length: 70_000 }, () => entry(10)))
  assert.equal(many, (small - 22) * 70_000 + 22 + 76)
  const big = 5 * 2 ** 30
  // Local: 20 bytes more of extra, 8 of descriptor; central: 20; end: 76.
  assert.equal(zipLength([entry(big)]), small - 10 + big + 20 + 8 + 20 + 76)
})

test('names in an archive are safe and unique', () => {
  assert.deepEqual(safeEntryNames(['../../etc/passwd', 'A.jpg', 'a.JPG', 'a.jpg', '', 'con\u0000.txt']), [
    '__.._etc_passwd',
    'A.jpg',
    'a+1.JPG',
    'a+2.jpg',
    '_',
    'con_.txt',
  ])
})

test('names that a file system takes for one do not replace one another when they are unpacked', () => {
  const [composed, decomposed] = ['Caf\u00e9.jpg', 'Cafe\u0301.jpg']
  // macOS writes both as one file; so does Windows with dots and blanks at the end.
  assert.deepEqual(safeEntryNames([composed, decomposed, 'a', 'a.', 'a ']), [
    composed,
    'Cafe\u0301+1.jpg',
    'a',
    'a+1.',
    'a +1',
  ])
})
