/** Encryption at the bucket (SSE-S3, SSE-KMS, SSE-C): what requests say, and what a wrong key means. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import type { StrictProfile } from 'strict-s3/profiles'
import { silentLog } from '../../../src/log.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { isStorageError } from '../../../src/storage/backend.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import type { S3Encryption } from '../../../src/storage/s3/requests/encryption.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { bodyOf } from '../contract/bodies.ts'
import { s3TestSettings } from '../contract/s3-subject.ts'

const credentials = { accessKeyId: 'suite', secretAccessKey: 'suite-secret' }
const PART_BYTES = 512 * 1024
const ours = (key: Buffer, ...previousKeys: Buffer[]): S3Encryption => ({ type: 'sse-c', key, previousKeys })
const kms: S3Encryption = {
  type: 'sse-kms',
  keyId: 'arn:aws:kms:us-east-1:1:key/photos',
  bucketKey: true,
  context: { of: 'photos' },
  previousKeys: [],
}
const key = (name: string) => `users/${name}.${randomBytes(4).toString('hex')}` as ObjectKey

async function startBucket(t: TestContext, profile: Partial<StrictProfile> = {}) {
  const server = await startStrictS3({
    store: { kind: 'memory' },
    credentials,
    buckets: ['photos'],
    profile: { minPartBytes: PART_BYTES, ...profile },
  })
  t.after(() => server.close())
  const settings = (encryption: S3Encryption | null) =>
    s3TestSettings(
      { endpoint: server.endpoint, ...credentials, bucket: 'photos' },
      { partBytes: PART_BYTES, singlePutBytes: PART_BYTES, encryption },
    )
  return {
    server,
    settings,
    /** As a process that starts with this configuration. */
    open(encryption: S3Encryption | null) {
      const backend = openS3Backend(settings(encryption), silentLog)
      t.after(() => backend.close())
      return backend
    },
  }
}

type Backend = ReturnType<Awaited<ReturnType<typeof startBucket>>['open']>
async function bytesOf(backend: Backend, at: ObjectKey): Promise<Buffer> {
  return Buffer.concat(await (await backend.get(at)).stream.toArray())
}
async function encryptionOf(server: StrictS3, at: ObjectKey) {
  const versions = await server.stored.versions()
  return versions.find((one) => one.key === `deep/er/${at}`)?.version.encryption
}
const requests = ({ counts }: StrictS3, name: 'HeadObject' | 'GetObject') => counts.requests[name] ?? 0
/** Says that it can't be read, which is another thing than that it is not there, or wrong. */
const denies = (work: Promise<unknown>, words?: RegExp) =>
  assert.rejects(work, (error: unknown) => {
    assert.ok(isStorageError(error, 'denied'), String(error))
    if (words) assert.match(error.message, words)
    return true
  })

for (const [name, encryption, algorithm] of [
  ['SSE-S3', { type: 'sse-s3', previousKeys: [] } as S3Encryption, 'AES256'],
  ['SSE-KMS', kms, 'aws:kms'],
  ['SSE-C', ours(randomBytes(32)), 'customer'],
] as const) {
  test(`${name}: everything that is put is encrypted so, and read again`, async (t) => {
    const { server, open } = await startBucket(t)
    const backend = open(encryption)
    const small = randomBytes(1_000)
    const large = randomBytes(2 * PART_BYTES + 7)
    const put: [ObjectKey, Buffer][] = [
      [key('small'), small],
      [key('large'), large],
    ]
    for (const [at, bytes] of put) await backend.put(at, bodyOf(bytes))
    const wholeCopy = key('copy')
    await backend.copies!.copy(put[0]![0], wholeCopy, { storageClass: 'STANDARD_IA', size: small.length })
    const partCopy = key('copy-in-parts')
    await backend.copies!.copy(put[1]![0], partCopy, {
      storageClass: 'STANDARD_IA',
      size: large.length,
      partBytes: PART_BYTES,
    })
    for (const [at, bytes] of [...put, [wholeCopy, small], [partCopy, large]] as [ObjectKey, Buffer][]) {
      assert.equal((await encryptionOf(server, at))?.algorithm, algorithm, at)
      assert.deepEqual(await bytesOf(backend, at), bytes)
      assert.equal((await backend.head(at))?.size, bytes.length)
    }
    await backend.writeMarker('a marker')
    assert.equal(await backend.readMarker(), 'a marker')
    const version = await backend.writeCounter('{"value":1}', null)
    await backend.writeCounter('{"value":2}', version)
    assert.equal((await backend.readCounter())?.text, '{"value":2}')
    for (const { key: held, version } of await server.stored.versions())
      assert.equal(version.encryption?.algorithm, algorithm, held)
  })
}

