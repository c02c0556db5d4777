/**
 * Our own signatures against the SDK's, byte by byte, and against a server that computes them in its own way.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, mock, test } from 'node:test'
import { GetObjectCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import fc from 'fast-check'
import { startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { openS3Bucket } from '../../../src/storage/s3/requests/bucket.ts'
import { connectS3, type S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { presignS3, presignS3Part } from '../../../src/storage/s3/requests/presign.ts'
import { type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'
import { s3TestSettings } from '../contract/s3-subject.ts'

const OWN = { accessKeyId: 'AKIAOWN', secretAccessKey: 'own/secret+key=' }
const ROLE = { accessKeyId: 'ASIAROLE', secretAccessKey: 'role-secret', sessionToken: 'token/+== of a role' }
const HEX = 'd41d8cd98f00b204e9800998ecf8427e'
const KEY = 'users/u/a/original.0a.jpg' as ObjectKey

/**
 * Everything that is escaped in one place and not in another, and what takes more than one unit of UTF-16.
 */
const ODD = [...' +~()*\'!%&=?#:@;,$"\\<>[]{}|^`', 'ü', 'ß', '漢', '📷', '%20', 'a', 'Z', '0', '-', '_', '.']
const segment = fc
  .array(fc.constantFrom(...ODD), { minLength: 1, maxLength: 12 })
  .map((parts) => parts.join(''))
  .filter((text) => text !== '.' && text !== '..')
const oddKey = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'))
const oddText = fc.array(fc.constantFrom(...ODD), { maxLength: 20 }).map((parts) => parts.join(''))
const someTime = fc
  .integer({ min: Date.UTC(2020, 0, 1) / 1000, max: Date.UTC(2035, 0, 1) / 1000 })
  .map((seconds) => new Date(seconds * 1000))

const at = (endpoint: string | null, more: Partial<S3Settings> = {}) =>
  s3TestSettings({ endpoint: endpoint ?? '', ...OWN, bucket: 'photos' }, { endpoint, prefix: '', ...more })

const addresses: [string, S3Settings][] = [
  ['AWS', at(null, { region: 'eu-central-1', forcePathStyle: false })],
  ['AWS in China', at(null, { region: 'cn-north-1', forcePathStyle: false })],
  ['AWS, a bucket with dots', at(null, { bucket: 'my.photos', forcePathStyle: false })],
  ['path style, with a port', at('http://127.0.0.1:7480', { forcePathStyle: true })],
  ['virtual host, with a port', at('https://s3.example.org:8443', { forcePathStyle: false })],
  ['below a path', at('https://example.org/s3/', { forcePathStyle: true })],
  ['IPv6', at('http://[::1]:9000', { forcePathStyle: true })],
  [
    'another address for the public',
    at('http://10.0.0.5:7480', { publicEndpoint: 'https://files.example.org', forcePathStyle: true }),
  ],
]

/** What the SDK signs for the same address and with the same credentials. */
function sdkOf(settings: S3Settings) {
  const { client } = connectS3(settings, settings.publicEndpoint ?? settings.endpoint)
  const on = (Key: string) => ({ Bucket: settings.bucket, Key })
  return {
    get: (
      key: string,
      wish: { type: string; disposition: string; cacheControl: string },
      signingDate: Date,
    ) =>
      getSignedUrl(
        client,
        new GetObjectCommand({
          ...on(key),
          ResponseContentType: wish.type,
          ResponseContentDisposition: wish.disposition,
          ResponseCacheControl: wish.cacheControl,
        }),
        { signingDate, expiresIn: 3_600 },
      ),
    put: (key: string, { size, type, onlyIfAbsent }: PutWish, signingDate: Date) =>
      getSignedUrl(
        client,
        new PutObjectCommand({
          ...on(key),
          ContentLength: size,
          ContentMD5: Buffer.from(HEX, 'hex').toString('base64'),
          ContentType: type,
          ...(onlyIfAbsent && { IfNoneMatch: '*' }),
        }),
        {
          signingDate,
          expiresIn: 900,
          signableHeaders: new Set([
            'host',
            'content-length',
            'content-md5',
            'content-type',
            'if-none-match',
          ]),
        },
      ),
    part: (key: string, { uploadId, number, size, md5 }: PartWish, signingDate: Date) =>
      getSignedUrl(
        client,
        new UploadPartCommand({
          ...on(key),
          UploadId: uploadId,
          PartNumber: number,
          ContentLength: size,
          ...(md5 && { ContentMD5: Buffer.from(md5, 'hex').toString('base64') }),
        }),
        {
          signingDate,
          expiresIn: 3_600,
          signableHeaders: new Set(['host', 'content-length', 'content-md5']),
        },
      ),
  }
}
type PutWish = { size: number; type: string; onlyIfAbsent: boolean }
type PartWish = { uploadId: string; number: number; size: number; md5?: string }

