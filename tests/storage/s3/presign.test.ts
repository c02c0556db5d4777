/** URLs that are used without our credentials, by `fetch` as a browser would. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import type { Digest } from '../../../src/storage/backend.ts'
import { openS3Backend, type S3Backend } from '../../../src/storage/s3/s3.ts'
import { leaveTo } from '../../support/storage/permit.ts'
import { bodyOf, randomKey, readAll } from '../contract/bodies.ts'
import { s3TestSettings } from '../contract/s3-subject.ts'

const MIB = 1024 * 1024
const md5 = (bytes: Buffer): Digest => ({
  algorithm: 'md5',
  value: createHash('md5').update(bytes).digest('hex'),
})

/** `fetch` refuses to send a wrong Content-Length; a hostile client does not. */
function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  bytes: Buffer,
): Promise<{ status: number; etag: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers }, (incoming) => {
      incoming.resume()
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, etag: incoming.headers.etag ?? '' }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end(bytes)
  })
}

describe('presigned URLs and multipart uploads', () => {
  let server: StrictS3
  let backend: S3Backend

  before(async () => {
    const credentials = { accessKeyId: 'suite', secretAccessKey: 'suite-secret' }
    server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
    backend = openS3Backend(
      s3TestSettings({ endpoint: server.endpoint, ...credentials, bucket: 'photos' }),
      silentLog,
    )
  })
  after(async () => {
    await backend.close()
    await server.close()
  })

  test('a get names the type and the file, and takes ranges', async () => {
    const [key, bytes] = [randomKey('p'), randomBytes(1000)]
    await backend.put(key, bodyOf(bytes))
    const contentDisposition = 'attachment; filename="holiday.jpg"'
    const signedAt = new Date(Math.floor(Date.now() / 1000) * 1000 - 30_000)
    const wish = {
      signedAt,
      expiresAt: new Date(signedAt.getTime() + 60_000),
      contentType: 'image/jpeg',
      contentDisposition,
      cacheControl: 'private, max-age=60',
    }
    const { url, expiresAt } = await backend.presign!.get(key, wish)
    assert.deepEqual(expiresAt, wish.expiresAt)
    assert.equal(new URL(url).origin, await backend.presign!.origin())
    assert.equal((await backend.presign!.get(key, wish)).url, url, 'the same again, whenever it is asked for')
    const whole = await fetch(url)
    assert.equal(whole.headers.get('cache-control'), 'private, max-age=60')
    assert.equal(whole.headers.get('content-type'), 'image/jpeg')
    assert.equal(whole.headers.get('content-disposition'), contentDisposition)
    assert.deepEqual(Buffer.from(await whole.arrayBuffer()), bytes)
    const part = await fetch(url, { headers: { range: 'bytes=-10' } })
    assert.equal(part.status, 206)
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(990))
    const tampered = await fetch(url.replace(/original\.[0-9a-f]+/, 'original.00000000'))
    assert.equal(tampered.status, 403)
    await tampered.arrayBuffer()
  })

  test('a put takes exactly the bytes it was made for', async () => {
    const [key, bytes] = [randomKey('p'), randomBytes(1000)]
    const { url, headers } = await backend.presign!.put(key, {
      expiresInSeconds: 60,
      size: bytes.length,
      digests: [md5(bytes)],
      contentType: 'image/jpeg',
    })
    const longer = Buffer.concat([bytes, bytes])
    assert.equal((await send('PUT', url, headers, randomBytes(1000))).status, 400, 'other bytes')
    const lengthened = { ...headers, 'content-length': '2000' }
    assert.equal((await send('PUT', url, lengthened, longer)).status, 403, 'more bytes')
    const other = { ...headers, 'content-md5': createHash('md5').update(longer).digest('base64') }
    assert.equal((await send('PUT', url, other, bytes)).status, 403, 'another digest')
    assert.equal(
      (await send('PUT', url, { ...headers, 'content-type': 'text/html' }, bytes)).status,
      403,
      'another type',
    )
    assert.equal(await backend.head(key), null)
    assert.equal((await send('PUT', url, headers, bytes)).status, 200)
    assert.deepEqual(await readAll((await backend.get(key)).stream), bytes)
  })

  test('a put without an MD5 is a mistake of ours', async () => {
    const options = { expiresInSeconds: 60, size: 1, digests: [], contentType: 'image/jpeg' }
    await assert.rejects(async () => backend.presign!.put(randomKey('p'), options), TypeError)
  })

  test('parts by presigned URLs: sent, listed, completed; the unfinished are found and aborted', async () => {
    const multipart = backend.multipart!
    const [key, parts] = [randomKey('p'), [randomBytes(5 * MIB), randomBytes(10)]]
    const { uploadId } = await multipart.begin(key, { contentType: 'video/mp4' })
    for (const [index, bytes] of parts.entries()) {
      const part = {
        uploadId,
        number: index + 1,
        size: bytes.length,
        md5: md5(bytes).value,
        expiresInSeconds: 60,
      }
      const { url, headers } = await multipart.presignPart(key, part)
      assert.equal((await send('PUT', url, headers, randomBytes(bytes.length))).status, 400)
      assert.equal((await send('PUT', url, headers, bytes)).status, 200)
    }
    const listed = await multipart.listParts(key, uploadId)
    assert.deepEqual(
      listed.map(({ number, size, etag }) => ({ number, size, etag })),
      parts.map((bytes, index) => ({ number: index + 1, size: bytes.length, etag: md5(bytes).value })),
    )
    const second = await multipart.begin(randomKey('p'))
    const unfinished = await Array.fromAsync(multipart.listUnfinished('p/'))
    assert.deepEqual(unfinished.map((upload) => upload.uploadId).sort(), [uploadId, second.uploadId].sort())

    const info = await multipart.complete(key, uploadId, listed)
    assert.equal(info.size, 5 * MIB + 10)
    assert.deepEqual(await readAll((await backend.get(key)).stream), Buffer.concat(parts))
    for (const { key: left, uploadId: id } of await Array.fromAsync(multipart.listUnfinished(''))) {
      await multipart.abort(leaveTo([left]), id)
      await multipart.abort(leaveTo([left]), id)
    }
    assert.deepEqual(await Array.fromAsync(multipart.listUnfinished('')), [])
  })
})