test('SSE-KMS: key, context and bucket key are asked for', async (t) => {
  const { server, open } = await startBucket(t)
  const at = key('kms')
  await open(kms).put(at, bodyOf(Buffer.from('x')))
  assert.deepEqual(await encryptionOf(server, at), {
    algorithm: 'aws:kms',
    keyId: 'arn:aws:kms:us-east-1:1:key/photos',
    context: Buffer.from('{"of":"photos"}').toString('base64'),
    hasBucketKey: true,
  })
})

test('SSE-KMS: a presigned put is bound to the encryption, and sends exactly what was signed', async (t) => {
  const { server, open } = await startBucket(t)
  const at = key('direct')
  const bytes = randomBytes(10)
  const md5 = createHash('md5').update(bytes).digest('hex')
  const { url, headers } = await open(kms).presign!.put(at, {
    expiresInSeconds: 60,
    size: bytes.length,
    digests: [{ algorithm: 'md5', value: md5 }],
    contentType: 'image/jpeg',
  })
  const send = async (given: Record<string, string>) => {
    const answer = await fetch(url, { method: 'PUT', headers: given, body: bytes })
    await answer.arrayBuffer()
    return answer.status
  }
  const { 'x-amz-server-side-encryption': _, ...without } = headers
  assert.equal(await send(without), 403)
  assert.equal(await send(headers), 200)
  assert.equal((await encryptionOf(server, at))?.algorithm, 'aws:kms')
})

test('SSE-C: nothing is signed for others, who would have to be given the key', async (t) => {
  const { open } = await startBucket(t)
  const backend = open(ours(randomBytes(32)))
  assert.equal(backend.presign, undefined)
  const part = { uploadId: 'u', number: 1, size: 1, expiresInSeconds: 60 }
  await denies(backend.multipart!.presignPart(key('part'), part))
})

test('SSE-C: what was put before, without a key and with earlier ones, stays readable', async (t) => {
  const { server, open } = await startBucket(t)
  const [first, second] = [randomBytes(32), randomBytes(32)]
  const bytes = randomBytes(1_000)
  const [plain, old, fresh] = [key('plain'), key('old'), key('fresh')]
  const before = open(null)
  await before.put(plain, bodyOf(bytes))
  const { uploadId } = await before.multipart!.begin(key('begun-before'))
  await open(ours(first)).put(old, bodyOf(bytes))

  const backend = open(ours(second, first))
  await backend.put(fresh, bodyOf(bytes))
  for (const at of [plain, old, fresh, plain]) {
    assert.deepEqual(await bytesOf(backend, at), bytes)
    assert.equal((await backend.head(at))?.size, bytes.length)
  }
  for (const at of [plain, old]) {
    const copy = key('copy')
    await backend.copies!.copy(at, copy, { storageClass: 'STANDARD', size: bytes.length })
    assert.equal((await encryptionOf(server, copy))?.algorithm, 'customer')
    assert.deepEqual(await bytesOf(backend, copy), bytes)
  }
  assert.equal(await backend.head(key('absent')), null)
  const listed = await backend.multipart!.listParts(key('begun-before'), uploadId).catch((error) => error)
  assert.ok(isStorageError(listed, 'not-found'))
})

