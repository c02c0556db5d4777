/** What the breaker does to the calls of a backend. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { describe, test } from 'node:test'
import { setImmediate as soon } from 'node:timers/promises'
import { silentLog } from '../../../src/log.ts'
import {
  isStorageError,
  type StorageBackend,
  StorageError,
  type StreamingPut,
} from '../../../src/storage/backend.ts'
import { type BreakerRules, createBreaker } from '../../../src/storage/guards/breaker.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { faultyBackend } from '../../support/storage/faulty-backend.ts'
import { leaveTo } from '../../support/storage/permit.ts'
import { bodyOf, failingReader, lyingBody, randomKey, readAll } from '../contract/bodies.ts'
import { rejectsWith } from '../contract/storage-suite.ts'

const RULES: BreakerRules = { failures: 3, windowMs: 60_000, coolDownMs: 1_000, answerWithinMs: 60_000 }
const never = new Promise<never>(() => {})
const aborted = (signal?: AbortSignal) =>
  new Promise<never>((_resolve, reject) =>
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
  )

/** A memory backend that can be switched off or made to hang, with a clock of its own before its breaker. */
function subject(rules: Partial<BreakerRules> = {}) {
  let nowMs = 0
  const memory = openMemoryBackend()
  const asked = { markers: 0, others: 0, atOnce: 0, mostAtOnce: 0 }
  const place: { mode: 'well' | 'away' | 'hangs' } = { mode: 'well' }
  const ask = async <T>(
    what: 'markers' | 'others',
    signal: AbortSignal | undefined,
    act: () => Promise<T>,
  ): Promise<T> => {
    asked[what] += 1
    asked.atOnce += 1
    asked.mostAtOnce = Math.max(asked.mostAtOnce, asked.atOnce)
    try {
      if (place.mode === 'hangs') await aborted(signal)
      if (place.mode === 'away') throw new StorageError('unavailable', '503 SlowDown')
      return await act()
    } finally {
      asked.atOnce -= 1
    }
  }
  const inner: StorageBackend = {
    ...memory,
    features: memory.features,
    head: (key, options) => ask('others', options?.signal, () => memory.head(key, options)),
    get: (key, options) => ask('others', options?.signal, () => memory.get(key, options)),
    put: (key, body, options) => ask('others', options?.signal, () => memory.put(key, body, options)),
    readMarker: (options) => ask('markers', options?.signal, () => memory.readMarker()),
  }
  const breaker = createBreaker('the bucket', { ...RULES, ...rules }, () => nowMs)
  return {
    memory,
    inner,
    breaker,
    backend: withBreaker(inner, breaker),
    place,
    asked,
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}

const failure = (run: () => Promise<unknown>) =>
  run().then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error as StorageError,
  )

