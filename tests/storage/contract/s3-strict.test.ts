import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { startStrictS3 } from 'strict-s3'
import { profiles, type StrictProfile } from 'strict-s3/profiles'
import { silentLog } from '../../../src/log.ts'
import { createBreaker } from '../../../src/storage/guards/breaker.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import type { S3Encryption } from '../../../src/storage/s3/requests/encryption.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { expectReport } from '../../support/storage/probe-reports.ts'
import { s3TestSettings } from './s3-subject.ts'
import { storageSuite } from './storage-suite.ts'

const credentials = { accessKeyId: 'suite', secretAccessKey: 'suite-secret' }

/** The strict server itself has S3's own sizes. What tells the other services from it does so at any size. */
const SMALL = { partBytes: 512 * 1024, pageKeys: 100 }
type Sizes = Partial<typeof SMALL>
const KMS: S3Encryption = {
  type: 'sse-kms',
  keyId: 'a-key',
  bucketKey: true,
  context: null,
  previousKeys: [],
}
const KEY_OF_OURS: S3Encryption = { type: 'sse-c', key: randomBytes(32), previousKeys: [randomBytes(32)] }

async function start(
  profile: Partial<StrictProfile>,
  provider = 'auto',
  { partBytes, pageKeys }: Sizes = {},
  encryption: S3Encryption | null = null,
) {
  const server = await startStrictS3({
    store: { kind: 'memory' },
    credentials,
    buckets: ['photos'],
    profile: {
      ...profile,
      ...(partBytes && { minPartBytes: partBytes }),
      ...(pageKeys && { maxPageKeys: pageKeys }),
    },
  })
  const settings = s3TestSettings(
    { endpoint: server.endpoint, ...credentials, bucket: 'photos' },
    { provider, encryption, ...(partBytes && { partBytes, singlePutBytes: Math.ceil(1.2 * partBytes) }) },
  )
  return { server, settings, close: () => server.close() }
}

const probed: [string, Partial<StrictProfile>, provider: string, Sizes, encryption?: S3Encryption][] = [
  ['a strict server', {}, 'auto', {}],
  ['a server like AWS with KMS', profiles.awsKms, 'auto', SMALL],
  ['a server like AWS, with SSE-KMS', profiles.aws, 'auto', SMALL, KMS],
  ['a server like AWS, with SSE-C', profiles.aws, 'auto', SMALL, KEY_OF_OURS],
  ['a server like Ceph 16, with SSE-C', profiles.ceph16, 'ceph', SMALL, KEY_OF_OURS],
  ['a server like R2', profiles.r2, 'r2', SMALL],
  // Versions are deleted as well there, in requests of 1,000.
  ['a server like B2', profiles.b2, 'b2', { partBytes: SMALL.partBytes }],
  ['a server like Garage', profiles.garage, 'garage', SMALL],
  ['a server like GCS', profiles.gcs, 'gcs', SMALL],
  ['a server like Ceph 16', profiles.ceph16, 'ceph', SMALL],
  ['a server like Hetzner', profiles.hetzner, 'hetzner', SMALL],
  ['a server like Swift', profiles.swift, 'swift', SMALL],
]

for (const [name, profile, provider, sizes, encryption] of probed) {
  storageSuite(
    `S3 on ${name}, probed`,
    async () => {
      const { settings, close } = await start(profile, provider, sizes, encryption)
      const backend = openS3Backend(settings, silentLog)
      backend.useFeatures((await probeS3(settings, silentLog)).features)
      return { backend, close }
    },
    { grows: true, ...sizes },
  )
}

/**
 * These differ from the strict server in nothing that the suite asks for: in copies, double authentication,
 * the number of parts. The backend knows of its service by its features alone, so the same features are the
 * same suite.
 */
const likeStrict: [string, Partial<StrictProfile>, string][] = [
  ['Scaleway', profiles.scaleway, 'scaleway'],
  ['MinIO', profiles.minio, 'minio'],
  ['Storj', profiles.storj, 'storj'],
]

async function probedFeatures(profile: Partial<StrictProfile>, provider?: string): Promise<object> {
  const { settings, close } = await start(profile, provider)
  try {
    // Limits come from the table of providers, and no body of the suite comes near one; copies have a suite
    // of their own.
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
    const { settings, close } = await start(profiles.swift, 'auto', SMALL)
    const guarded = withBreaker(openS3Backend(settings, silentLog), createBreaker('the bucket'))
    const limited = withLimits(guarded, { reads: 4, writes: 2, others: 4 })
    return { backend: withRetry(limited, { attempts: 3, delayMs: 5, log: silentLog }), close }
  },
  { grows: true, ...SMALL },
)

test('docs/probe-reports.md shows what the probe prints of it', async () => {
  const { settings, close } = await start({})
  try {
    await expectReport('The strict server', settings)
  } finally {
    await close()
  }
})
