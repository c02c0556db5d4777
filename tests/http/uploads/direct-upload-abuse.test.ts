/**
 * What a URL of an upload is good for: its own bytes, once, for a while. Against the strict server and
 * against Ceph.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { knownKey } from '../../../src/placement/keys.ts'
import { eventually } from '../../support/eventually.ts'
import {
  ask,
  confirm,
  cut,
  hashOf,
  post,
  type Signed,
  send,
  sendParts,
  show,
  startDirectServer,
  startServerOn,
} from '../../support/http/direct-upload.ts'
import type { TestServer } from '../../support/server.ts'
import { needsCeph, startCeph } from '../../support/services/ceph.ts'

const MIB = 1024 * 1024

async function isHeld(server: TestServer, id: string): Promise<boolean> {
  const { rows } = await server.pool.query(
    'select key from replica join direct_upload using (object_id) where direct_upload.id = $1',
    [id],
  )
  return (await server.placement.locations.get('s3')!.backend.head(knownKey(rows[0].key))) !== null
}

/** Refused, whatever the service calls it; a status of success would mean that it was taken. */
async function refused(
  signed: Signed,
  bytes: Buffer,
  more: Record<string, string>,
  what: string,
): Promise<void> {
  const status = await send(signed, bytes, more)
  assert.ok(status >= 400 && status < 500, `${what}: ${status}`)
}

async function singlePut(server: TestServer): Promise<void> {
  const { admin } = server
  const bytes = randomBytes(5_000)
  const upload = await ask(admin, bytes, 'a.jpg')
  const put = upload.put!
  const other = randomBytes(5_000)
  const longer = Buffer.concat([bytes, bytes])
  const elsewhere = put.url.replace(/original\.[0-9a-f]{32}/, `original.${'0'.repeat(32)}`)
  assert.notEqual(elsewhere, put.url)
  await refused({ ...put, url: elsewhere }, bytes, {}, 'another key')
  await refused(put, other, {}, 'other bytes')
  const otherMd5 = Buffer.from(hashOf('md5', other), 'hex').toString('base64')
  await refused(put, other, { 'content-md5': otherMd5 }, 'other bytes with their own MD5')
  await refused(put, longer, { 'content-length': String(longer.length) }, 'another length')
  await refused(put, bytes, { 'content-type': 'text/html' }, 'another type')
  const { 'content-md5': _md5, ...withoutMd5 } = put.headers
  await refused({ ...put, headers: withoutMd5 }, bytes, {}, 'without its MD5')
  const read = await fetch(put.url)
  assert.ok(read.status >= 400, 'reading')
  await read.arrayBuffer()
  const removal = await fetch(put.url, { method: 'DELETE' })
  assert.ok(removal.status >= 400, 'deleting')
  await removal.arrayBuffer()
  assert.equal(await isHeld(server, upload.id), false)

  assert.equal(await send(put, bytes), 200)
  const again = await ask(admin, bytes, 'a.jpg')
  assert.equal(again.id, upload.id)
  assert.equal(again.put!.headers['if-none-match'], '*', 'this bucket was seen to refuse a second put')
  assert.equal(await send(put, bytes), 412, 'a second time')
  assert.equal((await confirm(admin, upload.id)).body.state, 'received')
  assert.equal(await send(put, bytes), 412, 'after it was confirmed')
  const { 'if-none-match': _condition, ...unconditional } = put.headers
  await refused({ ...put, headers: unconditional }, bytes, {}, 'a second time without the condition')
  await server.runJobs()
  assert.equal((await show(admin, upload.id)).state, 'done')
  assert.equal(await send(put, bytes), 412, 'after it was proven')
}

async function parts(server: TestServer): Promise<void> {
  const { admin } = server
  const bytes = randomBytes(33 * MIB)
  const upload = await ask(admin, bytes, 'film.mp4')
  const pieces = cut(bytes, upload.parts!)
  const sign = async (number: number) => {
    const piece = pieces[number - 1]!
    const wanted = [{ number, size: piece.length, md5: hashOf('md5', piece) }]
    const response = await post(admin, `/${upload.id}/parts`, { parts: wanted })
    return ((await response.json()) as { parts: Signed[] }).parts[0]!
  }
  const first = await sign(1)
  await refused(first, pieces[1]!, {}, 'another part of the file')
  const otherNumber = { ...first, url: first.url.replace('partNumber=1', 'partNumber=2') }
  assert.notEqual(otherNumber.url, first.url)
  await refused(otherNumber, pieces[0]!, {}, 'another number')
  await refused(first, pieces[6]!, { 'content-length': String(pieces[6]!.length) }, 'another length')
  assert.deepEqual((await show(admin, upload.id)).present, [])

  await sendParts(admin, upload, bytes, [1, 2, 3, 4, 5, 6, 7])
  await confirm(admin, upload.id)
  assert.equal(
    (
      await post(admin, `/${upload.id}/parts`, {
        parts: [{ number: 1, size: 5 * MIB, md5: hashOf('md5', pieces[0]!) }],
      })
    ).status,
    409,
  )
  await server.runJobs()
  const done = await show(admin, upload.id)
  assert.equal(done.state, 'done')
  await refused(first, pieces[0]!, {}, 'after the parts became an object')
  assert.equal(await admin.sha256OfOriginal(done.assetId!), hashOf('sha256', bytes))

  const film = randomBytes(33 * MIB)
  const given = await ask(admin, film, 'other.mp4')
  await sendParts(admin, given, film, [1])
  const piece = film.subarray(5 * MIB, 10 * MIB)
  const response = await post(admin, `/${given.id}/parts`, {
    parts: [{ number: 2, size: piece.length, md5: hashOf('md5', piece) }],
  })
  const [second] = ((await response.json()) as { parts: Signed[] }).parts
  await admin.call(`/storage/uploads/${given.id}`, { method: 'DELETE' })
  await server.runJobs()
  await refused(second!, piece, {}, 'after the upload was given up')
  const unfinished = await Array.fromAsync(
    server.placement.locations.get('s3')!.backend.multipart!.listUnfinished(''),
  )
  assert.deepEqual(unfinished, [])
}

async function expiry(server: TestServer): Promise<void> {
  const bytes = randomBytes(100)
  const key = knownKey(`users/a/b/original.${'1'.repeat(32)}.jpg`)
  const { backend } = server.placement.locations.get('s3')!
  const put = await backend.presign!.put(key, {
    expiresInSeconds: 1,
    size: bytes.length,
    digests: [{ algorithm: 'md5', value: hashOf('md5', bytes) }],
    contentType: 'image/jpeg',
  })
  const wrong = randomBytes(100)
  // Until then the digest is what refuses it: the service looks at the signature first.
  await eventually(async () => assert.equal(await send(put, wrong), 403), 20_000)
  assert.equal(await send(put, bytes), 403, 'later than its expiry')
  assert.equal(await backend.head(key), null)
}

async function all(t: TestContext, server: TestServer): Promise<void> {
  await t.test('a put is bound to its key, bytes, length and type, and can be done once', () =>
    singlePut(server),
  )
  await t.test('a part is bound to its number, bytes and upload', () => parts(server))
  await t.test('no URL outlives its expiry', () => expiry(server))
}

test('the strict server', async (t) => all(t, await startDirectServer(t)))

test('Ceph', await needsCeph(), async (t) => {
  const ceph = await startCeph()
  t.after(() => ceph.stop())
  await all(t, await startServerOn(t, { ...ceph, bucket: await ceph.createBucket() }))
})
