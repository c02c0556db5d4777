/**
 * kill -9 while a direct upload is confirmed, while its parts become an object, and while it is read back.
 * Each time the bucket holds the server up at that very step, so that the kill is known to have cut it.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { OperationName } from 'strict-s3/operation-names'
import { eventually } from '../support/eventually.ts'
import { ask, confirm, hashOf, send, sendParts, show, type Upload } from '../support/http/direct-upload.ts'
import { photo, probed, type ServerWithBucket, startServerWithBucket } from '../support/server-with-bucket.ts'

const MIB = 1024 * 1024
const LIMIT_MS = 120_000
let running: ServerWithBucket

before(async () => {
  running = await startServerWithBucket()
  await probed(running.client)
})
after(() => running?.close())

/**
 * Kills the server when the bucket has been asked for this and does not answer (`commit`: having done it),
 * and starts it again.
 */
async function killDuring(
  operation: OperationName,
  act: () => Promise<unknown>,
  commit = false,
): Promise<void> {
  const { bucket } = running
  const held = bucket.faults.add({
    match: { operation, key: /^users\// },
    times: 1,
    fault: { kind: 'hang', commit },
  })
  const cut = act().catch((error: Error) => error)
  await eventually(() => assert.equal(held.hits, 1), LIMIT_MS)
  await running.server.kill9()
  await cut
  bucket.faults.clear()
  await running.start()
}

const ended = (id: string) =>
  eventually(async () => {
    const upload = await show(running.client, id)
    assert.ok(!['open', 'received'].includes(upload.state), `it is ${upload.state}`)
    return upload
  }, LIMIT_MS)

async function checkDone(id: string, bytes: Buffer): Promise<void> {
  const upload = await ended(id)
  assert.equal(upload.state, 'done', upload.reason ?? '')
  assert.equal(await running.client.sha256OfOriginal(upload.assetId!), hashOf('sha256', bytes))
}

async function putPhoto(): Promise<{ upload: Upload; bytes: Buffer }> {
  const bytes = await photo(320)
  const upload = await ask(running.client, bytes, 'photo.jpg')
  assert.equal(await send(upload.put!, bytes), 200)
  return { upload, bytes }
}

test('killed while it confirms: nothing has changed, and confirming again goes on', async () => {
  const { upload, bytes } = await putPhoto()
  await killDuring('HeadObject', () => confirm(running.client, upload.id))
  assert.equal((await show(running.client, upload.id)).state, 'open')
  assert.equal((await confirm(running.client, upload.id)).body.state, 'received')
  await checkDone(upload.id, bytes)
})

test('killed while it proves: the proof goes on by itself', async () => {
  const { upload, bytes } = await putPhoto()
  await killDuring('GetObject', () => confirm(running.client, upload.id))
  await checkDone(upload.id, bytes)
})

test('killed while the parts become an object, before and after they did: it goes on by itself', async () => {
  for (const commit of [false, true]) {
    const bytes = randomBytes(33 * MIB)
    const upload = await ask(running.client, bytes, 'film.mp4')
    const numbers = Array.from({ length: upload.parts!.count }, (_, index) => index + 1)
    await sendParts(running.client, upload, bytes, numbers)
    await killDuring('CompleteMultipartUpload', () => confirm(running.client, upload.id), commit)
    await checkDone(upload.id, bytes)
    const { assetId } = await show(running.client, upload.id)
    const { replicas } = await running.client.json<{
      replicas: { location: string; proof: { etag?: string; partBytes?: number; parts?: number } }[]
    }>(`/storage/receipts/${assetId}`)
    const { proof } = replicas.find(({ location }) => location === 's3')!
    // What its ETag is made of: without it a copy in another class could not be compared.
    assert.equal(proof.parts, numbers.length)
    assert.equal(proof.partBytes, upload.parts!.partBytes)
    assert.match(proof.etag ?? '', /-\d+"?$/)
  }
})

test('killed while parts are signed: the client asks again and sends what is missing', async () => {
  const bytes = randomBytes(33 * MIB)
  const upload = await ask(running.client, bytes, 'film2.mp4')
  await killDuring('CreateMultipartUpload', () => sendParts(running.client, upload, bytes, [1]), true)
  const again = await ask(running.client, bytes, 'film2.mp4')
  assert.equal(again.id, upload.id)
  assert.deepEqual(again.present, [])
  await sendParts(running.client, again, bytes, [1, 2, 3])
  await confirm(running.client, upload.id)
  await checkDone(upload.id, bytes)
})