describe('with a breaker', () => {
  test('an open one asks the place nothing, one trial closes it, and the caller that waited gets its bytes', async () => {
    const { backend, memory, place, asked, pass } = subject()
    const key = randomKey('a')
    await memory.put(key, bodyOf(randomBytes(1_000)))
    place.mode = 'away'
    for (let n = 0; n < 3; n += 1) await rejectsWith('unavailable', () => backend.get(key))
    for (let n = 0; n < 100; n += 1) {
      const { message, retryAt } = await failure(() => backend.get(key))
      assert.equal(message, "the bucket can't be reached: 503 SlowDown")
      assert.ok(retryAt)
    }
    assert.deepEqual([asked.others, asked.markers], [3, 0])

    pass(RULES.coolDownMs)
    await rejectsWith('unavailable', () => backend.get(key))
    assert.deepEqual([asked.others, asked.markers], [3, 1], 'the trial failed: the call itself was not made')
    await rejectsWith('unavailable', () => backend.get(key))
    assert.deepEqual([asked.others, asked.markers], [3, 1])

    pass(RULES.coolDownMs)
    place.mode = 'well'
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => backend.head(key)))
    assert.equal(asked.markers, 2, 'one trial, however many come')
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.equal((await readAll((await backend.get(key)).stream)).length, 1_000)
  })

  test('a large upload that arrives beside it, and sends nothing yet, speaks for no place', async () => {
    const { memory, inner, breaker, place } = subject()
    const partsToCome: StreamingPut = {
      uploadId: 'u',
      advance: async () => undefined,
      complete: () => never,
      stop: async () => undefined,
      abort: async () => undefined,
    }
    const streamingPut = { partBytes: 1_000, begin: async () => partsToCome }
    const backend = withBreaker({ ...inner, features: memory.features, streamingPut }, breaker)
    const openFile = () => never
    const upload = await backend.streamingPut!.begin(randomKey('b'), {
      openFile,
      expectedBytes: null,
      contentType: 'video/mp4',
    })
    place.mode = 'away'
    for (let n = 0; n < 3; n += 1) {
      for (let mib = 0; mib < 20; mib += 1) await upload.advance(mib)
      await rejectsWith('unavailable', () => backend.head(randomKey('a')))
    }
    assert.equal(breaker.state, 'open')
    await rejectsWith('unavailable', () => upload.advance(20))
  })

  test('of 200 reads at a place that hangs no more than the slots are held, and all end when it opens', async () => {
    const { inner, breaker, place, asked } = subject({ answerWithinMs: 200 })
    const limits = { reads: 10, writes: 1, others: 1 }
    const retry = { attempts: 4, delayMs: 1, log: silentLog }
    const backend = withRetry(withLimits(withBreaker(inner, breaker), limits), retry)
    place.mode = 'hangs'
    const failures = await Promise.all(
      Array.from({ length: 200 }, () => failure(() => backend.get(randomKey('a')))),
    )
    assert.ok(failures.every((error) => isStorageError(error, 'unavailable')))
    assert.equal(asked.mostAtOnce, 10)
    assert.ok(asked.others < 10 + RULES.failures, `the others never reached the place: ${asked.others}`)
    assert.ok(failures.every(({ retryAt }) => retryAt !== undefined))
  })

  test('what is asked about parts has patience, tries and slots, as reads have', async () => {
    const { inner, breaker, place, asked } = subject({ answerWithinMs: 200, failures: 1_000 })
    let tries = 0
    const multipart = {
      listParts: async (_key: unknown, _id: unknown, options?: { signal?: AbortSignal }) => {
        tries += 1
        await inner.head(randomKey('a'), options)
        return []
      },
    } as unknown as NonNullable<StorageBackend['multipart']>
    const guarded = withBreaker({ ...inner, features: inner.features, multipart }, breaker)
    const limited = withLimits(guarded, { reads: 1, writes: 1, others: 2 })
    const backend = withRetry(limited, { attempts: 3, delayMs: 1, log: silentLog })
    const ask = (signal?: AbortSignal) =>
      backend.multipart!.listParts(randomKey('a'), 'id', signal ? { signal } : {})
    place.mode = 'hangs'
    const failures = await Promise.all(Array.from({ length: 4 }, () => failure(() => ask())))
    assert.ok(failures.every((error) => isStorageError(error, 'unavailable')))
    assert.equal(tries, 12)
    assert.equal(asked.mostAtOnce, 2)
    const leaving = new AbortController()
    const left = assert.rejects(ask(leaving.signal), /left/)
    leaving.abort(new Error('left'))
    await left
  })

  test('answers of any kind keep it closed', async () => {
    const { inner, breaker } = subject()
    const faulty = faultyBackend(inner)
    const backend = withBreaker(faulty.backend, breaker)
    for (const kind of ['not-found', 'already-exists', 'corrupt', 'denied', 'too-large'] as const) {
      for (let n = 0; n < 5; n += 1) {
        faulty.plan({ call: 'head', when: 'before', error: new StorageError(kind, kind) })
        await rejectsWith(kind, () => backend.head(randomKey('a')))
      }
    }
    for (let n = 0; n < 20; n += 1) {
      const error = new StorageError('unavailable', 'it is archived', { isOfOneObject: true })
      faulty.plan({ call: 'get', when: 'before', error })
      await rejectsWith('unavailable', () => backend.get(randomKey('a')))
    }
    assert.equal(breaker.state, 'closed')
  })

  test('a body that another place fails to give is no fault of this one', async () => {
    const { backend, breaker } = subject()
    for (let n = 0; n < 5; n += 1) {
      const bytes = randomBytes(100_000)
      await rejectsWith('unavailable', () =>
        backend.put(
          randomKey('a'),
          lyingBody(bytes, () => failingReader(bytes, 50_000)),
        ),
      )
    }
    assert.equal(breaker.state, 'closed')
  })

  test('a body whose file is gone says nothing of the place, neither good nor bad', async () => {
    const { backend, breaker, place } = subject()
    const putNothing = () =>
      rejectsWith('not-found', () =>
        backend.put(
          randomKey('a'),
          lyingBody(randomBytes(100), () => createReadStream('/nowhere/at/all')),
        ),
      )
    for (let n = 0; n < 2 * RULES.failures; n += 1) await putNothing()
    assert.equal(breaker.state, 'closed')
    // Were they taken for answers, there would be more of those than failures.
    place.mode = 'away'
    for (let n = 0; n < RULES.failures; n += 1)
      await rejectsWith('unavailable', () => backend.head(randomKey('a')))
    assert.equal(breaker.state, 'open')
  })

  test('a caller that leaves early proves nothing; one that leaves after a long silence does', async () => {
    const answerWithinMs = 20_000
    const { backend, breaker, place, pass } = subject({ answerWithinMs })
    place.mode = 'hangs'
    for (const waitedMs of [0, answerWithinMs / 2]) {
      for (let n = 0; n < 5 && breaker.state === 'closed'; n += 1) {
        const controller = new AbortController()
        const reading = backend.get(randomKey('a'), { signal: controller.signal })
        await soon()
        pass(waitedMs)
        controller.abort(new Error('left'))
        await assert.rejects(reading, /left/)
      }
      assert.equal(breaker.state, waitedMs === 0 ? 'closed' : 'open')
    }
  })

  test('streams that break off count; what is under way when it opens goes on, unless it is a read without an answer', async () => {
    const { backend, breaker, memory, place } = subject()
    const key = randomKey('a')
    await memory.put(key, bodyOf(randomBytes(3_000_000)))
    const healthy = await backend.get(key)
    const broken = await Promise.all([1, 2, 3].map(() => backend.get(key)))
    place.mode = 'hangs'
    const waiting = failure(() => backend.head(key))
    for (const { stream } of broken) stream.destroy(new StorageError('unavailable', 'cut'))
    await soon()
    // Four answers and three breaks leave it closed; two calls that fail decide.
    place.mode = 'away'
    await rejectsWith('unavailable', () => backend.head(key))
    assert.equal(breaker.state, 'open')
    assert.ok((await waiting).retryAt)
    assert.equal((await readAll(healthy.stream)).length, 3_000_000)
  })

  test('a block cuts streams, puts and listings, lets nothing through, and ends by itself', async () => {
    const { backend, breaker, memory, asked, pass } = subject()
    const key = randomKey('a')
    const bytes = randomBytes(3_000_000)
    await memory.put(key, bodyOf(bytes))
    const { stream } = await backend.get(key)
    const reading = failure(() => readAll(stream))
    let isPutting = false
    const putKey = randomKey('a')
    const putting = failure(() =>
      backend.put(putKey, bodyOf(bytes), {
        onProgress: () => {
          isPutting = true
          breaker.block(60_000, 'a simulated outage')
        },
      }),
    )
    for (const error of [await putting, await reading]) {
      assert.equal(error.message, "the bucket can't be reached: a simulated outage")
    }
    assert.equal(isPutting, true)
    assert.equal(await memory.head(putKey), null, 'nothing is held of what was cut')
    const before = asked.others + asked.markers
    await rejectsWith('unavailable', () => backend.head(key))
    await rejectsWith('unavailable', () => backend.readMarker())
    await rejectsWith('unavailable', () => backend.delete(leaveTo([key])))
    await rejectsWith('unavailable', async () => {
      for await (const _ of backend.list('a')) assert.fail('listed')
    })
    assert.equal(asked.others + asked.markers, before)
    assert.equal(breaker.state, 'closed', 'a drill teaches nothing about the place')
    pass(60_000)
    assert.equal((await backend.head(key))?.size, bytes.length)
  })

  test('no address that leads to the place is given out meanwhile', async () => {
    const { inner, breaker, pass } = subject()
    const presign = {
      origin: async () => 'https://bucket',
      get: async () => ({ url: 'https://bucket/key', expiresAt: new Date(60_000) }),
      put: async () => ({ url: 'https://bucket', headers: {}, expiresAt: new Date(60_000) }),
    }
    const backend = withBreaker({ ...inner, presign }, breaker)
    const options = {
      signedAt: new Date(0),
      expiresAt: new Date(60_000),
      contentType: 'image/jpeg',
      contentDisposition: 'inline',
      cacheControl: 'private',
    }
    breaker.open('gone')
    await rejectsWith('unavailable', () => backend.presign?.get(randomKey('a'), options) ?? never)
    pass(RULES.coolDownMs)
    assert.equal((await backend.presign?.get(randomKey('a'), options))?.url, 'https://bucket/key')
  })
})