/** Runs it while it is that time. */
async function when<T>(now: Date, run: () => Promise<T>): Promise<T> {
  mock.timers.enable({ apis: ['Date'], now })
  try {
    return await run()
  } finally {
    mock.timers.reset()
  }
}

/** Credentials as a role has them: from the environment, with a token and an end. */
async function asRole<T>(expiration: Date | null, run: () => Promise<T>): Promise<T> {
  const variables = {
    AWS_ACCESS_KEY_ID: ROLE.accessKeyId,
    AWS_SECRET_ACCESS_KEY: ROLE.secretAccessKey,
    AWS_SESSION_TOKEN: ROLE.sessionToken,
    ...(expiration && { AWS_CREDENTIAL_EXPIRATION: expiration.toISOString() }),
  }
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, variables)
  try {
    return await run()
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}

async function sameUrls(settings: S3Settings, runs: number): Promise<void> {
  const bucket = openS3Bucket(settings, silentLog)
  const sdk = sdkOf(settings)
  await fc.assert(
    fc.asyncProperty(oddKey, oddText, oddText, someTime, fc.boolean(), async (key, a, b, now, flag) => {
      // What lies below the prefix is a key of ours; the rest may be anything.
      const prefixed = { ...bucket, fullKey: () => key }
      const { get, put } = presignS3(prefixed)!
      const wish = {
        contentType: 'image/jpeg',
        contentDisposition: `inline; filename="${a}"`,
        cacheControl: b,
      }
      const got = await get(KEY, { ...wish, signedAt: now, expiresAt: new Date(now.getTime() + 3_600_000) })
      const disposition = wish.contentDisposition
      assert.equal(got.url, await sdk.get(key, { type: wish.contentType, disposition, cacheControl: b }, now))

      const putWish = { size: a.length, type: flag ? 'image/jpeg' : 'video/mp4', onlyIfAbsent: flag }
      const toPut = {
        expiresInSeconds: 900,
        size: putWish.size,
        digests: [{ algorithm: 'md5' as const, value: HEX }],
        contentType: putWish.type,
        onlyIfAbsent: flag,
      }
      const signed = await when(now, () => put(KEY, toPut))
      assert.equal(signed.url, await sdk.put(key, putWish, now))
      assert.deepEqual(signed.expiresAt, new Date(now.getTime() + 900_000))

      const part = { uploadId: `2~${a}`, number: 1 + b.length, size: 5, ...(flag && { md5: HEX }) }
      const partOf = presignS3Part(prefixed)
      const signedPart = await when(now, () => partOf(KEY, { ...part, expiresInSeconds: 3_600 }))
      assert.equal(signedPart.url, await sdk.part(key, part, now))
    }),
    { numRuns: runs },
  )
  bucket.client.destroy()
}

describe('the same URLs as the SDK, for odd keys at any time', () => {
  for (const [name, settings] of addresses) {
    test(name, () => sameUrls(settings, 40))
  }

  test('with the token of a role', () =>
    asRole(null, () => sameUrls(at(null, { accessKeyId: null, secretAccessKey: null }), 40)))
})