test('SSE-C: what opened an object is remembered, and the next one is tried like the last', async (t) => {
  const { server, open } = await startBucket(t)
  const before = open(null)
  const old = Array.from({ length: 10 }, (_, at) => key(`old-${at}`))
  for (const at of old) await before.put(at, bodyOf(Buffer.from('x')))
  const backend = open(ours(randomBytes(32)))
  const fresh = key('fresh')
  await backend.put(fresh, bodyOf(Buffer.from('y')))
  const begun = requests(server, 'HeadObject')
  for (const at of old) await backend.head(at)
  assert.equal(requests(server, 'HeadObject') - begun, old.length + 1)
  await backend.head(fresh)
  for (const at of old) await backend.head(at)
  assert.equal(requests(server, 'HeadObject') - begun, 2 * old.length + 2)
})

test('SSE-C: with a wrong key nothing is missing: it is named before anything is looked at', async (t) => {
  const { server, open } = await startBucket(t)
  const right = randomBytes(32)
  const at = key('photo')
  const before = open(ours(right))
  await before.writeMarker('a marker')
  await before.put(at, bodyOf(Buffer.from('x')))
  const held = await server.stored.objects()
  const begun = requests(server, 'HeadObject') + requests(server, 'GetObject')
  for (const wrong of [ours(randomBytes(32)), { type: 'sse-s3', previousKeys: [randomBytes(32)] } as const]) {
    const backend = open(wrong)
    const names = /holds files that were encrypted with the key of fingerprint [0-9a-f]{16} .*previousKeys/
    await denies(backend.head(at), names)
    await denies(backend.get(at), names)
    await denies(backend.readMarker(), names)
    await denies(backend.readCounter(), names)
    await denies(backend.put(key('other'), bodyOf(Buffer.from('y'))), names)
    await denies(backend.writeMarker('another'), names)
    await denies(backend.copies!.copy(at, key('copy'), { storageClass: 'STANDARD', size: 1 }), names)
  }
  assert.equal(requests(server, 'HeadObject') + requests(server, 'GetObject'), begun)
  assert.deepEqual(await server.stored.objects(), held)
  // Without any key a refusal says why.
  const none = open(null)
  await denies(none.head(at), /fingerprint/)
  await denies(none.readMarker(), /fingerprint/)
  assert.equal(await none.head(key('absent')), null)
  assert.deepEqual(await bytesOf(open(ours(right)), at), Buffer.from('x'))
})

test('SSE-C: an object of a key that nobody noted is denied, not absent', async (t) => {
  const { server, open } = await startBucket(t)
  const at = key('photo')
  await open(ours(randomBytes(32))).put(at, bodyOf(Buffer.from('x')))
  for (const { key: held } of await server.stored.objects())
    if (held.includes('.glassine-encryption-keys/')) await server.stored.vanish(held)
  const backend = open(ours(randomBytes(32)))
  await denies(backend.head(at), /no key of its encryption opens/)
  await denies(backend.get(at), /no key of its encryption opens/)
})

test('SSE-C: a missing permission is still called that', async (t) => {
  const { server, open } = await startBucket(t)
  const backend = open(ours(randomBytes(32)))
  const at = key('photo')
  await backend.put(at, bodyOf(Buffer.from('x')))
  server.profile.denied = ['GetObject']
  await denies(backend.get(at), /permission s3:GetObject/)
})

test('SSE-C: a service that does not encrypt is given no file', async (t) => {
  for (const profile of [{ ignoresEncryption: true }, { ignoresCustomerKeys: true }]) {
    const { server, open, settings } = await startBucket(t, profile)
    const encryption = ours(randomBytes(32))
    const backend = open(encryption)
    const at = key('photo')
    await denies(backend.put(at, bodyOf(Buffer.from('x'))), /did not encrypt/)
    assert.equal(await open(null).head(at), null)
    const report = await probeS3(settings(encryption), silentLog)
    assert.equal(report.ok, false)
    const finding = report.findings.find(({ id }) => id === 'encryption')
    assert.match(finding?.detail ?? '', /does not encrypt/)
    assert.equal(finding?.critical, true)
    assert.equal(report.traits?.encryptsAsAsked, false)
    assert.deepEqual(await server.stored.objects(), [])
  }
})

