import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { isStorageError, type ObjectKey, type StorageBackend } from '../../../src/storage/backend.ts'
import { digestsOf } from '../../../src/storage/bytes/digest.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { needsCeph, startCeph } from '../../support/services/ceph.ts'
import { leaveTo } from '../../support/storage/permit.ts'
import { bodyOf } from '../contract/bodies.ts'
import { s3TestSettings } from '../contract/s3-subject.ts'

const MIB = 1024 * 1024
const key = (name: string) => `users/1/2/${name}` as ObjectKey
const credentials = { accessKeyId: 'copies', secretAccessKey: 'copies-secret' }

async function openProbed(address: Parameters<typeof s3TestSettings>[0]): Promise<StorageBackend> {
  const settings = s3TestSettings(address)
  const limited = withLimits(openS3Backend(settings, silentLog), { reads: 4, writes: 4, others: 4 })
  const backend = withRetry(limited, { attempts: 3, delayMs: 10, log: silentLog })
  backend.useFeatures((await probeS3(settings, silentLog)).features)
  return backend
}

async function read(backend: StorageBackend, from: ObjectKey): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync((await backend.get(from)).stream))
}

/**
 * A small object by CopyObject, a large one cut as its source was: of both the copy has its source's ETag.
 */
async function copiesKeepEtags(backend: StorageBackend): Promise<void> {
  for (const [name, bytes] of [
    ['small', randomBytes(1000)],
    ['large', randomBytes(11 * MIB)],
  ] as const) {
    const put = await backend.put(key(`${name}.a`), bodyOf(bytes), { contentType: 'image/jpeg' })
    await backend.copies!.copy(key(`${name}.a`), key(`${name}.b`), {
      storageClass: 'STANDARD_IA',
      size: bytes.length,
      contentType: 'image/jpeg',
      ...(put.evidence.partBytes !== undefined && { partBytes: put.evidence.partBytes }),
    })
    const copied = await backend.head(key(`${name}.b`))
    assert.equal(copied?.storageClass, 'STANDARD_IA', name)
    assert.equal(copied?.size, bytes.length)
    assert.equal(copied?.etag, put.evidence.etag, name)
    assert.deepEqual(
      digestsOf(await read(backend, key(`${name}.b`)), ['sha256']),
      digestsOf(bytes, ['sha256']),
    )
    await backend.delete(leaveTo([key(`${name}.a`)]))
    assert.equal((await read(backend, key(`${name}.b`))).length, bytes.length)
  }
}

test('copies on the strict server; what is archived says so', async (t) => {
  const server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
  t.after(() => server.close())
  const backend = await openProbed({ endpoint: server.endpoint, ...credentials, bucket: 'photos' })
  t.after(() => backend.close())
  await copiesKeepEtags(backend)
  const kind = (expected: string) => (error: unknown) => isStorageError(error) && error.kind === expected
  const cold = { storageClass: 'GLACIER', size: 1000 }
  await assert.rejects(backend.copies!.copy(key('none'), key('x'), cold), kind('not-found'))

  server.profile.copyFails = true
  await backend.put(key('whole'), bodyOf(randomBytes(1000)))
  await assert.rejects(
    backend.copies!.copy(key('whole'), key('x'), cold),
    (error: unknown) => isStorageError(error, 'unavailable') && error.isOfOneObject,
    'a service that fails at copies alone is not away',
  )
  server.profile.copyFails = false

  const bytes = randomBytes(1000)
  await backend.put(key('cold'), bodyOf(bytes), { storageClass: 'GLACIER' })
  await assert.rejects(backend.get(key('cold')), kind('archived'))
  await assert.rejects(backend.copies!.copy(key('cold'), key('warm'), cold), kind('archived'))
  assert.equal((await backend.head(key('cold')))?.restore, undefined)
  const restore = () => backend.archive!.restore(key('cold'), { tier: 'bulk', days: 3 })
  assert.equal(await restore(), 'begun')
  assert.equal(await restore(), 'ongoing')
  assert.deepEqual((await backend.head(key('cold')))?.restore, { isOngoing: true })
  server.profile.archiveClockAheadMs = 12 * 3_600_000
  const { restore: restored } = (await backend.head(key('cold')))!
  assert.equal(restored?.isOngoing, false)
  assert.ok(restored!.availableUntil!.getTime() > Date.now() + 3 * 24 * 3_600_000)
  assert.equal(await restore(), 'available')
  assert.deepEqual(await read(backend, key('cold')), bytes)
  await assert.rejects(backend.archive!.restore(key('small.b'), { tier: 'bulk', days: 1 }))
})

describe('Ceph', await needsCeph(), () => {
  test('copies to STANDARD_IA', async (t) => {
    const ceph = await startCeph()
    t.after(() => ceph.stop())
    const backend = await openProbed({ ...ceph, bucket: await ceph.createBucket() })
    t.after(() => backend.close())
    await copiesKeepEtags(backend)
  })
})