test('a URL ends with the credentials of the role that signed it', async () => {
  const now = Date.now()
  const expiration = new Date(now + 3_600_000)
  await asRole(expiration, async () => {
    const bucket = openS3Bucket(at(null, { accessKeyId: null, secretAccessKey: null }), silentLog)
    const digests = [{ algorithm: 'md5' as const, value: HEX }]
    const ofPut = async (expiresInSeconds: number) => {
      const options = { expiresInSeconds, size: 1, digests, contentType: 'image/jpeg' }
      return (await presignS3(bucket)!.put(KEY, options)).expiresAt
    }
    assert.deepEqual(await ofPut(7_200), expiration)
    assert.ok((await ofPut(900)) < expiration)
    const part = { uploadId: 'u', number: 1, size: 1, expiresInSeconds: 7_200 }
    assert.deepEqual((await presignS3Part(bucket)(KEY, part)).expiresAt, expiration)
    const wish = { contentType: 'image/jpeg', contentDisposition: 'inline', cacheControl: 'private' }
    const signedAt = new Date(now)
    const options = { ...wish, signedAt, expiresAt: new Date(now + 7_200_000) }
    assert.deepEqual((await presignS3(bucket)!.get(KEY, options)).expiresAt, expiration)
    bucket.client.destroy()
  })
})

test('by a clock that is wrong here, what is signed holds by the clock of the service', async (t) => {
  const aheadMs = 3 * 3_600_000
  const server = await startStrictS3({
    store: { kind: 'memory' },
    credentials: OWN,
    buckets: ['photos'],
    clock: () => new Date(Date.now() + aheadMs),
  })
  t.after(() => server.close())
  const bucket = openS3Bucket(at(server.endpoint), silentLog)
  t.after(() => bucket.client.destroy())
  // The first answer, a refusal, tells the time.
  await assert.rejects(bucket.direct('HEAD', KEY, {}, {}))
  const bytes = Buffer.from('a photo')
  const md5 = createHash('md5').update(bytes).digest('hex')
  const options = { size: bytes.length, digests: [{ algorithm: 'md5' as const, value: md5 }] }
  const { put } = presignS3(bucket)!
  const signed = await put(KEY, { ...options, expiresInSeconds: 60, contentType: 'image/jpeg' })
  const { 'content-length': _, ...headers } = signed.headers
  assert.equal((await fetch(signed.url, { method: 'PUT', headers, body: bytes })).status, 200)
  assert.equal((await bucket.direct('HEAD', KEY, {}, {})).headers['content-length'], String(bytes.length))
})

/** Requests of our own, whose signature is in a header: put, looked at and read under odd keys. */
async function takesOddKeys(settings: S3Settings, runs: number): Promise<void> {
  const bucket = openS3Bucket(settings, silentLog)
  const bytes = Buffer.from('the bytes')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const headers = {
    'content-length': String(bytes.length),
    'content-type': 'image/jpeg',
    'content-md5': createHash('md5').update(bytes).digest('base64'),
    'x-amz-meta-of': '  two   spaces ',
  }
  await fc.assert(
    fc.asyncProperty(oddKey, async (key) => {
      const done = await bucket.direct('PUT', key, headers, { payload: { bytes, sha256 } })
      done.body.resume()
      const seen = await bucket.direct('HEAD', key, {}, {})
      seen.body.resume()
      assert.equal(seen.headers['content-length'], String(bytes.length))
      const part = await bucket.direct('GET', key, { range: 'bytes=4-8' }, {})
      assert.equal(Buffer.concat(await part.body.toArray()).toString(), 'bytes')
      const { url } = await bucket.signUrl('GET', key, { operation: 'GetObject', expiresInSeconds: 60 })
      assert.equal(await (await fetch(url)).text(), 'the bytes')
      assert.equal((await fetch(url.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')))).status, 403)
    }),
    { numRuns: runs },
  )
  bucket.client.destroy()
}

test('the strict server takes requests of ours under odd keys', async (t) => {
  const server = await startStrictS3({ store: { kind: 'memory' }, credentials: OWN, buckets: ['photos'] })
  t.after(() => server.close())
  await takesOddKeys(at(server.endpoint), 60)
})

describe('Ceph', await needsCeph(), () => {
  let ceph: Ceph
  before(async () => {
    ceph = await startCeph()
  })
  after(() => ceph.stop())

  test('takes requests of ours under odd keys', async () => {
    const settings = s3TestSettings({ ...ceph, bucket: await ceph.createBucket() }, { prefix: '' })
    await takesOddKeys(settings, 40)
  })
})
