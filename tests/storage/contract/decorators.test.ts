/** What retry and limits add to a backend; that they take nothing away is the suite's business. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLog } from '../../../src/log.ts'
import { type StorageBackend, StorageError } from '../../../src/storage/backend.ts'
import { openBufferPool } from '../../../src/storage/bytes/buffer-pool.ts'
import { createDigester, digestValue } from '../../../src/storage/bytes/digest.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { createBreaker } from '../../../src/storage/guards/breaker.ts'
import { countUses } from '../../../src/storage/guards/count-uses.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { withoutWrites } from '../../../src/storage/guards/without-writes.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { faultyBackend } from '../../support/storage/faulty-backend.ts'
import { bodyOf, randomKey, readAll } from './bodies.ts'
import { s3TestSettings } from './s3-subject.ts'
import { rejectsWith } from './storage-suite.ts'

const retry = { attempts: 3, delayMs: 1, log: silentLog }

describe('with retry', () => {
  test('tries again what is unavailable, opens the body anew, gives up after its attempts', async () => {
    const faulty = faultyBackend(openMemoryBackend())
    const backend = withRetry(faulty.backend, retry)
    faulty.plan({ call: 'put', when: 'before' })
    faulty.plan({ call: 'put', when: 'before' })
    const [key, body] = [randomKey('a'), bodyOf(randomBytes(100))]
    await backend.put(key, body)
    assert.equal(faulty.calls.put, 3)
    for (let n = 0; n < 3; n++) faulty.plan({ call: 'get', when: 'before' })
    await rejectsWith('unavailable', () => backend.get(key))
    assert.equal(faulty.calls.get, 3)
    assert.equal((await readAll((await backend.get(key)).stream)).length, 100)
  })

  test('a put that worked although it seemed to fail is a success, by what is held', async () => {
    const faulty = faultyBackend(openMemoryBackend({ features: { attestedDigests: [] } }))
    const backend = withRetry(faulty.backend, retry)
    faulty.plan({ call: 'put', when: 'after' })
    const [key, bytes] = [randomKey('a'), randomBytes(100)]
    assert.equal((await backend.put(key, bodyOf(bytes))).size, 100)
    assert.equal(faulty.calls.put, 2)
    faulty.plan({ call: 'put', when: 'before' })
    await rejectsWith('already-exists', () => backend.put(key, bodyOf(randomBytes(100))))
  })

  for (const kind of ['not-found', 'already-exists', 'corrupt', 'denied', 'too-large'] as const) {
    test(`never tries again what is ${kind}`, async () => {
      const faulty = faultyBackend(openMemoryBackend())
      faulty.plan({ call: 'head', when: 'before', error: new StorageError(kind, kind) })
      await rejectsWith(kind, () => withRetry(faulty.backend, retry).head(randomKey('a')))
      assert.equal(faulty.calls.head, 1)
    })
  }

  test('an abort ends the waiting between two tries', async () => {
    const faulty = faultyBackend(openMemoryBackend())
    faulty.plan({ call: 'head', when: 'before' })
    const controller = new AbortController()
    const reason = new Error('enough')
    const head = withRetry(faulty.backend, { ...retry, delayMs: 60_000 }).head(randomKey('a'), {
      signal: controller.signal,
    })
    setTimeout(() => controller.abort(reason), 20)
    await assert.rejects(head, (error) => error === reason)
  })
})

describe('with limits', () => {
  test('a get holds its slot until its stream has ended or was destroyed', async () => {
    const backend = withLimits(openMemoryBackend(), { reads: 1, writes: 1, others: 1 })
    const key = randomKey('a')
    await backend.put(key, bodyOf(randomBytes(300_000)))
    const first = await backend.get(key)
    let isSecondOpen = false
    const second = backend.get(key).then((got) => {
      isSecondOpen = true
      return got
    })
    await sleep(20)
    assert.equal(isSecondOpen, false)
    assert.ok(await backend.head(key), 'other calls go on')
    first.stream.destroy()
    const third = backend.get(key)
    await readAll((await second).stream)
    ;(await third).stream.destroy()
  })

  test('who is aborted while waiting leaves the queue, and the slot goes to the next', async () => {
    const backend = withLimits(openMemoryBackend(), { reads: 1, writes: 1, others: 1 })
    const key = randomKey('a')
    await backend.put(key, bodyOf(randomBytes(300_000)))
    const first = await backend.get(key)
    const controller = new AbortController()
    const second = backend.get(key, { signal: controller.signal })
    const third = backend.get(key)
    controller.abort(new Error('left'))
    await assert.rejects(second, /left/)
    first.stream.destroy()
    ;(await third).stream.destroy()
  })

  test('a call that fails gives its slot back', async () => {
    const backend = withLimits(openMemoryBackend(), { reads: 1, writes: 1, others: 1 })
    for (let n = 0; n < 5; n++) await rejectsWith('not-found', () => backend.get(randomKey('a')))
  })
})

const NOWHERE = { endpoint: 'http://127.0.0.1:9', accessKeyId: 'a', secretAccessKey: 'b', bucket: 'c' }

describe('every decorator', () => {
  // What a backend can do is known without asking its location.
  const s3 = openS3Backend(s3TestSettings(NOWHERE, { prefix: '', requestTimeoutMs: 1_000 }), silentLog)
  after(() => s3.close())
  for (const [name, inner] of [
    ['s3', s3],
    ['disk', openDiskBackend({ root: '/nowhere', log: silentLog })],
  ] as const) {
    for (const [how, decorated] of Object.entries({
      retry: withRetry(inner, retry),
      limits: withLimits(inner, { reads: 1, writes: 1, others: 1 }),
      breaker: withBreaker(inner, createBreaker('nowhere')),
      'no writes': withoutWrites(inner, 'nowhere'),
      'counted uses': countUses(inner).backend,
    })) {
      test(`${how} around ${name}: has each operation of the backend, and each ability that it has`, () => {
        assert.deepEqual(operationsOf(decorated), operationsOf(inner))
      })
    }
  }
})

/** What an S3 client tells its probe and the tests. */
const NOT_OF_A_BACKEND = ['clockSkewMs', 'openConnections']

