/** What a location that takes bodies while they arrive must do; part of the contract suite. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ObjectKey, StorageBackend, StreamingPut } from '../../../src/storage/backend.ts'
import { fileBody } from '../../../src/storage/bytes/file-body.ts'
import { randomKey, readAll, sha256 } from './bodies.ts'

/** A file that is appended to, and the put that follows it. */
export async function startStreamingPut(
  t: TestContext,
  backend: StorageBackend,
  { expectedBytes = null }: { expectedBytes?: number | null } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-growing-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'file')
  const file: FileHandle = await open(path, 'wx')
  t.after(() => file.close())
  const key: ObjectKey = randomKey('growing')
  const streamingPut: StreamingPut = await backend.streamingPut!.begin(key, {
    openFile: () => open(path, 'r'),
    expectedBytes,
    contentType: 'video/mp4',
  })
  const written: Buffer[] = []
  let size = 0
  return {
    key,
    streamingPut,
    async append(bytes: Buffer) {
      await file.write(bytes)
      written.push(bytes)
      size += bytes.length
      await streamingPut.advance(size)
    },
    body: (digest = sha256(Buffer.concat(written))) => fileBody(path, size, [digest]),
  }
}

export async function unfinishedOf(backend: StorageBackend, key: ObjectKey): Promise<string[]> {
  const found: string[] = []
  for await (const upload of backend.multipart!.listUnfinished(key)) found.push(upload.uploadId)
  return found
}

export function streamingPutSuite(backendOf: () => StorageBackend): void {
  const streamingPutTest = (name: string, run: (t: TestContext, backend: StorageBackend) => Promise<void>) =>
    test(`streamingPut: ${name}`, (t) => run(t, backendOf()))

  streamingPutTest(
    'full parts are there before the last byte is; the whole is one object at the end',
    async (t, backend) => {
      const { partBytes } = backend.streamingPut!
      const { key, streamingPut, append, body } = await startStreamingPut(t, backend)
      for (const bytes of [partBytes - 1, 1, 1_000, 2 * partBytes, 77]) await append(randomBytes(bytes))
      assert.equal(await backend.head(key), null)
      // Without waiting for anything else: what is under way is at most what may be under way at once.
      await assert.doesNotReject(async () => {
        for (;;) {
          const parts = await backend.multipart!.listParts(key, streamingPut.uploadId)
          if (parts.length === 3) return
        }
      })
      const put = await streamingPut.complete(body())
      assert.equal(put.size, body().size)
      assert.deepEqual(sha256(await readAll((await backend.get(key)).stream)), body().digests[0])
      assert.deepEqual(await unfinishedOf(backend, key), [])
      // The same proof as a put that knew everything before.
      const whole = await backend.put(randomKey('whole'), body())
      assert.equal(put.proof, whole.proof)
      assert.equal(put.evidence.parts, whole.evidence.parts)
      await streamingPut.abort()
      assert.equal((await backend.head(key))!.size, body().size, 'giving up afterwards changes nothing')
    },
  )

  streamingPutTest('the last part may be a full one', async (t, backend) => {
    const { partBytes } = backend.streamingPut!
    const { key, streamingPut, append, body } = await startStreamingPut(t, backend, {
      expectedBytes: 2 * partBytes,
    })
    await append(randomBytes(2 * partBytes))
    await streamingPut.complete(body())
    assert.deepEqual(sha256(await readAll((await backend.get(key)).stream)), body().digests[0])
  })

  streamingPutTest('given up, nothing stays, not even parts', async (t, backend) => {
    const { partBytes } = backend.streamingPut!
    const { key, streamingPut, append, body } = await startStreamingPut(t, backend)
    await append(randomBytes(3 * partBytes + 5))
    await streamingPut.abort()
    assert.deepEqual(await unfinishedOf(backend, key), [])
    assert.equal(await backend.head(key), null)
    await assert.rejects(streamingPut.complete(body()), { kind: 'unavailable' })
    assert.equal(await backend.head(key), null)
    await streamingPut.abort()
  })

  streamingPutTest('a file that is not what its digest says is no object', async (t, backend) => {
    const { partBytes } = backend.streamingPut!
    const { key, streamingPut, append, body } = await startStreamingPut(t, backend)
    await append(randomBytes(partBytes + 5))
    await assert.rejects(streamingPut.complete(body(sha256(randomBytes(3)))), { kind: 'corrupt' })
    await streamingPut.abort()
    assert.equal(await backend.head(key), null)
    assert.deepEqual(await unfinishedOf(backend, key), [])
  })

  streamingPutTest('a file that is shorter than it is said to be is no object', async (t, backend) => {
    const { partBytes } = backend.streamingPut!
    const { key, streamingPut, append, body } = await startStreamingPut(t, backend)
    await append(randomBytes(partBytes + 5))
    const longer = { ...body(), size: body().size + 1 }
    await assert.rejects(streamingPut.complete(longer), { kind: 'corrupt' })
    await streamingPut.abort()
    assert.equal(await backend.head(key), null)
  })

  streamingPutTest('an abort from outside ends it', async (t, backend) => {
    const { partBytes } = backend.streamingPut!
    const { key, streamingPut, append, body } = await startStreamingPut(t, backend)
    await append(randomBytes(partBytes + 5))
    const reason = new Error('enough')
    await assert.rejects(streamingPut.complete(body(), AbortSignal.abort(reason)), reason)
    await streamingPut.abort()
    assert.equal(await backend.head(key), null)
    assert.deepEqual(await unfinishedOf(backend, key), [])
  })
}
