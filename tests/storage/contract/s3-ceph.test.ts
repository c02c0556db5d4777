import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'
import { expectReport } from '../../support/storage/probe-reports.ts'
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

  test('docs/probe-reports.md shows what the probe prints of it', async () => {
    const settings = s3TestSettings(
      { ...ceph, bucket: await ceph.createBucket('photos') },
      { provider: 'ceph' },
    )
    await expectReport('Ceph 16.2', settings)
  })
})
