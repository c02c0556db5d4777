import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { type TestContext, test } from 'node:test'
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { StrictS3 } from '../src/server.ts'
import { Bucket, run, sdk, until } from './running.ts'
import { md5Base64, presign, sendSigned, signByHeader } from './signed-request.ts'

const Key = 'k'
const body = randomBytes(500_000)
const etag = `"${createHash('md5').update(body).digest('hex')}"`

async function withObject(t: TestContext): Promise<StrictS3> {
  const s3 = await run(t)
  await sendSigned(s3.endpoint, { method: 'PUT', path: '/photos/k', body })
  s3.counts.reset()
  return s3
}

/** What a plain client sees: bytes until the end or the error. */
function get(
  s3: StrictS3,
): Promise<{ status: number; length: string | undefined; bytes: Buffer; error: string | null }> {
  const { wire } = signByHeader(s3.endpoint, { path: '/photos/k' })
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const outgoing = request(
      { host: '127.0.0.1', port: s3.port, path: wire.url, headers: wire.headers, agent: false },
      (incoming) => {
        const done = (error: string | null) =>
          resolve({
            status: incoming.statusCode ?? 0,
            length: incoming.headers['content-length'],
            bytes: Buffer.concat(chunks),
            error,
          })
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('end', () => done(null))
        incoming.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message))
      },
    )
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      resolve({ status: 0, length: undefined, bytes: Buffer.alloc(0), error: error.code ?? error.message }),
    )
    outgoing.end()
  })
}

const idle = async (s3: StrictS3): Promise<void> => {
  while (s3.activeRequests() > 0) await new Promise((resolve) => setTimeout(resolve, 2))
}

