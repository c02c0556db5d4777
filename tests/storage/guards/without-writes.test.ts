import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { withoutWrites } from '../../../src/storage/guards/without-writes.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { systemClock } from '../../../src/storage/moment.ts'
import { permitRemoval } from '../../../src/storage/removal-permit.ts'
import { bodyOf, randomKey, readAll } from '../contract/bodies.ts'

const refused = { name: 'StorageError', kind: 'denied', message: /the old bucket is read-only/ }

test('a read-only location is read, listed and asked, and refuses whatever would change it', async () => {
  const inner = openMemoryBackend()
  const [key, bytes] = [randomKey('a'), randomBytes(3_000)]
  await inner.put(key, bodyOf(bytes))
  await inner.writeMarker('ours')
  const backend = withoutWrites(inner, 'the old bucket')

  assert.deepEqual(await readAll((await backend.get(key)).stream), bytes)
  assert.equal((await backend.head(key))?.size, 3_000)
  assert.equal(await backend.readMarker(), 'ours')
  assert.equal(await backend.readCounter(), null)
  const listed: string[] = []
  for await (const { key: one } of backend.list('')) listed.push(one)
  assert.deepEqual(listed, [key])

  const permit = permitRemoval([key], 'decided', { goodForMs: 60_000, clock: systemClock })
  const other = randomKey('b')
  const writes: [string, () => unknown][] = [
    ['put', () => backend.put(other, bodyOf(bytes))],
    ['delete', () => backend.delete(permit)],
    ['writeMarker', () => backend.writeMarker('theirs')],
    ['writeCounter', () => backend.writeCounter('1', null)],
    ['begin', () => backend.multipart?.begin(other)],
    [
      'presignPart',
      () =>
        backend.multipart?.presignPart(other, { uploadId: 'u', number: 1, size: 1, expiresInSeconds: 60 }),
    ],
    ['complete', () => backend.multipart?.complete(other, 'u', [])],
    ['abort', () => backend.multipart?.abort(permit, 'u')],
    [
      'presign.put',
      () =>
        backend.presign?.put(other, {
          expiresInSeconds: 60,
          size: 1,
          digests: [],
          contentType: 'image/jpeg',
        }),
    ],
    ['copy', () => backend.copies?.copy(key, other, { size: 3_000 } as never)],
    ['restore', () => backend.archive?.restore(key, { tier: 'standard', days: 1 })],
    ['extend', () => backend.locks?.extend(key, new Date())],
    ['bringBack', () => backend.locks?.bringBack(key)],
    [
      'streamingPut',
      () =>
        backend.streamingPut?.begin(other, {
          openFile: () => Promise.reject(new Error('not asked for')),
          expectedBytes: null,
          contentType: 'image/jpeg',
        }),
    ],
  ]
  for (const [name, write] of writes) {
    const asked = write()
    if (asked !== undefined) await assert.rejects(asked as Promise<unknown>, refused, name)
  }
  assert.deepEqual([...inner.held.keys()], [key])
  assert.equal(await inner.readMarker(), 'ours')
})
