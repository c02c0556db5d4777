import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../src/log.ts'
import { createBreaker } from '../../src/storage/breaker.ts'
import { openS3Backend } from '../../src/storage/s3.ts'
import { probeS3 } from '../../src/storage/s3-probe.ts'
import { withBreaker } from '../../src/storage/with-breaker.ts'
import { withLimits } from '../../src/storage/with-limits.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { profiles, type StrictProfile } from '../../src/strict-s3/profiles.ts'
import { startStrictS3 } from '../../src/strict-s3/server.ts'
import { expectReport } from '../support/probe-reports.ts'
import { s3TestSettings } from './s3-subject.ts'
import { storageSuite } from './storage-suite.ts'

const credentials = { accessKeyId: 'suite', secretAccessKey: 'suite-secret' }

async function start(profile: Partial<StrictProfile>, provider = 'auto') {
  const server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'], profile })
  const settings = s3TestSettings(
    { endpoint: server.endpoint, ...credentials, bucket: 'photos' },
    { provider },
  )
  return { server, settings, close: () => server.close() }
}

const probed: [string, Partial<StrictProfile>, string?][] = [
  ['a strict server', {}],
  ['a server like AWS with KMS', profiles.awsKms],
  ['a server like R2', profiles.r2, 'r2'],
  ['a server like B2', profiles.b2, 'b2'],
  ['a server like Garage', profiles.garage, 'garage'],
  ['a server like GCS', profiles.gcs, 'gcs'],
  ['a server like Ceph 16', profiles.ceph16, 'ceph'],
  ['a server like Hetzner', profiles.hetzner, 'hetzner'],
  ['a server like Swift', profiles.swift, 'swift'],
]

for (const [name, profile, provider] of probed) {
  storageSuite(
    `S3 on ${name}, probed`,
    async () => {
      const { settings, close } = await start(profile, provider)
      const backend = openS3Backend(settings, silentLog)
      backend.useFeatures((await probeS3(settings, silentLog)).features)
      return { backend, close }
    },
    { grows: true },
  )
}

/**
 * These differ from the strict server in nothing that the suite asks for: in copies, double authentication, the number of parts.
 * The backend knows of its service by its features alone, so the same features are the same suite.
 */
const likeStrict: [string, Partial<StrictProfile>, string][] = [
  ['Scaleway', profiles.scaleway, 'scaleway'],
  ['MinIO', profiles.minio, 'minio'],
  ['Storj', profiles.storj, 'storj'],
]

async function probedFeatures(profile: Partial<StrictProfile>, provider?: string): Promise<object> {
  const { settings, close } = await start(profile, provider)
  try {
    // Limits come from the table of providers, and no body of the suite comes near one; copies have a suite of their own.
    const {
      maxPutBytes: _,
      multipart: __,
      copies: ___,
      ...features
    } = (await probeS3(settings, silentLog)).features
    return features
  } finally {
    await close()
  }
}

for (const [name, profile, provider] of likeStrict) {
  test(`S3 on a server like ${name}, probed: it works by the same features as on a strict server`, async () => {
    assert.deepEqual(await probedFeatures(profile, provider), await probedFeatures({}))
  })
}

storageSuite(
  'S3 on a server like Swift, not probed, with breaker, limits and retry',
  async () => {
    const { settings, close } = await start(profiles.swift)
    const guarded = withBreaker(openS3Backend(settings, silentLog), createBreaker('the bucket'))
    const limited = withLimits(guarded, { reads: 4, writes: 2, others: 4 })
    return { backend: withRetry(limited, { attempts: 3, delayMs: 5, log: silentLog }), close }
  },
  { grows: true },
)

test('docs/probe-reports.md shows what the probe prints of it', async () => {
  const { settings, close } = await start({})
  try {
    await expectReport('The strict server', settings)
  } finally {
    await close()
  }
})