test('SSE-C: a service that stops to encrypt is noticed at the next put', async (t) => {
  const { server, open } = await startBucket(t)
  const backend = open(ours(randomBytes(32)))
  await backend.put(key('photo'), bodyOf(Buffer.from('x')))
  server.profile.ignoresCustomerKeys = true
  await denies(backend.put(key('photo'), bodyOf(Buffer.from('x'))), /did not encrypt/)
  await denies(backend.writeMarker('a marker'), /did not encrypt/)
})

test('SSE-C: a service that opens files with any key is refused by the probe', async (t) => {
  const { settings } = await startBucket(t, { opensWithAnyKey: true })
  const report = await probeS3(settings(ours(randomBytes(32))), silentLog)
  const finding = report.findings.find(({ id }) => id === 'encryption')
  assert.equal(finding?.critical, true)
  assert.match(finding?.detail ?? '', /another key/)
})

test('a service that reads over SSE-S3 and SSE-KMS is shown, and used', async (t) => {
  for (const encryption of [kms, { type: 'sse-s3', previousKeys: [] } as const]) {
    const { settings } = await startBucket(t, { ignoresEncryption: true })
    const report = await probeS3(settings(encryption), silentLog)
    assert.equal(report.ok, true)
    const finding = report.findings.find(({ id }) => id === 'encryption')
    assert.deepEqual([finding?.ok, finding?.critical], [false, false])
    assert.equal(report.traits?.encryptsAsAsked, false)
  }
})

test('the probe works with the encryption that is configured, and its report says so', async (t) => {
  const { server, settings } = await startBucket(t, { computesCrc64nvme: true })
  const features = async (encryption: S3Encryption | null) => {
    const report = await probeS3(settings(encryption), silentLog)
    assert.equal(report.ok, true, JSON.stringify(report.findings.filter(({ ok }) => !ok)))
    if (encryption !== null) assert.equal(report.traits?.encryptsAsAsked, true)
    return { ...report.features, encryption: report.encryption }
  }
  const plain = await features(null)
  assert.deepEqual(plain.attestedDigests, ['md5', 'sha256', 'crc64nvme'])
  assert.equal(plain.encryption, undefined)
  const withKms = await features(kms)
  assert.deepEqual(withKms.attestedDigests, ['sha256', 'crc64nvme'])
  assert.equal(withKms.multipartEtagIsMd5OfParts, false)
  assert.equal(withKms.presignedPut, true)
  const secret = randomBytes(32)
  const withOurs = await features(ours(secret))
  assert.deepEqual(withOurs.attestedDigests, ['sha256', 'crc64nvme'])
  assert.equal(withOurs.presignedPut, false)
  assert.equal(withOurs.presignedGet, false)
  assert.match(withOurs.encryption ?? '', /^sse-c [0-9a-f]{16}$/)
  assert.deepEqual(
    await server.stored.objects(),
    [],
    'nothing stays, and no key is noted before a file is put',
  )
})

test('SSE-C: no error and no report holds the key', async (t) => {
  const { settings, open } = await startBucket(t)
  const secret = randomBytes(32)
  const report = await probeS3(settings(ours(secret)), silentLog)
  await open(ours(secret)).put(key('photo'), bodyOf(Buffer.from('x')))
  const error = await open(ours(randomBytes(32), randomBytes(32)))
    .head(key('photo'))
    .catch((thrown: unknown) => thrown)
  for (const text of [JSON.stringify(report), String(error), JSON.stringify(error)])
    for (const form of ['base64', 'hex'] as const) assert.ok(!text.includes(secret.toString(form)))
})
