import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { needsSwift, type Swift, startSwift } from '../../support/services/swift.ts'
import { expectReport } from '../../support/storage/probe-reports.ts'
import { s3TestSettings } from './s3-subject.ts'
import { storageSuite } from './storage-suite.ts'

/**
 * A page of its listings, by its own setting. To put and to delete 1,001 keys was more than half of the time
 * of this file; Ceph and the strict server have pages of S3's size.
 */
const PAGE_KEYS = 100

describe('Swift', await needsSwift(), () => {
  let swift: Swift
  before(async () => {
    swift = await startSwift({ pageKeys: PAGE_KEYS })
  })
  after(() => swift.stop())

  storageSuite(
    'S3 on Swift, probed, with limits and retry',
    async () => {
      const bucket = await swift.createBucket()
      // It deletes keys one after another and answers when all are gone.
      const settings = s3TestSettings({ ...swift, bucket }, { provider: 'swift', requestTimeoutMs: 60_000 })
      const report = await probeS3(settings, silentLog)
      assert.equal(report.ok, true, JSON.stringify(report.findings))
      const limited = withLimits(openS3Backend(settings, silentLog), { reads: 4, writes: 4, others: 4 })
      const backend = withRetry(limited, { attempts: 3, delayMs: 100, log: silentLog })
      backend.useFeatures(report.features)
      return { backend }
    },
    { grows: true, pageKeys: PAGE_KEYS },
  )

  test('docs/probe-reports.md shows what the probe prints of it', async () => {
    const settings = s3TestSettings(
      { ...swift, bucket: await swift.createBucket('photos') },
      { provider: 'swift' },
    )
    await expectReport('OpenStack Swift 2.30 with s3api', settings)
  })
})