/** `head`, `multipart.begin` and so on, own or inherited. */
function operationsOf(backend: StorageBackend): string[] {
  return namesIn(backend).flatMap((name) => {
    if (NOT_OF_A_BACKEND.includes(name)) return []
    const value: unknown = backend[name as keyof StorageBackend]
    if (name === 'features' || typeof value !== 'object' || value === null) return [name]
    return namesIn(value).map((inner) => `${name}.${inner}`)
  })
}

function namesIn(value: object): string[] {
  return Object.keys(value).sort()
}

describe('the buffers of puts', () => {
  test('never more than allowed together, first come first served, one that is larger alone', async () => {
    const pool = openBufferPool(1_000_000)
    const first = await pool.take(600_000)
    const order: string[] = []
    const second = pool.take(5_000_000).then((loan) => {
      order.push('second')
      return loan
    })
    const third = pool.take(100).then((loan) => {
      order.push('third')
      return loan
    })
    await sleep(5)
    assert.deepEqual(order, [])
    first.release(true)
    const large = await second
    assert.equal(large.buffer.length, 5_000_000)
    assert.deepEqual(order, ['second'])
    large.release(false)
    ;(await third).release(true)
  })

  test('an aborted taker lets the next one through', async () => {
    const pool = openBufferPool(1_000_000)
    const first = await pool.take(900_000)
    const controller = new AbortController()
    const second = pool.take(900_000, controller.signal)
    const third = pool.take(50_000)
    controller.abort(new Error('left'))
    await assert.rejects(second, /left/)
    ;(await third).release(true)
    first.release(true)
  })
})

test('digests agree with their published check values, in whatever pieces the bytes come', () => {
  const bytes = Buffer.from('123456789')
  const expected = {
    crc32: 'cbf43926',
    crc64nvme: 'ae8b14860a799888',
    md5: '25f9e794323b453885f5181f1b624d0b',
  }
  for (const pieceBytes of [1, 2, 9]) {
    const digester = createDigester(['crc32', 'crc64nvme', 'md5'])
    for (let at = 0; at < bytes.length; at += pieceBytes) digester.update(bytes.subarray(at, at + pieceBytes))
    const digests = digester.digests()
    for (const [algorithm, value] of Object.entries(expected)) {
      assert.equal(digestValue(digests, algorithm as 'crc32'), value)
    }
  }
})
