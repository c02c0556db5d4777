import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import type { S3Encryption } from '../../../src/storage/s3/requests/encryption.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { CEPH_KMS_KEY, type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'
import { expectReport } from '../../support/storage/probe-reports.ts'
import { bodyOf } from './bodies.ts'
import { s3TestSettings } from './s3-subject.ts'
import { storageSuite } from './storage-suite.ts'

describe('Ceph', await needsCeph(), () => {
  let ceph: Ceph
  before(async () => {
    ceph = await startCeph()
  })
  after(() => ceph.stop())

  storageSuite(
    'S3 on Ceph, not probed',
    async () => {
      const settings = s3TestSettings({ ...ceph, bucket: await ceph.createBucket() })
      return { backend: openS3Backend(settings, silentLog) }
    },
    { grows: true },
  )

  storageSuite(
    'S3 on Ceph, probed, with limits and retry',
    async () => {
      const settings = s3TestSettings({ ...ceph, bucket: await ceph.createBucket() })
      const report = await probeS3(settings, silentLog)
      assert.equal(report.ok, true, JSON.stringify(report.findings))
      const limited = withLimits(openS3Backend(settings, silentLog), { reads: 4, writes: 4, others: 4 })
      const backend = withRetry(limited, { attempts: 3, delayMs: 100, log: silentLog })
      backend.useFeatures(report.features)
      return { backend }
    },
    { grows: true },
  )

  const encryptions: [string, S3Encryption][] = [
    ['SSE-C', { type: 'sse-c', key: randomBytes(32), previousKeys: [] }],
    [
      'SSE-KMS',
      { type: 'sse-kms', keyId: CEPH_KMS_KEY, bucketKey: false, context: { of: 'photos' }, previousKeys: [] },
    ],
  ]
  for (const [name, encryption] of encryptions)
    storageSuite(
      `S3 on Ceph with ${name}, probed`,
      async () => {
        const settings = s3TestSettings({ ...ceph, bucket: await ceph.createBucket() }, { encryption })
        const report = await probeS3(settings, silentLog)
        assert.equal(report.ok, true, JSON.stringify(report.findings))
        assert.equal(report.traits?.encryptsAsAsked, true)
        // Ceph 16 copies nothing that is encrypted, and an ETag of such an object is not relied on.
        assert.equal(report.features.copies, false)
        assert.deepEqual(report.features.attestedDigests, [])
        const backend = openS3Backend(settings, silentLog)
        backend.useFeatures(report.features)
        return { backend }
      },
      { grows: true },
    )

  test('SSE-S3 is read over, which the probe shows', async () => {
    const encryption: S3Encryption = { type: 'sse-s3', previousKeys: [] }
    const settings = s3TestSettings({ ...ceph, bucket: await ceph.createBucket() }, { encryption })
    const report = await probeS3(settings, silentLog)
    assert.equal(report.ok, true, JSON.stringify(report.findings))
    assert.equal(report.traits?.encryptsAsAsked, false)
  })

  test('SSE-C: files without a key and with an earlier one are read, and a wrong key is named', async () => {
    const address = { ...ceph, bucket: await ceph.createBucket() }
    const open = (encryption: S3Encryption | null) => {
      const backend = openS3Backend(s3TestSettings(address, { encryption }), silentLog)
      after(() => backend.close())
      return backend
    }
    const [first, second] = [randomBytes(32), randomBytes(32)]
    const [plain, old] = ['users/plain', 'users/old'] as ObjectKey[]
    const body = bodyOf(randomBytes(1_000))
    await open(null).put(plain!, body)
    await open({ type: 'sse-c', key: first, previousKeys: [] }).put(old!, body)
    const backend = open({ type: 'sse-c', key: second, previousKeys: [first] })
    for (const key of [plain!, old!]) {
      assert.equal((await backend.head(key))?.size, body.size)
      const { stream } = await backend.get(key)
      assert.equal(Buffer.concat(await stream.toArray()).length, body.size)
    }
    const wrong = open({ type: 'sse-c', key: randomBytes(32), previousKeys: [] })
    await assert.rejects(wrong.head(old!), { kind: 'denied', message: /fingerprint/ })
    await assert.rejects(open(null).head(old!), { kind: 'denied', message: /fingerprint/ })
  })

  test('docs/probe-reports.md shows what the probe prints of it', async () => {
    const settings = s3TestSettings(
      { ...ceph, bucket: await ceph.createBucket('photos') },
      { provider: 'ceph' },
    )
    await expectReport('Ceph 16.2', settings)
  })
})
