/**
 * What every backend and every decorator must do, whichever server is behind it: there is no branch on which
 * it is. A backend's own test file opens it and passes it here.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { getEventListeners, once } from 'node:events'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import {
  isStorageError,
  type ObjectKey,
  type StorageBackend,
  type StorageError,
  type StorageErrorKind,
} from '../../../src/storage/backend.ts'
import { compareDigests, digestsOf } from '../../../src/storage/bytes/digest.ts'
import { forgedLeaveTo, leaveTo, oldLeaveTo } from '../../support/storage/permit.ts'
import {
  bodyOf,
  failingReader,
  lyingBody,
  randomKey,
  readAll,
  readableOf,
  sha256,
  stallingReader,
} from './bodies.ts'
import { streamingPutSuite } from './streaming-put-suite.ts'

export type Subject = { backend: StorageBackend; close?(): Promise<void> }

/** What S3 takes as a part, and what one page of its listings holds. */
const PART_BYTES = 5 * 1024 * 1024
const PAGE_KEYS = 1000
/** More than a backend has connections, so that one which is kept for each is missed. */
const ROUNDS = 100

/**
 * `partBytes` and `pageKeys`: of a subject whose parts and pages are smaller than S3's. The large bodies go
 * in four parts and a bit, and the many keys go in two pages, at any size; small ones cost less to hash and
 * to put.
 */
