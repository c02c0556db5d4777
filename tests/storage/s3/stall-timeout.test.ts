/**
 * Writes to a service that is silent: with nothing but writes under way the breaker opens within
 * `answerWithinMs`, and what is slow but alive is not cut. The time-out of requests is far longer, so that
 * only the rules of silence can end anything.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import type { OperationName } from 'strict-s3/operation-names'
import { silentLog } from '../../../src/log.ts'
import type { Features, StorageBackend } from '../../../src/storage/backend.ts'
import { type Breaker, createBreaker, DEFAULT_BREAKER_RULES } from '../../../src/storage/guards/breaker.ts'
import { probeOnStall } from '../../../src/storage/guards/probe-on-stall.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { openS3Backend, type S3Backend } from '../../../src/storage/s3/s3.ts'
import { bodyOf, randomKey, readAll, sha256 } from '../contract/bodies.ts'
import { s3TestSettings } from '../contract/s3-subject.ts'
import { rejectsWith } from '../contract/storage-suite.ts'

const MIB = 1024 * 1024
const REQUEST_TIMEOUT_MS = 300_000
const ANSWER_WITHIN_MS = 2_000
const credentials = { accessKeyId: 'suite', secretAccessKey: 'silence-secret' }

describe('a silent service', { timeout: 120_000 }, () => {
  let server: StrictS3
  let settings: S3Settings
  let features: Features
  let bare: S3Backend
  let breaker: Breaker
  let backend: StorageBackend

  before(async () => {
    server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
    settings = s3TestSettings(
      { endpoint: server.endpoint, ...credentials, bucket: 'photos' },
      { requestTimeoutMs: REQUEST_TIMEOUT_MS },
    )
    features = (await probeS3(settings, silentLog)).features
  })
  beforeEach(async () => {
    server.faults.clear()
    breaker = createBreaker('bucket photos', { ...DEFAULT_BREAKER_RULES, answerWithinMs: ANSWER_WITHIN_MS })
    bare = openS3Backend(watched(settings), silentLog)
    bare.useFeatures(features)
    await bare.writeMarker('a place')
    backend = withRetry(withBreaker(bare, breaker), { attempts: 4, delayMs: 5, log: silentLog })
  })
  afterEach(() => bare.close())
  after(async () => {
    await server.close()
  })

  const photo = () => bodyOf(randomBytes(300_000))
  const video = () => bodyOf(randomBytes(21 * MIB))
  const timed = async <T>(act: () => Promise<T>): Promise<{ result: T; tookMs: number }> => {
    const begunAt = performance.now()
    return { result: await act(), tookMs: performance.now() - begunAt }
  }

  async function refusedInTime(act: () => Promise<unknown>): Promise<void> {
    const { result: error, tookMs } = await timed(() => rejectsWith('unavailable', act))
    assert.ok(error.retryAt, `it says when to come back: ${error}`)
    assert.equal(breaker.state, 'open')
    // Nothing else would end it before the time-out of requests.
    assert.ok(tookMs < REQUEST_TIMEOUT_MS / 10, `${tookMs} ms`)
  }

  const hang = (commit: boolean, operation?: OperationName) =>
    server.faults.add({ ...(operation && { match: { operation } }), fault: { kind: 'hang', commit } })

  for (const commit of [false, true]) {
    const when = commit ? 'after it took the body' : 'before it takes the body'
    test(`one put of a photo, and nothing else, opens the breaker: silent ${when}`, async () => {
      hang(commit)
      await refusedInTime(() => backend.put(randomKey('silent'), photo()))
    })
    test(`one put in parts does: silent ${when}`, async () => {
      const key = randomKey('silent')
      // All is well until the upload has begun.
      server.faults.add({ after: 2, fault: { kind: 'hang', commit } })
      await refusedInTime(() => backend.put(key, video()))
    })
  }

  test('a complete that nobody answers, of a place that is silent altogether, does', async () => {
    const key = randomKey('silent')
    // A look, the beginning, and the parts.
    server.faults.add({ after: 2 + Math.ceil((21 * MIB) / settings.partBytes!), fault: { kind: 'hang' } })
    await refusedInTime(() => backend.put(key, video()))
  })

  test('a put that hangs alone, beside a marker that is answered, fails in time and opens nothing', async () => {
    const hung = hang(false, 'PutObject')
    const { tookMs } = await timed(() => rejectsWith('unavailable', () => bare.put(randomKey('f'), photo())))
    assert.equal(hung.hits, 1)
    assert.equal(breaker.state, 'closed')
    assert.ok(tookMs < REQUEST_TIMEOUT_MS / 10, `${tookMs} ms`)
  })

  test('a put that hangs alone and had worked is found by the look that follows', async () => {
    hang(true, 'PutObject')
    const [key, body] = [randomKey('f'), photo()]
    assert.equal((await bare.put(key, body)).proof, 'attested')
    assert.equal(breaker.state, 'closed')
  })

  test('what takes its time is not cut while the place answers: a complete of twice that long', async () => {
    server.faults.add({
      match: { operation: 'CompleteMultipartUpload' },
      fault: { kind: 'delay', ms: 2 * ANSWER_WITHIN_MS },
    })
    const [key, body] = [randomKey('f'), video()]
    const { tookMs } = await timed(() => backend.put(key, body))
    assert.ok(tookMs >= 2 * ANSWER_WITHIN_MS)
    assert.deepEqual(sha256(await readAll((await bare.get(key)).stream)), body.digests[0])
  })

  // The smaller one fits into the kernel: all that can be seen of its way is that no answer comes.
  for (const [mib, seconds] of [
    [30, 6],
    [4, 4],
  ] as const) {
    test(`a slow line is not cut while bytes move: ${mib} MiB in ${seconds} s`, async () => {
      const whole = openS3Backend(watched({ ...settings, singlePutBytes: 64 * MIB }), silentLog)
      whole.useFeatures(features)
      const body = bodyOf(randomBytes(mib * MIB))
      const fault = { kind: 'slow', bytesPerSecond: body.size / seconds } as const
      const slow = server.faults.add({ match: { operation: 'PutObject' }, fault })
      const { tookMs } = await timed(() => whole.put(randomKey('f'), body))
      assert.equal(slow.hits, 1, 'at the first try')
      assert.ok(tookMs > 1.2 * ANSWER_WITHIN_MS, `${tookMs} ms`)
      assert.equal(breaker.state, 'closed')
      await whole.close()
    })
  }

  function watched(plain: S3Settings): S3Settings {
    const onSilence = probeOnStall(breaker, (signal) => bare.readMarker({ signal }))
    return { ...plain, silence: { answerWithinMs: ANSWER_WITHIN_MS, onSilence } }
  }
})
