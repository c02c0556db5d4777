import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { authenticate } from '../src/wire/authenticate.ts'
import { decodeChunkedBody } from '../src/wire/chunked-body.ts'
import { S3Error } from '../src/wire/s3-error.ts'
import { signingKey } from '../src/wire/signature.ts'

// The worked examples of AWS's own documentation (sig-v4-header-based-auth, sigv4-query-string-auth,
// sigv4-streaming).
const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
}
const settings = { credentials, region: 'us-east-1', anyRegion: false, now: new Date('2013-05-24T00:00:30Z') }
const scope = '20130524/us-east-1/s3/aws4_request'
const host = 'examplebucket.s3.amazonaws.com'
const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

const authorization = (signedHeaders: string, signature: string): string =>
  `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope},SignedHeaders=${signedHeaders},Signature=${signature}`

const getObject = (signature: string) => ({
  method: 'GET',
  path: '/test.txt',
  query: [] as [string, string][],
  headers: new Map([
    ['host', host],
    ['range', 'bytes=0-9'],
    ['x-amz-content-sha256', emptyHash],
    ['x-amz-date', '20130524T000000Z'],
    ['authorization', authorization('host;range;x-amz-content-sha256;x-amz-date', signature)],
  ]),
})

test('GET Object of the documentation is accepted, with one digit changed it is not', () => {
  const right = 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'
  assert.equal(authenticate(getObject(right), settings).payload, emptyHash)
  assert.throws(
    () => authenticate(getObject(right.replace(/1$/, '2')), settings),
    (error) => error instanceof S3Error && error.code === 'SignatureDoesNotMatch' && error.status === 403,
  )
})

test('PUT Object of the documentation, with a path that needs encoding', () => {
  const payload = '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072'
  const signed = 'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class'
  const authentication = authenticate(
    {
      method: 'PUT',
      path: '/test$file.text',
      query: [],
      headers: new Map([
        ['date', 'Fri, 24 May 2013 00:00:00 GMT'],
        ['host', host],
        ['x-amz-content-sha256', payload],
        ['x-amz-date', '20130524T000000Z'],
        ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
        [
          'authorization',
          authorization(signed, '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd'),
        ],
      ]),
    },
    settings,
  )
  assert.equal(authentication.presigned, false)
})

