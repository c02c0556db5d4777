/** Bodies that are put while they arrive, on a service that misbehaves. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend, type S3Backend } from '../../../src/storage/s3/s3.ts'
import { nextPartsAtOnce } from '../../../src/storage/s3/writes/streaming-put.ts'
import { leaveTo } from '../../support/storage/permit.ts'
import { readAll, sha256 } from '../contract/bodies.ts'
import { s3TestSettings } from '../contract/s3-subject.ts'
import { startStreamingPut, unfinishedOf } from '../contract/streaming-put-suite.ts'

const PART = 5 * 1024 * 1024
const credentials = { accessKeyId: 'suite', secretAccessKey: 'suite-secret' }

describe('growing puts under faults', () => {
  let server: StrictS3
  let backend: S3Backend

  before(async () => {
    server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
    const address = { endpoint: server.endpoint, ...credentials, bucket: 'photos' }
    const settings = s3TestSettings(address, { requestTimeoutMs: 5_000 })
    backend = openS3Backend(settings, silentLog)
    backend.useFeatures((await probeS3(settings, silentLog)).features)
  })
  beforeEach(() => {
    server.faults.clear()
    server.counts.reset()
  })
  after(async () => {
    await backend.close()
    await server.close()
  })

  test('costs begin, one request a part, complete and one look', async (t) => {
    const { streamingPut, append, body } = await startStreamingPut(t, backend)
    for (let part = 0; part < 3; part += 1) await append(randomBytes(PART))
    await append(randomBytes(10))
    assert.equal((await streamingPut.complete(body())).proof, 'attested')
    assert.deepEqual(server.counts.requests, {
      CreateMultipartUpload: 1,
      UploadPart: 4,
      CompleteMultipartUpload: 1,
      HeadObject: 1,
    })
  })

  for (const fault of [
    { kind: 'status', status: 503, code: 'SlowDown' },
    { kind: 'commit-then-500' },
    { kind: 'reset', commit: true },
    { kind: 'cut-request', atByte: 100_000 },
  ] as const) {
    for (const operation of ['UploadPart', 'CompleteMultipartUpload'] as const) {
      test(`${operation} meets ${fault.kind} once: it is proven all the same`, async (t) => {
        const planned = server.faults.add({ match: { operation }, times: 1, fault })
        const { key, streamingPut, append, body } = await startStreamingPut(t, backend)
        await append(randomBytes(2 * PART + 9))
        assert.equal((await streamingPut.complete(body())).proof, 'attested')
        // The body of a complete is too short to be cut where a part's is.
        if (!(fault.kind === 'cut-request' && operation === 'CompleteMultipartUpload'))
          assert.equal(planned.hits, 1)
        assert.deepEqual(sha256(await readAll((await backend.get(key)).stream)), body().digests[0])
        assert.deepEqual(await unfinishedOf(backend, key), [])
      })
    }
  }

  test('a part that fails for good is told while the rest would still arrive', async (t) => {
    server.faults.add({
      match: { operation: 'UploadPart' },
      after: 1,
      fault: { kind: 'status', status: 500, code: 'InternalError' },
    })
    const { key, streamingPut, append } = await startStreamingPut(t, backend)
    await assert.rejects(
      async () => {
        for (let part = 0; part < 20; part += 1) await append(randomBytes(PART))
      },
      { kind: 'unavailable' },
    )
    server.faults.clear()
    await streamingPut.abort()
    assert.deepEqual(await unfinishedOf(backend, key), [])
    assert.equal(await backend.head(key), null)
  })

  test('a service whose ETag of the whole is another: corrupt, and what it holds stays to be looked at', async (t) => {
    const { key, streamingPut, append, body } = await startStreamingPut(t, backend)
    await append(randomBytes(2 * PART + 9))
    server.profile.multipartEtags = 'random'
    try {
      await assert.rejects(streamingPut.complete(body()), { kind: 'corrupt', message: /ETag/ })
    } finally {
      server.profile.multipartEtags = 'md5-of-parts'
    }
    await streamingPut.abort()
    assert.equal((await backend.head(key))?.size, 2 * PART + 9)
    assert.deepEqual(await unfinishedOf(backend, key), [])
  })

  test('a service that is away when it is given up: told, and a later abort by id does it', async (t) => {
    const { key, streamingPut, append } = await startStreamingPut(t, backend)
    await append(randomBytes(PART + 9))
    server.faults.add({
      match: { operation: 'AbortMultipartUpload' },
      times: 1,
      fault: { kind: 'status', status: 503, code: 'SlowDown' },
    })
    await assert.rejects(streamingPut.abort(), { kind: 'unavailable' })
    assert.deepEqual(await unfinishedOf(backend, key), [streamingPut.uploadId])
    await backend.multipart!.abort(leaveTo([key]), streamingPut.uploadId)
    assert.deepEqual(await unfinishedOf(backend, key), [])
  })

  test('more bytes than were announced and the service has parts for: too-large, before they are sent', async (t) => {
    const { features } = backend
    backend.useFeatures({ ...features, multipart: { partBytes: PART, maxParts: 2 } })
    try {
      const unannounced = await startStreamingPut(t, backend)
      await unannounced.append(randomBytes(2 * PART))
      await assert.rejects(unannounced.append(randomBytes(1)), {
        kind: 'too-large',
        message: /Content-Length/,
      })
      await unannounced.streamingPut.abort()
      const announced = await startStreamingPut(t, backend, { expectedBytes: 3 * PART })
      await announced.append(randomBytes(3 * PART))
      assert.equal((await announced.streamingPut.complete(announced.body())).evidence.parts, 2)
    } finally {
      backend.useFeatures(features)
    }
  })
})

test('a slow line gets fewer parts at once, a quick one more, within 1 and 4', () => {
  assert.equal(nextPartsAtOnce(2, 20_000), 1)
  assert.equal(nextPartsAtOnce(1, 20_000), 1)
  assert.equal(nextPartsAtOnce(2, 10_000), 2)
  assert.equal(nextPartsAtOnce(2, 100), 3)
  assert.equal(nextPartsAtOnce(4, 100), 4)
})
