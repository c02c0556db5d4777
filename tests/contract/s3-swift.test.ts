import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { silentLog } from '../../src/log.ts'
import { openS3Backend } from '../../src/storage/s3.ts'
import { probeS3 } from '../../src/storage/s3-probe.ts'
import { withLimits } from '../../src/storage/with-limits.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { expectReport } from '../support/probe-reports.ts'
import { needsSwift, type Swift, startSwift } from '../support/swift.ts'
import { s3TestSettings } from './s3-subject.ts'
import { storageSuite } from './storage-suite.ts'

describe('Swift', await needsSwift(), () => {
  let swift: Swift
  before(async () => {
    swift = await startSwift()
  })
  after(() => swift.stop())

  storageSuite(
    'S3 on Swift, probed, with limits and retry',
    async () => {
      const bucket = await swift.createBucket()
      // It deletes 1,000 keys one after another and answers when all are gone.
      const settings = s3TestSettings({ ...swift, bucket }, { provider: 'swift', requestTimeoutMs: 60_000 })
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
      { ...swift, bucket: await swift.createBucket('photos') },
      { provider: 'swift' },
    )
    await expectReport('OpenStack Swift 2.30 with s3api', settings)
  })
})
