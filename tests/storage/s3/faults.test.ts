/** What an S3 service can do to a request, and what must come of it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { type Features, isStorageError, type StorageBackend } from '../../../src/storage/backend.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { openS3Backend, type S3Backend } from '../../../src/storage/s3/s3.ts'
import { eventually } from '../../support/eventually.ts'
import { leaveTo } from '../../support/storage/permit.ts'
import { bodyOf, randomKey, readAll, sha256 } from '../contract/bodies.ts'
import { s3TestSettings } from '../contract/s3-subject.ts'
import { rejectsWith } from '../contract/storage-suite.ts'

const MIB = 1024 * 1024
const credentials = { accessKeyId: 'suite', secretAccessKey: 'a-secret-that-is-never-shown' }

describe('S3 under faults', () => {
  let server: StrictS3
  let settings: S3Settings
  let features: Features
  let bare: S3Backend
  /**
   * For what never answers, and for nothing else: on a busy machine an ordinary answer takes a second, too.
   */
  let impatient: S3Backend
  let retrying: StorageBackend

  before(async () => {
    server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
    const address = { endpoint: server.endpoint, ...credentials, bucket: 'photos' }
    settings = s3TestSettings(address)
    features = (await probeS3(settings, silentLog)).features
    bare = openS3Backend(settings, silentLog)
    bare.useFeatures(features)
    impatient = openS3Backend({ ...settings, requestTimeoutMs: 1_000 }, silentLog)
    impatient.useFeatures(features)
    retrying = withRetry(bare, { attempts: 4, delayMs: 5, log: silentLog })
  })
  beforeEach(() => {
    server.faults.clear()
    server.counts.reset()
  })
  after(async () => {
    await bare.close()
    await impatient.close()
    await server.close()
  })

  const photo = () => bodyOf(randomBytes(200_000))
  const video = () => bodyOf(randomBytes(21 * MIB))

  async function assertHolds(
    key: Parameters<StorageBackend['get']>[0],
    body: { digests: unknown[] },
  ): Promise<void> {
    assert.deepEqual(sha256(await readAll((await bare.get(key)).stream)), body.digests[0])
  }

  async function unfinished(): Promise<unknown[]> {
    const found: unknown[] = []
    for await (const upload of bare.multipart!.listUnfinished('')) found.push(upload)
    return found
  }

  test('a photo costs one request, and is proven by it', async () => {
    const put = await bare.put(randomKey('f'), photo())
    assert.equal(put.proof, 'attested')
    assert.ok(put.evidence.md5)
    assert.deepEqual(server.counts.requests, { PutObject: 1 })
  })

  test('a video costs begin, parts, complete and two looks, and is proven by its ETag', async () => {
    const put = await bare.put(randomKey('f'), video())
    assert.equal(put.proof, 'attested')
    assert.deepEqual(
      { parts: put.evidence.parts, partBytes: put.evidence.partBytes },
      { parts: 5, partBytes: settings.partBytes },
    )
    const { requests } = server.counts
    const expected = { HeadObject: 2, CreateMultipartUpload: 1, UploadPart: 5, CompleteMultipartUpload: 1 }
    assert.deepEqual(requests, expected)
  })

  test('503 twice: tried again, the body opened anew each time', async () => {
    server.faults.add({
      match: { operation: 'PutObject' },
      times: 2,
      fault: { kind: 'status', status: 503, code: 'SlowDown' },
    })
    const [key, body] = [randomKey('f'), photo()]
    await retrying.put(key, body)
    assert.equal(body.opened, 3)
    await assertHolds(key, body)
  })

  test('503 for good: unavailable, and nothing stored', async () => {
    const key = randomKey('f')
    server.faults.add({
      match: { operation: 'PutObject' },
      fault: { kind: 'status', status: 503, code: 'SlowDown' },
    })
    await rejectsWith('unavailable', () => retrying.put(key, photo()))
    assert.equal(await bare.head(key), null)
  })

  for (const fault of [
    { kind: 'commit-then-500' },
    { kind: 'reset', commit: true },
    { kind: 'hang', commit: true },
  ] as const) {
    test(`${fault.kind} after the commit of a put: a look decides, nothing is sent twice`, async () => {
      server.faults.add({ match: { operation: 'PutObject' }, times: 1, fault })
      const [key, body] = [randomKey('f'), photo()]
      const put = await (fault.kind === 'hang' ? impatient : bare).put(key, body)
      assert.equal(put.proof, 'attested')
      assert.equal(server.counts.requests.PutObject, 1)
      await assertHolds(key, body)
    })
  }

  test('the same where nothing is known of the service: all bytes are read back', async () => {
    const unprobed = openS3Backend(settings, silentLog)
    server.faults.add({ match: { operation: 'PutObject' }, times: 1, fault: { kind: 'commit-then-500' } })
    const [key, body] = [randomKey('f'), photo()]
    const put = await unprobed.put(key, body)
    assert.equal(put.proof, 'enforced')
    assert.equal(server.counts.requests.GetObject, 1)
    await unprobed.close()
  })

  test('500 after the commit, and the look is stale: the next try finds the key taken by its own bytes', async () => {
    server.faults.add({ match: { operation: 'PutObject' }, times: 1, fault: { kind: 'commit-then-500' } })
    server.faults.add({ match: { operation: 'HeadObject' }, times: 1, fault: { kind: 'stale-404' } })
    const [key, body] = [randomKey('f'), photo()]
    const put = await retrying.put(key, body)
    assert.equal(put.proof, 'attested')
    await assertHolds(key, body)
  })

  test('500 after the commit of somebody else’s bytes: the key is taken, and they stay', async () => {
    const [key, first] = [randomKey('f'), photo()]
    await bare.put(key, first)
    server.faults.add({
      match: { operation: 'PutObject' },
      times: 1,
      fault: { kind: 'status', status: 500, code: 'InternalError' },
    })
    await rejectsWith('already-exists', () => retrying.put(key, photo()))
    await assertHolds(key, first)
  })

  test('the connection is cut in the middle of a put: nothing stored, the next try stores', async () => {
    server.faults.add({
      match: { operation: 'PutObject' },
      times: 1,
      fault: { kind: 'cut-request', atByte: 70_000 },
    })
    const [key, body] = [randomKey('f'), photo()]
    await rejectsWith('unavailable', () => bare.put(key, body))
    assert.equal(await bare.head(key), null)
    await bare.put(key, body)
    await assertHolds(key, body)
  })

  test('parts that fail are sent again from memory: the body is opened once', async () => {
    server.faults.add({
      match: { operation: 'UploadPart' },
      times: 2,
      after: 1,
      fault: { kind: 'status', status: 503, code: 'SlowDown' },
    })
    server.faults.add({
      match: { operation: 'UploadPart' },
      times: 1,
      after: 3,
      fault: { kind: 'commit-then-500' },
    })
    const [key, body] = [randomKey('f'), video()]
    assert.equal((await bare.put(key, body)).proof, 'attested')
    assert.equal(body.opened, 1)
    await assertHolds(key, body)
  })

  for (const fault of [
    { kind: 'commit-then-500' },
    { kind: 'reset', commit: true },
    { kind: 'error-in-200', commit: true },
  ] as const) {
    test(`${fault.kind} after the commit of a complete: a look decides`, async () => {
      server.faults.add({ match: { operation: 'CompleteMultipartUpload' }, times: 1, fault })
      const [key, body] = [randomKey('f'), video()]
      const put = await bare.put(key, body)
      assert.equal(put.proof, 'attested')
      await assertHolds(key, body)
      assert.deepEqual(await unfinished(), [])
    })
  }

  test('a complete that did nothing is asked for again: the parts are there already', async () => {
    const parts = server.faults.add({ match: { operation: 'UploadPart' }, fault: { kind: 'delay', ms: 0 } })
    server.faults.add({
      match: { operation: 'CompleteMultipartUpload' },
      times: 1,
      fault: { kind: 'error-in-200' },
    })
    const [key, body] = [randomKey('f'), video()]
    assert.equal((await bare.put(key, body)).proof, 'attested')
    assert.equal(parts.hits, Math.ceil(body.size / settings.partBytes!))
    await assertHolds(key, body)
    assert.deepEqual(await unfinished(), [])
  })

  test('a complete that never does anything: unavailable, and the upload is aborted', async () => {
    server.faults.add({ match: { operation: 'CompleteMultipartUpload' }, fault: { kind: 'error-in-200' } })
    const key = randomKey('f')
    await rejectsWith('unavailable', () => bare.put(key, video()))
    assert.equal(await bare.head(key), null)
    assert.deepEqual(await unfinished(), [])
  })

  test('parts that fail for good: the upload is aborted, nothing is left', async () => {
    server.faults.add({
      match: { operation: 'UploadPart' },
      after: 2,
      fault: { kind: 'status', status: 500, code: 'InternalError' },
    })
    const key = randomKey('f')
    await rejectsWith('unavailable', () => bare.put(key, video()))
    assert.equal(await bare.head(key), null)
    assert.deepEqual(await unfinished(), [])
  })

  test('a service that says it holds other bytes: corrupt, and what it holds stays to be looked at', async () => {
    server.profile.opaqueEtags = true
    const key = randomKey('f')
    bare.useFeatures({ ...features, attestedDigests: ['md5'] })
    try {
      await rejectsWith('corrupt', () => bare.put(key, photo()))
    } finally {
      server.profile.opaqueEtags = false
      bare.useFeatures(features)
    }
    assert.equal((await bare.head(key))?.size, photo().size)
  })

  for (const fault of [
    { kind: 'cut-response', atByte: 100_000 },
    { kind: 'truncate', declare: 'full' },
  ] as const) {
    test(`${fault.kind} in the middle of a download: an error, never a short success`, async () => {
      const key = randomKey('f')
      await bare.put(key, photo())
      server.faults.add({ match: { operation: 'GetObject' }, times: 1, fault })
      const { stream } = await bare.get(key)
      await rejectsWith('unavailable', () => readAll(stream))
      assert.equal((await readAll((await bare.get(key)).stream)).length, 200_000)
    })
  }

  test('a download that names no length is refused: its end could not be told from a cut', async () => {
    const key = randomKey('f')
    await bare.put(key, photo())
    server.faults.add({
      match: { operation: 'GetObject' },
      times: 1,
      fault: { kind: 'truncate', declare: 'none' },
    })
    await rejectsWith('unavailable', () => bare.get(key))
  })

  test('a length that lies is to be seen in the size, wrong bytes in the digest', async () => {
    const [key, body] = [randomKey('f'), photo()]
    await bare.put(key, body)
    server.faults.add({
      match: { operation: 'GetObject' },
      times: 1,
      fault: { kind: 'truncate', declare: 'short' },
    })
    const short = await bare.get(key)
    short.stream.destroy()
    assert.notEqual(short.size, body.size)
    server.faults.add({ match: { operation: 'GetObject' }, times: 1, fault: { kind: 'wrong-bytes' } })
    const wrong = await readAll((await bare.get(key)).stream)
    assert.equal(wrong.length, body.size)
    assert.notDeepEqual(sha256(wrong), body.digests[0])
  })

  test('an answer to another range than was asked for is refused', async () => {
    const key = randomKey('f')
    await bare.put(key, photo())
    server.faults.add({ match: { operation: 'GetObject' }, times: 1, fault: { kind: 'other-range' } })
    const range = { start: 1_000, end: 1_999 }
    await rejectsWith('unavailable', () => bare.get(key, { range }))
    assert.equal((await readAll((await bare.get(key, { range })).stream)).length, 1_000)
  })

  test('a service that never answers: unavailable after the time-out, the connection given up', async () => {
    const key = randomKey('f')
    await bare.put(key, photo())
    server.faults.add({ match: { operation: 'GetObject' }, times: 1, fault: { kind: 'hang' } })
    const startedAt = performance.now()
    await rejectsWith('unavailable', () => impatient.get(key))
    const tookMs = performance.now() - startedAt
    assert.ok(tookMs >= 900 && tookMs < 5_000, `${tookMs} ms`)
    assert.equal((await readAll((await bare.get(key)).stream)).length, 200_000)
  })

  test('a reader that stands still for longer than the time-out loses nothing', async () => {
    const [key, body] = [randomKey('f'), bodyOf(randomBytes(5 * MIB))]
    await bare.put(key, body)
    const { stream } = await impatient.get(key)
    await once(stream, 'readable')
    await sleep(2_500)
    assert.deepEqual(sha256(await readAll(stream)), body.digests[0])
  })

  test('60 downloads whose reader left hold no connection', async () => {
    const key = randomKey('f')
    await bare.put(key, bodyOf(randomBytes(5 * MIB)))
    for (let round = 0; round < 60; round++) {
      const { stream } = await bare.get(key)
      if (round % 2 === 0) await once(stream, 'readable')
      stream.destroy()
    }
    await eventually(() => assert.equal(server.activeRequests(), 0))
    assert.ok(bare.openConnections() <= 2, `${bare.openConnections()} connections`)
  })

  test('a page of a listing that fails is asked for again, and no key is lost or doubled', async () => {
    const keys = Array.from({ length: 1_100 }, (_, n) => randomKey('pages', String(n)))
    for (let at = 0; at < keys.length; at += 50) {
      await Promise.all(keys.slice(at, at + 50).map((key) => bare.put(key, bodyOf(Buffer.from('x')))))
    }
    server.faults.add({
      match: { operation: 'ListObjectsV2' },
      times: 2,
      after: 1,
      fault: { kind: 'status', status: 503, code: 'SlowDown' },
    })
    const found: string[] = []
    for await (const { key } of bare.list('pages/')) found.push(key)
    assert.deepEqual(found.sort(), keys.toSorted())
  })

  test('a delete that is refused in part fails, after all were tried', async () => {
    const [kept, gone] = [randomKey('f'), randomKey('f')]
    await Promise.all([bare.put(kept, photo()), bare.put(gone, photo())])
    server.profile.denied = ['DeleteObject']
    try {
      await rejectsWith('denied', () => bare.delete(leaveTo([kept])))
      assert.ok(await bare.head(kept))
    } finally {
      server.profile.denied = []
    }
    await bare.delete(leaveTo([kept, gone]))
    assert.equal(await bare.head(kept), null)
  })

  describe('what is set up wrongly is named, with its remedy and without its secret', () => {
    async function messageWith(wrong: Partial<S3Settings>, kind: string): Promise<string> {
      const backend = openS3Backend({ ...settings, ...wrong }, silentLog)
      backend.useFeatures(features)
      const messages: string[] = []
      const key = randomKey('f')
      const calls = [
        () => backend.head(key),
        () => backend.get(key),
        () => backend.put(key, photo()),
        () => backend.readMarker(),
        () => Array.fromAsync(backend.list('')),
      ] as (() => Promise<unknown>)[]
      for (const call of calls) {
        await assert.rejects(call, (error: unknown) => {
          assert.ok(isStorageError(error), String(error))
          assert.equal(error.kind, kind, error.message)
          messages.push(error.message)
          return true
        })
      }
      await backend.close()
      const all = messages.join('\n')
      assert.ok(!all.includes(credentials.secretAccessKey) && !/signature=/i.test(all))
      return all
    }

    test('a bucket that is not there is unavailable, never "not found": its objects are not known to be lost', async () => {
      assert.match(
        await messageWith({ bucket: 'elsewhere' }, 'unavailable'),
        /elsewhere does not exist|the bucket does not exist/,
      )
    })
    test('a wrong secret', async () => {
      assert.match(await messageWith({ secretAccessKey: 'wrong' }, 'denied'), /secretAccessKey/)
    })
    test('an unknown access key', async () => {
      assert.match(await messageWith({ accessKeyId: 'nobody' }, 'denied'), /accessKeyId/)
    })
    test('another region', async () => {
      server.profile.bucketRegions = { photos: 'eu-central-1' }
      try {
        assert.match(await messageWith({}, 'denied'), /correct its region/)
      } finally {
        server.profile.bucketRegions = {}
      }
    })
    test('no service at the endpoint', async () => {
      assert.match(await messageWith({ endpoint: 'http://127.0.0.1:1' }, 'unavailable'), /ECONNREFUSED/)
    })
    test('a permission that is missing', async () => {
      server.profile.denied = ['s3:PutObject', 's3:GetObject', 's3:ListBucket']
      try {
        assert.match(await messageWith({}, 'denied'), /PutObject of f.*s3:PutObject/)
      } finally {
        server.profile.denied = []
      }
    })
  })
})