test('503 SlowDown twice, then well; and only for what matches', async (t) => {
  const s3 = await withObject(t)
  const client = sdk(t, s3, { maxAttempts: 3 })
  const fault = s3.faults.add({
    match: { operation: 'GetObject', key: /^k$/ },
    times: 2,
    fault: { kind: 'status', status: 503, code: 'SlowDown', retryAfterSeconds: 0 },
  })
  await client.send(new HeadObjectCommand({ Bucket, Key }))
  await (await client.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToByteArray()
  assert.equal(fault.hits, 2)
  assert.equal(s3.counts.of('GetObject'), 3)
  assert.equal(s3.counts.errors.SlowDown, 2)
  const later = s3.faults.add({
    match: { method: 'GET' },
    after: 1,
    fault: { kind: 'status', status: 500, code: 'InternalError' },
  })
  assert.deepEqual([(await get(s3)).status, (await get(s3)).status, (await get(s3)).status], [200, 500, 500])
  later.remove()
  assert.equal((await get(s3)).status, 200)
})

test('500 after the commit: refused, and stored all the same', async (t) => {
  const s3 = await run(t)
  s3.faults.add({ match: { operation: 'PutObject' }, times: 1, fault: { kind: 'commit-then-500' } })
  const answer = await sendSigned(s3.endpoint, { method: 'PUT', path: '/photos/k', body })
  assert.deepEqual([answer.status, answer.code], [500, 'InternalError'])
  assert.ok(body.equals(await s3.stored.bytes(Key)))
})

test('an answer cut at byte n', async (t) => {
  const s3 = await withObject(t)
  for (const atByte of [0, 1, 300_000]) {
    s3.faults.add({ times: 1, fault: { kind: 'cut-response', atByte } })
    const cut = await get(s3)
    assert.deepEqual([cut.status, cut.length, cut.error], [200, '500000', 'ECONNRESET'])
    assert.ok(body.subarray(0, atByte).equals(cut.bytes), `cut at ${atByte}: ${cut.bytes.length} bytes came`)
  }
  assert.ok(body.equals((await get(s3)).bytes))
})

test('a request cut at byte n stores nothing', async (t) => {
  const s3 = await run(t)
  const client = sdk(t, s3)
  for (const atByte of [0, 1, 400_000]) {
    s3.faults.add({ times: 1, fault: { kind: 'cut-request', atByte } })
    await assert.rejects(client.send(new PutObjectCommand({ Bucket, Key, Body: body })))
    await idle(s3)
    assert.deepEqual(await s3.stored.objects(), [])
  }
  await client.send(new PutObjectCommand({ Bucket, Key, Body: body }))
})

test('wrong bytes: in the answer, or in what is kept behind a right ETag', async (t) => {
  const s3 = await withObject(t)
  s3.faults.add({ match: { operation: 'GetObject' }, times: 1, fault: { kind: 'wrong-bytes' } })
  const wrong = await get(s3)
  assert.deepEqual([wrong.status, wrong.bytes.length, wrong.error], [200, body.length, null])
  assert.equal(wrong.bytes.filter((byte, at) => byte !== body[at]).length, 1)
  assert.ok(body.equals((await get(s3)).bytes))

  const damaged = async () => {
    const put = await sendSigned(s3.endpoint, {
      method: 'PUT',
      path: '/photos/other',
      body,
      headers: { 'content-md5': md5Base64(body) },
    })
    assert.deepEqual([put.status, put.headers.etag], [200, etag])
    return (await s3.stored.bytes('other')).filter((byte, at) => byte !== body[at]).length
  }
  s3.faults.add({ match: { operation: 'PutObject' }, times: 1, fault: { kind: 'wrong-bytes' } })
  assert.equal(await damaged(), 1)
  assert.equal(await damaged(), 0)
  s3.profile.bucketSilentlyDamages = true
  assert.equal(await damaged(), 1)
})

test('a truncated answer: consistent, open-ended or contradicting its length', async (t) => {
  const s3 = await withObject(t)
  const truncated = async (declare?: 'short' | 'full' | 'none', atByte?: number) => {
    s3.faults.add({ times: 1, fault: { kind: 'truncate', declare, atByte } })
    const { bytes, length, error } = await get(s3)
    assert.ok(body.subarray(0, bytes.length).equals(bytes))
    return [bytes.length, length, error]
  }
  assert.deepEqual(await truncated(), [250_000, '250000', null])
  assert.deepEqual(await truncated('none', 7), [7, undefined, null])
  assert.deepEqual(await truncated('full', 7), [7, '500000', 'ECONNRESET'])
})

test('404 for what is there', async (t) => {
  const s3 = await withObject(t)
  const client = sdk(t, s3)
  s3.faults.add({ times: 2, fault: { kind: 'stale-404' } })
  await assert.rejects(client.send(new HeadObjectCommand({ Bucket, Key })), { name: 'NotFound' })
  await assert.rejects(client.send(new GetObjectCommand({ Bucket, Key })), { name: 'NoSuchKey' })
  await client.send(new HeadObjectCommand({ Bucket, Key }))
})

test('the ETag of another object, and another range than was asked for', async (t) => {
  const s3 = await withObject(t)
  const client = sdk(t, s3)
  s3.faults.add({ times: 2, fault: { kind: 'wrong-etag' } })
  const seen = await client.send(new HeadObjectCommand({ Bucket, Key }))
  assert.match(seen.ETag ?? '', /^"[0-9a-f]{32}"$/)
  assert.notEqual(seen.ETag, etag)
  const put = await client.send(new PutObjectCommand({ Bucket, Key: 'other', Body: body }))
  assert.notEqual(put.ETag, etag)
  assert.equal((await client.send(new HeadObjectCommand({ Bucket, Key: 'other' }))).ETag, etag)
  s3.faults.add({ times: 1, fault: { kind: 'other-range' } })
  const ranged = () => client.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=1000-1999' }))
  const wrong = await ranged()
  assert.equal(wrong.ContentRange, 'bytes 0-999/500000')
  assert.ok(body.subarray(0, 1_000).equals(await wrong.Body!.transformToByteArray()))
  assert.equal((await ranged()).ContentRange, 'bytes 1000-1999/500000')
})

test('a listing that leaves out, that is empty, and that comes in the wrong order', async (t) => {
  const s3 = await run(t)
  const client = sdk(t, s3)
  for (const key of ['a', 'b', 'c']) await client.send(new PutObjectCommand({ Bucket, Key: key, Body: key }))
  const listed = async () => {
    const page = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 2 }))
    return [(page.Contents ?? []).map((entry) => entry.Key).join(''), page.IsTruncated]
  }
  s3.faults.add({ times: 1, fault: { kind: 'short-listing', keep: 1 } })
  s3.faults.add({ after: 1, times: 1, fault: { kind: 'short-listing', keep: 0 } })
  s3.faults.add({ after: 2, times: 1, fault: { kind: 'short-listing', keep: 9, isReversed: true } })
  assert.deepEqual(
    [await listed(), await listed(), await listed(), await listed()],
    [
      ['a', false],
      ['', false],
      ['ba', false],
      ['ab', true],
    ],
  )
})