export function storageSuite(
  name: string,
  openSubject: () => Promise<Subject>,
  {
    grows = false,
    partBytes = PART_BYTES,
    pageKeys = PAGE_KEYS,
  }: { grows?: boolean; partBytes?: number; pageKeys?: number } = {},
): void {
  /** Larger than what one request carries. */
  const LARGE_BYTES = 4 * partBytes + Math.ceil(partBytes / 5) + 17
  describe(`storage contract: ${name}`, () => {
    let subject: Subject
    let backend: StorageBackend
    const folder = `suite-${randomUUID()}`

    before(async () => {
      subject = await openSubject()
      backend = subject.backend
    })
    after(async () => {
      if (subject === undefined) return
      const left: ObjectKey[] = []
      for await (const { key } of backend.list(`${folder}/`)) left.push(key)
      await backend.delete(leaveTo(left))
      await backend.close()
      await subject.close?.()
    })

    async function putNew(bytes: Buffer): Promise<ObjectKey> {
      const key = randomKey(folder)
      await backend.put(key, bodyOf(bytes), { contentType: 'image/jpeg' })
      return key
    }

    async function read(key: ObjectKey, range?: { start: number; end?: number }): Promise<Buffer> {
      return readAll((await backend.get(key, { range })).stream)
    }

    async function assertNothingStored(key: ObjectKey): Promise<void> {
      assert.equal(await backend.head(key), null)
      await rejectsWith('not-found', () => backend.get(key))
      assert.deepEqual(await keysUnder(backend, key), [])
    }

    for (const size of [0, 1, 65_536, 300_001]) {
      test(`${size} bytes come back as they went in`, async () => {
        const bytes = randomBytes(size)
        const key = randomKey(folder)
        const put = await backend.put(key, bodyOf(bytes), { contentType: 'image/jpeg' })
        assert.equal(put.key, key)
        assert.equal(put.size, size)
        assert.notEqual(
          compareDigests(put.attested, digestsOf(bytes, ['md5', 'crc32', 'crc64nvme', 'sha256'])),
          'different',
        )

        const info = await backend.head(key)
        assert.equal(info?.key, key)
        assert.equal(info?.size, size)
        assert.ok(Math.abs(Date.now() - info.modifiedAt.getTime()) < 120_000, 'modifiedAt is about now')
        assert.notEqual(
          compareDigests(info.attested, digestsOf(bytes, ['md5', 'crc32', 'crc64nvme', 'sha256'])),
          'different',
        )

        const got = await backend.get(key)
        assert.equal(got.size, size)
        assert.deepEqual(await readAll(got.stream), bytes)
      })
    }

    test('a large body comes back, in progress all the way, and a head can speak for it', async () => {
      const bytes = randomBytes(LARGE_BYTES)
      const key = randomKey(folder, 'video')
      const progress: number[] = []
      const put = await backend.put(key, bodyOf(bytes), { onProgress: (sent) => progress.push(sent) })
      assert.equal(put.size, LARGE_BYTES)
      assert.equal(progress.at(-1), LARGE_BYTES)
      assert.ok(
        progress.every((sent, index) => index === 0 || sent >= progress[index - 1]!),
        'progress never falls',
      )
      const info = await backend.head(key)
      assert.equal(info?.size, LARGE_BYTES)
      if (put.evidence.etag !== undefined) assert.equal(info?.etag, put.evidence.etag)
      assert.deepEqual(sha256(await read(key)), sha256(bytes))
      assert.deepEqual(
        await read(key, { start: partBytes - 1, end: partBytes + 2 }),
        bytes.subarray(partBytes - 1, partBytes + 3),
      )
    })

    test('ranges: first byte, last byte, middle, open end, end past the last byte', async () => {
      const bytes = randomBytes(100_000)
      const key = await putNew(bytes)
      assert.deepEqual(await read(key, { start: 0, end: 0 }), bytes.subarray(0, 1))
      assert.deepEqual(await read(key, { start: 99_999, end: 99_999 }), bytes.subarray(99_999))
      assert.deepEqual(await read(key, { start: 1_000, end: 69_999 }), bytes.subarray(1_000, 70_000))
      assert.deepEqual(await read(key, { start: 99_990 }), bytes.subarray(99_990))
      assert.deepEqual(await read(key, { start: 99_990, end: 200_000 }), bytes.subarray(99_990))
      assert.equal(
        (await closing(backend.get(key, { range: { start: 5, end: 6 } }))).size,
        100_000,
        'size is of the whole',
      )
    })

    test('a range that begins past the last byte is corrupt: the object is shorter than believed', async () => {
      const key = await putNew(randomBytes(10))
      await rejectsWith('corrupt', () => backend.get(key, { range: { start: 10 } }))
      await rejectsWith('corrupt', () => backend.get(key, { range: { start: 10, end: 20 } }))
      const empty = await putNew(Buffer.alloc(0))
      await rejectsWith('corrupt', () => backend.get(empty, { range: { start: 0 } }))
    })

    test('nothing is held under an unknown key', async () => {
      await assertNothingStored(randomKey(folder))
    })

    test('a key that leaves the root, is reserved or holds odd characters is refused everywhere', async () => {
      const bad = [
        '../x',
        'a/../../x',
        'a/./b',
        '/a',
        'a//b',
        'a/',
        '',
        '.incoming/x',
        'a b',
        'ä',
        'a\0b',
        'a\\b',
      ]
      for (const key of [...bad, 'a'.repeat(2000)] as ObjectKey[]) {
        await rejectsWith('denied', async () => backend.head(key))
        await rejectsWith('denied', async () => backend.get(key))
        await rejectsWith('denied', async () => backend.put(key, bodyOf(Buffer.from('x'))))
        await rejectsWith('denied', async () => backend.delete(leaveTo([key])))
      }
    })

    describe('hostile bodies store nothing', () => {
      for (const size of [200_000, LARGE_BYTES]) {
        const bytes = randomBytes(size)
        const cases: [string, StorageErrorKind, () => Readable][] = [
          ['ends early', 'corrupt', () => readableOf(bytes.subarray(0, size - 1))],
          ['has a byte too many', 'corrupt', () => readableOf(Buffer.concat([bytes, Buffer.from('x')]))],
          ['has one wrong bit', 'corrupt', () => readableOf(flipBit(bytes, size - 2))],
          ['is empty', 'corrupt', () => readableOf(Buffer.alloc(0))],
          ['fails in the middle', 'unavailable', () => failingReader(bytes, Math.floor(size * 0.7))],
          ['finds no file', 'not-found', () => createReadStream('/nowhere/at/all')],
        ]
        for (const [what, kind, open] of cases) {
          test(`a reader of ${size} bytes that ${what}`, async () => {
            const key = randomKey(folder)
            await rejectsWith(kind, () => backend.put(key, lyingBody(bytes, open)))
            await assertNothingStored(key)
            await backend.put(key, bodyOf(bytes))
            assert.deepEqual(sha256(await read(key)), sha256(bytes))
          })
        }

        test(`an abort in the middle of a put of ${size} bytes`, async () => {
          const key = randomKey(folder)
          const controller = new AbortController()
          const reason = new Error('the test gave up')
          const reader = stallingReader(bytes, Math.floor(size * 0.7), () => controller.abort(reason))
          const put = backend.put(
            key,
            lyingBody(bytes, () => reader),
            { signal: controller.signal },
          )
          await assert.rejects(put, (error) => error === reason)
          assert.ok(reader.destroyed, 'the reader is closed')
          await assertNothingStored(key)
        })
      }

      test('a body said to be empty that is not', async () => {
        const key = randomKey(folder)
        await rejectsWith('corrupt', () =>
          backend.put(
            key,
            lyingBody(Buffer.alloc(0), () => readableOf(Buffer.from('x'))),
          ),
        )
        await assertNothingStored(key)
      })

      test('a body without SHA-256 is a mistake of ours', async () => {
        const key = randomKey(folder)
        const body = { size: 1, digests: [], open: () => readableOf(Buffer.from('x')) }
        await assert.rejects(async () => backend.put(key, body), TypeError)
        await assertNothingStored(key)
      })
    })

    test('an abort before anything began', async () => {
      const key = await putNew(randomBytes(10))
      const signal = AbortSignal.abort(new Error('too late'))
      await assert.rejects(async () => backend.get(key, { signal }), /too late/)
      await assert.rejects(async () => backend.head(key, { signal }), /too late/)
      await assert.rejects(async () => backend.delete(leaveTo([key]), { signal }), /too late/)
      assert.equal((await backend.head(key))?.size, 10)
    })

    test('a second put is refused and the first bytes stay', async () => {
      const first = randomBytes(1_000)
      const key = await putNew(first)
      await rejectsWith('already-exists', () => backend.put(key, bodyOf(randomBytes(1_000))))
      await rejectsWith('already-exists', () => backend.put(key, bodyOf(first)))
      await rejectsWith('already-exists', () => backend.put(key, bodyOf(randomBytes(LARGE_BYTES))))
      assert.deepEqual(await read(key), first)
    })

    for (const size of [5_000, Math.ceil(1.2 * partBytes)]) {
      test(`of 16 racing writers of ${size} bytes one wins and its bytes are whole`, async () => {
        const key = randomKey(folder)
        const bodies = Array.from({ length: 16 }, (_, index) => Buffer.alloc(size, index + 1))
        const ends = await Promise.allSettled(bodies.map((bytes) => backend.put(key, bodyOf(bytes))))
        const winners = ends.flatMap((end, index) => (end.status === 'fulfilled' ? [index] : []))
        for (const end of ends) {
          if (end.status === 'rejected')
            assert.ok(isStorageError(end.reason, 'already-exists'), String(end.reason))
        }
        assert.equal(winners.length, 1)
        assert.deepEqual(sha256(await read(key)), sha256(bodies[winners[0]!]!))
      })
    }

    test(`${pageKeys + 1} keys are all listed, by prefix and after a key, and all deleted at once`, async () => {
      const prefix = `${folder}/many/`
      const keys = Array.from(
        { length: pageKeys + 1 },
        (_, n) => `${prefix}${n % 7}/${String(n).padStart(4, '0')}.jpg` as ObjectKey,
      )
      await inParallel(keys, 16, (key) =>
        backend.put(key, bodyOf(Buffer.from(key.slice(-8)))).then(() => undefined),
      )
      assert.deepEqual((await keysUnder(backend, prefix)).sort(), keys.toSorted())
      assert.deepEqual(
        (await keysUnder(backend, `${prefix}3/00`)).sort(),
        keys.filter((k) => k.startsWith(`${prefix}3/00`)).sort(),
      )
      const middle = `${prefix}3/${String(pageKeys / 2).padStart(4, '0')}.jpg`
      const rest = await keysUnder(backend, prefix, middle)
      assert.deepEqual(rest.sort(), keys.filter((key) => key > middle).sort())
      for await (const { key, size } of backend.list(`${prefix}2/`)) assert.equal(size, 8, key)
      await backend.delete(leaveTo(keys))
      assert.deepEqual(await keysUnder(backend, prefix), [])
    })

    test('a listing that is left early frees what it held', async () => {
      await putNew(randomBytes(5))
      await putNew(randomBytes(5))
      const leaving = new AbortController()
      const openBefore = await openHandles()
      for (let round = 0; round < ROUNDS; round++) {
        for await (const { key } of backend.list(`${folder}/`, { signal: leaving.signal })) {
          assert.ok(key)
          break
        }
      }
      const kept = (await openHandles()) - openBefore
      assert.ok(kept < ROUNDS / 2, `${kept} files, folders or connections are still open`)
      assert.deepEqual(getEventListeners(leaving.signal, 'abort'), [])
    })

    test('deleting what is not there succeeds, alone and among others, and twice', async () => {
      const key = await putNew(randomBytes(5))
      const neighbour = await putNew(randomBytes(6))
      await backend.delete(leaveTo([]))
      await backend.delete(leaveTo([randomKey(folder)]))
      await backend.delete(leaveTo([randomKey(folder), key, randomKey(folder)]))
      await assertNothingStored(key)
      await backend.delete(leaveTo([key]))
      assert.equal((await backend.head(neighbour))?.size, 6)
    })

    test('nothing is removed by leave that nobody gave, or that is too old', async () => {
      const bytes = randomBytes(5)
      const key = await putNew(bytes)
      await rejectsWith('denied', async () => backend.delete(forgedLeaveTo([key])))
      await rejectsWith('unavailable', async () => backend.delete(oldLeaveTo([key])))
      await rejectsWith('unavailable', async () => backend.delete(oldLeaveTo([key, randomKey(folder)])))
      assert.equal((await backend.head(key))?.size, 5)
    })

    test('deleting neighbours while others are put loses none', async () => {
      const base = `${folder}/busy`
      await inParallel(
        Array.from({ length: 60 }, (_, n) => n),
        12,
        async (n) => {
          const key = `${base}/shared/${n}` as ObjectKey
          await backend.put(key, bodyOf(Buffer.from('x')))
          if (n % 2 === 0) await backend.delete(leaveTo([key]))
        },
      )
      assert.equal((await keysUnder(backend, `${base}/`)).length, 30)
    })

    test('an abort in the middle of a get ends the stream with an error', async () => {
      const key = await putNew(randomBytes(8 * 1024 * 1024))
      const controller = new AbortController()
      const { stream } = await backend.get(key, { signal: controller.signal })
      await assert.rejects(async () => {
        for await (const _ of stream) controller.abort(new Error('the client left'))
      })
      assert.ok(stream.destroyed)
      assert.equal((await read(key, { start: 0, end: 9 })).length, 10)
    })

    test('100 streams that are destroyed early hold nothing: the 101st streams', async () => {
      const bytes = randomBytes(4 * 1024 * 1024)
      const key = await putNew(bytes)
      for (let round = 0; round < 100; round++) {
        const { stream } = await backend.get(key)
        // A third before any byte, a third after the first chunk, a third while paused.
        if (round % 3 === 1) await once(stream, 'readable')
        if (round % 3 === 2) stream.pause()
        stream.destroy()
      }
      assert.deepEqual(sha256(await read(key)), sha256(bytes))
    })

    test('100 streams at once, left unread and destroyed, do not wedge the backend', {
      timeout: 60_000,
    }, async () => {
      const key = await putNew(randomBytes(1024 * 1024))
      await inParallel(
        Array.from({ length: 100 }, (_, n) => n),
        100,
        async () => {
          const { stream } = await backend.get(key)
          stream.destroy()
        },
      )
      assert.equal((await read(key)).length, 1024 * 1024)
    })

    test('the marker: absent, written, read, overwritten, never listed', async () => {
      const id = randomUUID()
      await backend.writeMarker(id)
      assert.equal(await backend.readMarker(), id)
      const second = randomUUID()
      await backend.writeMarker(second)
      assert.equal(await backend.readMarker(), second)
      for await (const { key } of backend.list('')) assert.ok(!key.startsWith('.'), key)
      assert.deepEqual(await keysUnder(backend, '.'), [])
      assert.equal(await backend.listsMarker(), true, 'but a listing shows that it is there')
    })

    if (grows) streamingPutSuite(() => backend)
    else test('takes no bodies while they arrive', () => assert.equal(backend.streamingPut, undefined))

    test('what a probe found is taken over', () => {
      const found = { ...backend.features, maxPutBytes: backend.features.maxPutBytes - 1 }
      const before = backend.features
      backend.useFeatures(found)
      assert.deepEqual(backend.features, found)
      backend.useFeatures(before)
    })
  })
}

export async function rejectsWith(
  kind: StorageErrorKind,
  run: () => Promise<unknown>,
): Promise<StorageError> {
  const error = await run().then(
    () => assert.fail('it did not fail'),
    (failure: unknown) => failure,
  )
  assert.ok(isStorageError(error), `expected a StorageError, got ${String(error)}`)
  assert.equal(error.kind, kind, `${error.kind}: ${error.message}`)
  return error
}

async function keysUnder(backend: StorageBackend, prefix: string, after?: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of backend.list(prefix, { after })) keys.push(key)
  assert.equal(new Set(keys).size, keys.length, 'no key is listed twice')
  return keys
}

async function closing<T extends { stream: { destroy(): unknown } }>(got: Promise<T>): Promise<T> {
  const result = await got
  result.stream.destroy()
  return result
}

function flipBit(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at]! ^= 1
  return copy
}

async function inParallel<T>(items: T[], width: number, run: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values()
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of waiting) await run(item)
    }),
  )
}

/** How many files, folders and connections this process has open. */
async function openHandles(): Promise<number> {
  return (await readdir('/dev/fd')).length
}
