/**
 * The probe against servers that differ: what it finds out, what it names, what it leaves behind (nothing).
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { profiles, type StrictProfile } from 'strict-s3/profiles'
import { silentLog } from '../../../../src/log.ts'
import type { Features } from '../../../../src/storage/backend.ts'
import type { ProbeReport } from '../../../../src/storage/probe-report.ts'
import { probeS3 } from '../../../../src/storage/s3/probe/probe.ts'
import { findS3Provider } from '../../../../src/storage/s3/providers/providers.ts'
import type { S3Settings } from '../../../../src/storage/s3/requests/client.ts'
import { s3TestSettings } from '../../contract/s3-subject.ts'

const credentials = { accessKeyId: 'suite', secretAccessKey: 'a-secret-that-is-never-shown' }

async function probe(
  profile: Partial<StrictProfile>,
  more: Partial<S3Settings> = {},
  prepare: (server: StrictS3) => void = () => {},
): Promise<ProbeReport> {
  await using stack = new AsyncDisposableStack()
  const server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'], profile })
  stack.defer(() => server.close())
  prepare(server)
  const settings = s3TestSettings({ endpoint: server.endpoint, ...credentials, bucket: 'photos' }, more)
  const report = await probeS3({ ...settings, requestTimeoutMs: 2_000 }, silentLog)
  if (report.ok) {
    assert.deepEqual(await server.stored.objects(), [], 'no object is left behind')
    assert.deepEqual(await server.stored.unfinishedUploads(), [], 'no upload is left behind')
  }
  assert.ok(!JSON.stringify(report).includes(credentials.secretAccessKey))
  return report
}

describe('probe: what services can do', () => {
  const cases: [string, Partial<StrictProfile>, Partial<Features>][] = [
    [
      'a strict one',
      {},
      {
        conditionalPut: true,
        conditionalComplete: true,
        multipartEtagIsMd5OfParts: true,
        enforcedDigests: ['md5', 'sha256'],
        attestedDigests: ['md5', 'sha256'],
      },
    ],
    [
      'AWS with KMS: the ETag says nothing, checksums do',
      profiles.awsKms,
      { attestedDigests: ['sha256', 'crc64nvme'], multipartEtagIsMd5OfParts: false },
    ],
    [
      'Ceph 16',
      profiles.ceph16,
      { conditionalPut: true, conditionalComplete: false, attestedDigests: ['md5'] },
    ],
    ['Garage ignores conditions', profiles.garage, { conditionalPut: false, conditionalComplete: false }],
    ['Swift knows no conditions', profiles.swift, { conditionalPut: false, multipartEtagIsMd5OfParts: true }],
    [
      'R2: ETags of parts are random',
      profiles.r2,
      { multipartEtagIsMd5OfParts: false, attestedDigests: ['md5', 'sha256'] },
    ],
    ['Hetzner, where copies fail', profiles.hetzner, { copies: false, attestedDigests: ['md5'] }],
    ['copies of other bytes', { copyDamages: true }, { copies: false }],
    ['copies as they should be', {}, { copies: true }],
    [
      'nothing at all',
      { opaqueEtags: true, ignoreChecksums: true, multipartEtags: 'random' },
      { attestedDigests: [] },
    ],
  ]
  for (const [name, profile, expected] of cases) {
    test(name, async () => {
      const report = await probe(profile)
      assert.equal(report.ok, true, JSON.stringify(report.findings, null, 1))
      for (const [feature, value] of Object.entries(expected)) {
        assert.deepEqual(report.features[feature as keyof Features], value, feature)
      }
    })
  }

  test('hidden versions are named, with their remedy', async () => {
    const report = await probe({})
    assert.equal(report.findings.find(({ check }) => check === 'versioning')?.ok, true)
    const hiding = await probeHiding()
    const finding = hiding.findings.find(({ check }) => check === 'versioning')
    assert.equal(finding?.ok, false)
    assert.match(finding.remedy ?? '', /lifecycle/)
  })

  async function probeHiding(): Promise<ProbeReport> {
    const server = await startStrictS3({
      store: { kind: 'memory' },
      credentials,
      buckets: ['photos'],
      profile: profiles.b2,
    })
    const settings = s3TestSettings({ endpoint: server.endpoint, ...credentials, bucket: 'photos' })
    const report = await probeS3(settings, silentLog)
    await server.close()
    return report
  }

  test('a hiccup decides nothing', async () => {
    const report = await probe({}, {}, (server) => {
      server.faults.add({
        match: { operation: 'PutObject' },
        after: 3,
        times: 2,
        fault: { kind: 'status', status: 503, code: 'SlowDown' },
      })
    })
    assert.equal(report.ok, true, JSON.stringify(report.findings))
    assert.equal(report.features.conditionalPut, true)
    assert.ok(report.features.attestedDigests.includes('md5'))
  })
})

describe('probe: what is set up wrongly', () => {
  const cases: [string, Partial<S3Settings>, Partial<StrictProfile>, RegExp][] = [
    ['no such bucket', { bucket: 'elsewhere' }, {}, /create it, or correct its name in the configuration/],
    ['another region', {}, { bucketRegions: { photos: 'eu-central-1' } }, /set its region to eu-central-1/],
    ['a wrong secret', { secretAccessKey: 'wrong' }, {}, /its accessKeyId and secretAccessKey/],
    ['nobody there', { endpoint: 'http://127.0.0.1:1' }, {}, /./],
    ['no permission to put', {}, { denied: ['s3:PutObject'] }, /s3:PutObject/],
    ['no permission to read', {}, { denied: ['s3:GetObject'] }, /s3:GetObject/],
    ['no permission to list', {}, { denied: ['s3:ListBucket'] }, /s3:ListBucket/],
    ['no permission to delete', {}, { denied: ['s3:DeleteObject'] }, /s3:DeleteObject/],
  ]
  for (const [name, settings, profile, remedy] of cases) {
    test(name, async () => {
      const report = await probe(profile, settings)
      assert.equal(report.ok, false, JSON.stringify(report.findings, null, 1))
      const problems = report.findings.filter((finding) => !finding.ok && finding.critical)
      assert.ok(
        problems.some((finding) => remedy.test(finding.remedy ?? '')),
        JSON.stringify(problems, null, 1),
      )
    })
  }
})

test('providers are told from their endpoints', () => {
  const expected: [string | null, string][] = [
    [null, 'aws'],
    ['https://s3.eu-central-1.amazonaws.com', 'aws'],
    ['https://account.r2.cloudflarestorage.com', 'r2'],
    ['https://s3.us-west-004.backblazeb2.com', 'b2'],
    ['https://storage.googleapis.com', 'gcs'],
    ['https://fsn1.your-objectstorage.com', 'hetzner'],
    ['https://s3.fr-par.scw.cloud', 'scaleway'],
    ['http://192.168.1.5:9000', 'generic'],
    ['https://amazonaws.com.evil.example', 'generic'],
  ]
  for (const [endpoint, name] of expected)
    assert.equal(findS3Provider('auto', endpoint).name, name, String(endpoint))
  assert.equal(findS3Provider('garage', 'http://127.0.0.1:3900').name, 'garage')
  assert.throws(() => findS3Provider('backblaze', null), RangeError)
})