test('200 with an error inside: not done, or done', async (t) => {
  const s3 = await withObject(t)
  const client = sdk(t, s3)
  s3.faults.add({ match: { operation: 'CopyObject' }, times: 1, fault: { kind: 'error-in-200' } })
  await assert.rejects(
    client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/k` })),
    { name: 'InternalError' },
  )
  assert.equal((await s3.stored.objects()).length, 1)
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'multi' }))
  const { ETag } = await client.send(
    new UploadPartCommand({ Bucket, Key: 'multi', UploadId, PartNumber: 1, Body: 'x' }),
  )
  const complete = () =>
    client.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key: 'multi',
        UploadId,
        MultipartUpload: { Parts: [{ ETag, PartNumber: 1 }] },
      }),
    )
  s3.faults.add({ times: 1, fault: { kind: 'error-in-200' } })
  s3.faults.add({ after: 1, times: 1, fault: { kind: 'error-in-200', commit: true } })
  await assert.rejects(complete(), { name: 'InternalError' })
  assert.equal((await s3.stored.unfinishedUploads()).length, 1)
  await assert.rejects(complete(), { name: 'InternalError' })
  assert.equal(String(await s3.stored.bytes('multi')), 'x')
  await complete()
})

test('slow and late', async (t) => {
  const s3 = await withObject(t)
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const from = performance.now()
    await work()
    return performance.now() - from
  }
  s3.faults.add({ times: 2, fault: { kind: 'slow', bytesPerSecond: 2_000_000 } })
  assert.ok((await timed(() => get(s3))) > 200)
  assert.ok(
    (await timed(() => sendSigned(s3.endpoint, { method: 'PUT', path: '/photos/other', body }))) > 200,
  )
  assert.ok(body.equals(await s3.stored.bytes('other')))
  s3.faults.add({ times: 1, fault: { kind: 'delay', ms: 150 } })
  assert.ok((await timed(() => get(s3))) >= 149)
})

test('held until the test lets go, or the client leaves', async (t) => {
  const s3 = await withObject(t)
  const held = Promise.withResolvers<void>()
  const fault = s3.faults.add({ fault: { kind: 'hold', until: held.promise } })
  const isMet = (hits: number) => until('the fault meets the request', () => fault.hits >= hits)
  const client = new AbortController()
  const left = fetch(presign(s3.endpoint, { path: '/photos/k' }), { signal: client.signal })
  await isMet(1)
  client.abort()
  await assert.rejects(left, { name: 'AbortError' })
  await idle(s3)
  const put = sendSigned(s3.endpoint, { method: 'PUT', path: '/photos/other', body })
  await isMet(2)
  s3.faults.clear()
  // Another request goes from end to end meanwhile.
  assert.equal((await get(s3)).status, 200)
  assert.equal((await s3.stored.objects()).length, 1)
  held.resolve()
  assert.equal((await put).status, 200)
  assert.ok(body.equals(await s3.stored.bytes('other')))
})

test('no answer at all: the client may leave, the server may close', async (t) => {
  const s3 = await withObject(t)
  s3.faults.add({ fault: { kind: 'hang' } })
  const url = presign(s3.endpoint, { path: '/photos/k' })
  await assert.rejects(fetch(url, { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
  await idle(s3)
  const hanging = get(s3)
  while (s3.activeRequests() === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  await s3.close()
  assert.match((await hanging).error ?? '', /ECONNRESET|socket hang up/)
})

test('a connection that is reset, before or after the commit', async (t) => {
  const s3 = await run(t)
  const client = sdk(t, s3)
  const put = () => client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))
  s3.faults.add({ times: 1, fault: { kind: 'reset' } })
  await assert.rejects(put(), { code: 'ECONNRESET' })
  assert.deepEqual(await s3.stored.objects(), [])
  s3.faults.add({ times: 1, fault: { kind: 'reset', commit: true } })
  await assert.rejects(put(), { code: 'ECONNRESET' })
  assert.equal((await s3.stored.objects()).length, 1)
})

test('a client that leaves in the middle of a download frees its connection', async (t) => {
  const s3 = await run(t)
  await sendSigned(s3.endpoint, {
    method: 'PUT',
    path: '/photos/big',
    body: Buffer.alloc(30_000_000),
    payload: 'UNSIGNED-PAYLOAD',
  })
  for (let round = 0; round < 20; round++) {
    const { wire } = signByHeader(s3.endpoint, { path: '/photos/big' })
    await new Promise<void>((resolve, reject) => {
      const outgoing = request(
        { host: '127.0.0.1', port: s3.port, path: wire.url, headers: wire.headers, agent: false },
        (incoming) => {
          incoming.on('error', () => undefined)
          incoming.once('data', () => {
            incoming.destroy()
            resolve()
          })
        },
      )
      outgoing.on('error', reject)
      outgoing.end()
    })
  }
  await idle(s3)
  assert.equal(s3.openConnections(), 0)
  assert.ok(s3.counts.bytesOut < 20 * 30_000_000)
})