test('GET Bucket lifecycle and list of the documentation, with queries', () => {
  for (const [query, signature] of [
    [[['lifecycle', '']], 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    [
      [
        ['prefix', 'J'],
        ['max-keys', '2'],
      ],
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ],
  ] as [[string, string][], string][]) {
    const headers = new Map([
      ['host', host],
      ['x-amz-content-sha256', emptyHash],
      ['x-amz-date', '20130524T000000Z'],
      ['authorization', authorization('host;x-amz-content-sha256;x-amz-date', signature)],
    ])
    assert.equal(authenticate({ method: 'GET', path: '/', query, headers }, settings).signature, signature)
  }
})

test('the presigned URL of the documentation is accepted until it expires', () => {
  const parts = {
    method: 'GET',
    path: '/test.txt',
    query: [
      ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
      ['X-Amz-Credential', `${credentials.accessKeyId}/${scope}`],
      ['X-Amz-Date', '20130524T000000Z'],
      ['X-Amz-Expires', '86400'],
      ['X-Amz-SignedHeaders', 'host'],
      ['X-Amz-Signature', 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404'],
    ] as [string, string][],
    headers: new Map([['host', host]]),
  }
  assert.equal(authenticate(parts, settings).presigned, true)
  assert.throws(
    () => authenticate(parts, { ...settings, now: new Date('2013-05-25T00:00:01Z') }),
    (error) =>
      error instanceof S3Error && error.code === 'AccessDenied' && error.message === 'Request has expired',
  )
})

/** The 65 KiB of `a` of the documentation, as it travels. */
const streamed = (signatures: string[], trailer = ''): Buffer =>
  Buffer.concat([
    Buffer.from(`10000;chunk-signature=${signatures[0]}\r\n`),
    Buffer.alloc(65536, 'a'),
    Buffer.from(`\r\n400;chunk-signature=${signatures[1]}\r\n`),
    Buffer.alloc(1024, 'a'),
    Buffer.from(`\r\n0;chunk-signature=${signatures[2]}\r\n${trailer}\r\n`),
  ])

async function decode(
  wire: Buffer,
  payload: string,
  seed: string,
  announcedTrailers: string[],
  chunkBytes = 7777,
) {
  async function* pieces() {
    for (let at = 0; at < wire.length; at += chunkBytes) yield wire.subarray(at, at + chunkBytes)
  }
  const authentication = {
    presigned: false,
    payload,
    signature: seed,
    key: signingKey(credentials.secretAccessKey, scope),
    date: '20130524T000000Z',
    scope,
  }
  const found: [string, string][] = []
  const chunks: Buffer[] = []
  for await (const chunk of decodeChunkedBody(pieces(), { authentication, announcedTrailers }, (trailers) =>
    found.push(...trailers),
  )) {
    chunks.push(chunk)
  }
  return { bytes: Buffer.concat(chunks), trailers: found }
}

const chunkSignatures = [
  'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
  '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
  'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
]
const seed = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9'

test('the streamed upload of the documentation decodes, however it is cut up', async () => {
  for (const chunkBytes of [1, 100, 7777, 1_000_000]) {
    const { bytes } = await decode(
      streamed(chunkSignatures),
      'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      seed,
      [],
      chunkBytes,
    )
    assert.ok(bytes.equals(Buffer.alloc(66560, 'a')), `cut into ${chunkBytes}`)
  }
})

test('a streamed upload with one byte changed, one signature changed, or an end missing is refused', async () => {
  const refuse = (wire: Buffer, code: string) =>
    assert.rejects(
      decode(wire, 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', seed, []),
      (error) => error instanceof S3Error && error.code === code,
    )
  const byte = streamed(chunkSignatures)
  byte[5000] = 'b'.charCodeAt(0)
  await refuse(byte, 'SignatureDoesNotMatch')
  await refuse(
    streamed([chunkSignatures[0]!, chunkSignatures[2]!, chunkSignatures[1]!]),
    'SignatureDoesNotMatch',
  )
  const whole = streamed(chunkSignatures)
  for (const end of [100, 65_700, whole.length - 90, whole.length - 1])
    await refuse(whole.subarray(0, end), 'IncompleteBody')
  await refuse(Buffer.concat([whole, Buffer.from('x')]), 'InvalidRequest')
})

test('the streamed upload with a trailer of the documentation', async () => {
  const signatures = [
    'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
    '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
    '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
  ]
  const trailer = (signature: string): string =>
    `x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:${signature}\r\n`
  const kind = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'
  const trailerSeed = '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e'
  const right = 'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435'
  const { trailers } = await decode(streamed(signatures, trailer(right)), kind, trailerSeed, [
    'x-amz-checksum-crc32c',
  ])
  assert.deepEqual(trailers, [['x-amz-checksum-crc32c', 'sOO8/Q==']])
  const wrong = decode(streamed(signatures, trailer(right.replace(/5$/, '6'))), kind, trailerSeed, [
    'x-amz-checksum-crc32c',
  ])
  await assert.rejects(wrong, (error) => error instanceof S3Error && error.code === 'SignatureDoesNotMatch')
})

test('a signing key is that of its secret and its scope, asked for again and among many others', () => {
  const derive = (secret: string, scope: string) =>
    scope
      .split('/')
      .reduce<Buffer>(
        (key, part) => createHmac('sha256', key).update(part).digest(),
        Buffer.from(`AWS4${secret}`),
      )
  const scopes = Array.from(
    { length: 40 },
    (_, n) => `201305${String(n).padStart(2, '0')}/us-east-1/s3/aws4_request`,
  )
  for (let round = 0; round < 2; round++) {
    for (const scope of scopes) {
      for (const secret of ['one', 'one/us-east-1', 'two']) {
        assert.deepEqual(signingKey(secret, scope), derive(secret, scope))
        assert.deepEqual(signingKey(secret, scope), derive(secret, scope))
      }
    }
  }
})
