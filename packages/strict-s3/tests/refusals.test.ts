import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { StrictS3 } from '../src/server.ts'
import { run } from './running.ts'
import {
  type Answer,
  frameChunks,
  md5Base64,
  presign,
  type Spec,
  send,
  sendSigned,
  sendUrl,
  sha256,
  signByHeader,
  type Wire,
} from './signed-request.ts'

const expectCode = (answer: Answer, status: number, code: string | undefined, message?: RegExp): void => {
  assert.deepEqual([answer.status, answer.code], [status, code], answer.text)
  if (message) assert.match(answer.text, message)
  if (code) assert.match(answer.text, /<RequestId>[0-9A-F]{16}<\/RequestId>/)
  if (code) assert.equal(answer.headers['content-type'], 'application/xml')
}
const put = (extra: Partial<Spec> = {}): Spec => ({
  method: 'PUT',
  path: '/photos/k',
  body: 'hello',
  ...extra,
})
const isEmpty = async (s3: StrictS3): Promise<void> => assert.deepEqual(await s3.stored.objects(), [])

test('signatures: whatever is changed after signing is refused', async (t) => {
  const s3 = await run(t)
  const spoilt = (spoil: Spec['spoil'], extra: Partial<Spec> = {}) =>
    sendSigned(s3.endpoint, put({ ...extra, spoil }))
  for (const spoil of [
    (wire) => {
      wire.url = '/photos/other'
    },
    (wire) => {
      wire.url += '?x=y'
    },
    (wire) => {
      wire.headers.authorization = wire.headers.authorization!.replace(/.$/, (c) => (c === '0' ? '1' : '0'))
    },
    (wire) => {
      wire.headers['x-amz-meta-a'] = '2'
    },
    (wire) => {
      delete wire.headers['x-amz-meta-a']
    },
    (wire) => {
      wire.headers.host = 'localhost'
    },
  ] satisfies Spec['spoil'][]) {
    expectCode(
      await spoilt(spoil, { headers: { 'x-amz-meta-a': '1' } }),
      403,
      'SignatureDoesNotMatch',
      /<CanonicalRequest>PUT/,
    )
  }
  expectCode(await sendSigned(s3.endpoint, put({ secretAccessKey: 'other' })), 403, 'SignatureDoesNotMatch')
  expectCode(await sendSigned(s3.endpoint, put({ accessKeyId: 'other' })), 403, 'InvalidAccessKeyId')
  expectCode(
    await spoilt((wire) => {
      wire.headers['x-amz-storage-class'] = 'GLACIER'
    }),
    403,
    'AccessDenied',
    /<HeadersNotSigned>x-amz-storage-class</,
  )
  expectCode(
    await spoilt((wire) => {
      delete wire.headers['x-amz-content-sha256']
    }),
    400,
    'InvalidRequest',
  )
  expectCode(
    await spoilt((wire) => {
      delete wire.headers['x-amz-date']
    }),
    403,
    'AccessDenied',
  )
  expectCode(
    await spoilt((wire) => {
      delete wire.headers.authorization
    }),
    403,
    'AccessDenied',
  )
  expectCode(
    await spoilt((wire) => {
      wire.headers.authorization = 'Bearer abc'
    }),
    400,
    'InvalidArgument',
    /Unsupported Authorization Type/,
  )
  expectCode(
    await spoilt((wire) => {
      wire.headers.authorization = 'AWS4-HMAC-SHA256 Credential=x'
    }),
    400,
    'AuthorizationHeaderMalformed',
  )
  expectCode(await sendSigned(s3.endpoint, put({ payload: 'nonsense' })), 400, 'InvalidArgument')
  expectCode(
    await sendSigned(s3.endpoint, put({ headers: { 'x-amz-security-token': 't' } })),
    400,
    'InvalidToken',
  )
  expectCode(
    await sendSigned(s3.endpoint, put({ region: 'eu-central-1' })),
    400,
    'AuthorizationHeaderMalformed',
    /the region 'eu-central-1' is wrong; expecting 'us-east-1'.*<Region>us-east-1</,
  )
  await isEmpty(s3)
  expectCode(await sendSigned(s3.endpoint, put()), 200, undefined)
})

test('clocks more than 15 minutes apart are refused', async (t) => {
  const now = Date.now()
  const s3 = await run(t, { clock: () => new Date(now) })
  for (const minutes of [-16, 16]) {
    const answer = await sendSigned(s3.endpoint, put({ date: new Date(now + minutes * 60_000) }))
    expectCode(answer, 403, 'RequestTimeTooSkewed', /<MaxAllowedSkewMilliseconds>900000</)
  }
  await isEmpty(s3)
  for (const minutes of [-14, 14]) {
    expectCode(await sendSigned(s3.endpoint, put({ date: new Date(now + minutes * 60_000) })), 200, undefined)
  }
})

test('presigned URLs: bound to method, path, query, signed headers, time', async (t) => {
  const s3 = await run(t)
  await sendSigned(s3.endpoint, put())
  const url = presign(s3.endpoint, { path: '/photos/k' })
  expectCode(await sendUrl(url), 200, undefined)
  expectCode(await sendUrl(url.replace('/photos/k', '/photos/j')), 403, 'SignatureDoesNotMatch')
  expectCode(await sendUrl(url, { method: 'DELETE' }), 403, 'SignatureDoesNotMatch')
  expectCode(await sendUrl(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=61')), 403, 'SignatureDoesNotMatch')
  expectCode(await sendUrl(`${url}&response-content-type=text/html`), 403, 'SignatureDoesNotMatch')
  expectCode(await sendUrl(url.replace(/&X-Amz-Date=[^&]*/, '')), 400, 'AuthorizationQueryParametersError')
  expectCode(
    await sendUrl(url, { headers: { 'x-amz-meta-x': '1' } }),
    403,
    'AccessDenied',
    /HeadersNotSigned/,
  )
  const expired = presign(s3.endpoint, {
    path: '/photos/k',
    expires: 10,
    date: new Date(Date.now() - 12_000),
  })
  expectCode(await sendUrl(expired), 403, 'AccessDenied', /Request has expired.*<Expires>/)
  const early = presign(s3.endpoint, { path: '/photos/k', date: new Date(Date.now() + 20 * 60_000) })
  expectCode(await sendUrl(early), 403, 'AccessDenied', /not yet valid/)
  for (const expires of [0, 604_801]) {
    expectCode(
      await sendUrl(presign(s3.endpoint, { path: '/photos/k', expires })),
      400,
      'AuthorizationQueryParametersError',
    )
  }
  const overridden = await sendUrl(
    presign(s3.endpoint, {
      path: '/photos/k',
      query: {
        'response-content-type': 'image/jpeg',
        'response-content-disposition': 'inline; filename="a b"',
        'response-cache-control': 'no-store',
      },
    }),
    { headers: { range: 'bytes=1-2' } },
  )
  assert.deepEqual(
    [
      overridden.status,
      overridden.text,
      overridden.headers['content-type'],
      overridden.headers['content-disposition'],
      overridden.headers['cache-control'],
    ],
    [206, 'el', 'image/jpeg', 'inline; filename="a b"', 'no-store'],
  )
})

test('a presigned put takes the signed length, type and MD5 and no other', async (t) => {
  const s3 = await run(t)
  const signedHeaders = {
    'content-length': '5',
    'content-md5': md5Base64('hello'),
    'content-type': 'text/plain',
  }
  const url = presign(s3.endpoint, { method: 'PUT', path: '/photos/k', signedHeaders })
  const send = (headers: Record<string, string>, body: string) =>
    sendUrl(url, { method: 'PUT', headers: { ...signedHeaders, ...headers }, body })
  expectCode(await send({ 'content-length': '6' }, 'hello!'), 403, 'SignatureDoesNotMatch')
  expectCode(await send({ 'content-type': 'text/html' }, 'hello'), 403, 'SignatureDoesNotMatch')
  expectCode(await send({ 'content-md5': md5Base64('jello') }, 'jello'), 403, 'SignatureDoesNotMatch')
  expectCode(
    await sendUrl(url, { method: 'PUT', body: 'hello', headers: { 'content-length': '5' } }),
    403,
    'SignatureDoesNotMatch',
  )
  expectCode(await send({}, 'jello'), 400, 'BadDigest')
  await isEmpty(s3)
  expectCode(await send({}, 'hello'), 200, undefined)
  // The trap of SDKs that sign the CRC32 of an empty body into the URL: the checksum is in the query, and it
  // counts.
  const trap = presign(s3.endpoint, {
    method: 'PUT',
    path: '/photos/k',
    query: { 'x-amz-checksum-crc32': 'AAAAAA==' },
  })
  expectCode(
    await sendUrl(trap, { method: 'PUT', body: 'hello', headers: { 'content-length': '5' } }),
    400,
    'BadDigest',
  )
})

test('two authentications are one too many', async (t) => {
  const s3 = await run(t)
  await sendSigned(s3.endpoint, put())
  const url = presign(s3.endpoint, { path: '/photos/k' })
  for (const authorization of [
    'Bearer token',
    'Basic dTpw',
    signByHeader(s3.endpoint, { path: '/photos/k' }).wire.headers.authorization!,
  ]) {
    expectCode(
      await sendUrl(url, { headers: { authorization } }),
      400,
      'InvalidArgument',
      /Only one auth mechanism allowed/,
    )
  }
})

test('bodies: length, SHA-256, MD5 and checksums must be right, or nothing is stored', async (t) => {
  const s3 = await run(t)
  const refuse = async (extra: Partial<Spec>, status: number, code: string, message?: RegExp) => {
    expectCode(await sendSigned(s3.endpoint, put(extra)), status, code, message)
    await isEmpty(s3)
  }
  await refuse(
    { payload: sha256('jello') },
    400,
    'XAmzContentSHA256Mismatch',
    new RegExp(`<S3ComputedContentSHA256>${sha256('hello')}`),
  )
  await refuse({ headers: { 'content-md5': md5Base64('jello') } }, 400, 'BadDigest')
  await refuse({ headers: { 'content-md5': 'short' } }, 400, 'InvalidDigest')
  await refuse({ headers: { 'content-md5': sha256('x') } }, 400, 'InvalidDigest')
  for (const [name, right, wrong] of [
    ['crc32', 'NhCmhg==', 'NhCmhw=='],
    ['crc32c', 'mnG7TA==', 'mnG7TQ=='],
    ['crc64nvme', 'M3eFcAZSQlc=', 'M3eFcAZSQlg='],
    ['sha1', 'qvTGHdzF6KLavt4PO0gs2a6pQ00=', 'qvTGHdzF6KLavt4PO0gs2a6pQ04='],
    [
      'sha256',
      'LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=',
      'LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCU=',
    ],
  ] as const) {
    await refuse({ headers: { [`x-amz-checksum-${name}`]: wrong } }, 400, 'BadDigest')
    await refuse({ headers: { [`x-amz-checksum-${name}`]: `${right}AAAA` } }, 400, 'InvalidRequest')
    await refuse({ headers: { [`x-amz-checksum-${name}`]: right }, body: 'jello' }, 400, 'BadDigest')
    const taken = await sendSigned(s3.endpoint, put({ headers: { [`x-amz-checksum-${name}`]: right } }))
    assert.deepEqual([taken.status, taken.headers[`x-amz-checksum-${name}`]], [200, right], name)
    const head = { method: 'HEAD', path: '/photos/k' }
    assert.equal((await sendSigned(s3.endpoint, head)).headers[`x-amz-checksum-${name}`], undefined)
    const asked = await sendSigned(s3.endpoint, { ...head, headers: { 'x-amz-checksum-mode': 'ENABLED' } })
    assert.deepEqual(
      [asked.headers[`x-amz-checksum-${name}`], asked.headers['x-amz-checksum-type']],
      [right, 'FULL_OBJECT'],
    )
    await s3.stored.vanish('k')
  }
  await refuse(
    {
      headers: { 'x-amz-checksum-crc32': 'NhCmhg==', 'x-amz-checksum-sha1': 'qvTGHdzF6KLavt4PO0gs2a6pQ00=' },
    },
    400,
    'InvalidRequest',
  )
  await refuse({ headers: { 'x-amz-sdk-checksum-algorithm': 'CRC32' } }, 400, 'InvalidRequest')
  await refuse(
    {
      spoil: (wire) => {
        delete wire.headers['content-length']
        wire.headers['transfer-encoding'] = 'chunked'
      },
    },
    411,
    'MissingContentLength',
  )
  s3.profile.maxPutBytes = 4
  await refuse({}, 400, 'EntityTooLarge')
})

test('a body that ends early, or whose sender leaves, stores nothing', async (t) => {
  const s3 = await run(t)
  const { wire } = signByHeader(s3.endpoint, put())
  const start = `PUT ${wire.url} HTTP/1.1\r\n${Object.entries(wire.headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\nhel`
  const halfClosed = await new Promise<string>((resolve) => {
    const socket = connect({ port: s3.port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end(start))
    let text = ''
    socket.on('data', (data) => {
      text += data
    })
    socket.on('end', () => resolve(text))
  })
  assert.match(halfClosed, /^HTTP\/1.1 400 [\s\S]*<Code>IncompleteBody</)
  await new Promise<void>((resolve) => {
    const socket = connect({ port: s3.port, host: '127.0.0.1' }, () =>
      socket.write(start, () => setTimeout(() => socket.resetAndDestroy(), 20)),
    )
    socket.on('close', () => resolve())
  })
  while (s3.activeRequests() > 0 || s3.openConnections() > 0)
    await new Promise((resolve) => setTimeout(resolve, 5))
  await isEmpty(s3)
  assert.equal(s3.counts.of('PutObject'), 2)
})

test('a sender that falls silent is told so', async (t) => {
  const s3 = await run(t, { idleBodyMs: 50 })
  const { wire } = signByHeader(s3.endpoint, put())
  const answer = await new Promise<string>((resolve) => {
    const socket = connect({ port: s3.port, host: '127.0.0.1' })
    socket.write(
      `PUT ${wire.url} HTTP/1.1\r\n${Object.entries(wire.headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('')}\r\nhel`,
    )
    let text = ''
    socket.on('data', (data) => {
      text += data
    })
    socket.on('close', () => resolve(text))
    socket.on('error', () => resolve(text))
  })
  assert.match(answer, /400 [\s\S]*RequestTimeout/)
  await isEmpty(s3)
})

test('streamed uploads: framing is checked and never stored', async (t) => {
  const s3 = await run(t)
  const chunks = [Buffer.alloc(20_000, 'a'), Buffer.alloc(10_000, 'b'), Buffer.from('end')]
  const whole = Buffer.concat(chunks)
  const headers = { 'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': String(whole.length) }
  const signed = (extra: {
    payload?: string
    headers?: Record<string, string>
    trailers?: Record<string, string>
    trailerSignature?: string
    body?: (framed: Buffer) => Buffer
    chunks?: Buffer[]
    path?: string
  }) => {
    const payload = extra.payload ?? 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
    const { wire, seed } = signByHeader(s3.endpoint, {
      method: 'PUT',
      path: extra.path ?? '/photos/k',
      payload,
      headers: { ...headers, ...extra.headers },
    })
    const framed = frameChunks(extra.chunks ?? chunks, {
      seed: payload.includes('UNSIGNED') ? undefined : seed,
      trailers: extra.trailers,
      trailerSignature: extra.trailerSignature,
    })
    wire.body = extra.body ? extra.body(framed) : framed
    wire.headers['content-length'] = String(wire.body.length)
    return send(s3.endpoint, wire)
  }
  const crc32 = { 'x-amz-trailer': 'x-amz-checksum-crc32' }
  const trailers = { 'x-amz-checksum-crc32': 'MXkLsg==' }
  const withTrailer = { headers: crc32, trailers }
  const flip = (at: number) => (framed: Buffer) => {
    framed[at] = framed[at]! ^ 1
    return framed
  }

  expectCode(await signed({ body: flip(5000) }), 403, 'SignatureDoesNotMatch')
  expectCode(await signed({ body: (framed) => framed.subarray(0, -3) }), 400, 'IncompleteBody')
  expectCode(await signed({ body: (framed) => framed.subarray(0, 15_000) }), 400, 'IncompleteBody')
  expectCode(await signed({ body: () => whole }), 400, 'InvalidRequest')
  expectCode(await signed({ headers: { 'x-amz-decoded-content-length': '30004' } }), 400, 'IncompleteBody')
  expectCode(await signed({ headers: { 'x-amz-decoded-content-length': '30002' } }), 400, 'IncompleteBody')
  expectCode(await signed({ headers: { 'x-amz-decoded-content-length': 'x' } }), 411, 'MissingContentLength')
  expectCode(
    await signed({ chunks: [Buffer.alloc(100), Buffer.alloc(29_903)] }),
    400,
    'InvalidChunkSizeError',
  )
  const unsigned = { ...withTrailer, payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' }
  expectCode(await signed(unsigned), 400, 'BadDigest', /The CRC32 you specified did not match/)
  expectCode(await signed({ ...unsigned, trailers: {} }), 400, 'MalformedTrailerError')
  expectCode(
    await signed({ ...unsigned, trailers: { ...trailers, other: '1' } }),
    400,
    'MalformedTrailerError',
  )
  const right = {
    trailers: {
      'x-amz-checksum-crc32': await import('../src/wire/checksums.ts').then(({ startChecksum }) => {
        const crc = startChecksum('CRC32')
        crc.update(whole)
        return crc.digest().toString('base64')
      }),
    },
  }
  const signedTrailer = { headers: crc32, ...right, payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER' }
  expectCode(await signed({ ...signedTrailer, trailerSignature: sha256('x') }), 403, 'SignatureDoesNotMatch')
  await isEmpty(s3)

  expectCode(await signed({ path: '/photos/plain' }), 200, undefined)
  expectCode(await signed({ ...signedTrailer, path: '/photos/signed-trailer' }), 200, undefined)
  expectCode(await signed({ ...unsigned, ...right, path: '/photos/unsigned-trailer' }), 200, undefined)
  for (const key of ['plain', 'signed-trailer', 'unsigned-trailer'])
    assert.ok(whole.equals(await s3.stored.bytes(key)), key)
  const head = await sendSigned(s3.endpoint, {
    method: 'HEAD',
    path: '/photos/unsigned-trailer',
    headers: { 'x-amz-checksum-mode': 'ENABLED' },
  })
  assert.deepEqual(
    [head.headers['content-encoding'], head.headers['x-amz-checksum-crc32']],
    [undefined, right.trailers['x-amz-checksum-crc32']],
  )
})

test('names and places: missing buckets and keys, wrong regions, long keys, things that are not played', async (t) => {
  const s3 = await run(t)
  const get = (path: string, query?: Record<string, string>) => sendSigned(s3.endpoint, { path, query })
  expectCode(await get('/nowhere/k'), 404, 'NoSuchBucket')
  expectCode(await get('/nowhere'), 404, 'NoSuchBucket')
  expectCode(await get('/..%2fphotos/k'), 404, 'NoSuchBucket')
  expectCode(await get('/photos/k'), 404, 'NoSuchKey', /<Key>k<\/Key>/)
  const head = await sendSigned(s3.endpoint, { method: 'HEAD', path: '/photos/k' })
  assert.deepEqual([head.status, head.body.length], [404, 0])
  const long = 'é'.repeat(512)
  expectCode(await sendSigned(s3.endpoint, put({ path: `/photos/${long}x` })), 400, 'KeyTooLongError')
  expectCode(await sendSigned(s3.endpoint, put({ path: `/photos/${long}` })), 200, undefined)
  expectCode(await get(`/photos/${long}`), 200, undefined)
  expectCode(await send(s3.endpoint, { url: '/photos/%zz' }), 400, 'InvalidURI')
  expectCode(await get('/photos', { acl: '' }), 501, 'NotImplemented')
  expectCode(await get('/photos', { policy: '' }), 404, 'NoSuchBucketPolicy')
  expectCode(
    await sendSigned(s3.endpoint, put({ headers: { 'x-amz-acl': 'public-read' } })),
    400,
    'AccessControlListNotSupported',
  )
  expectCode(
    await sendSigned(s3.endpoint, put({ headers: { 'x-amz-tagging': 'a=b' } })),
    501,
    'NotImplemented',
  )
  expectCode(
    await sendSigned(s3.endpoint, put({ headers: { 'x-amz-storage-class': 'FAST' } })),
    400,
    'InvalidStorageClass',
  )
  expectCode(
    await sendSigned(s3.endpoint, put({ headers: { 'x-amz-meta-long': 'x'.repeat(2045) } })),
    400,
    'MetadataTooLarge',
  )
  expectCode(await sendSigned(s3.endpoint, { method: 'PATCH', path: '/photos/k' }), 405, 'MethodNotAllowed')

  s3.profile.bucketRegions = { photos: 'eu-west-1' }
  const moved = await get('/photos/k')
  expectCode(moved, 301, 'PermanentRedirect', /<Endpoint>photos\.s3\.eu-west-1\.amazonaws\.com</)
  assert.equal(moved.headers['x-amz-bucket-region'], 'eu-west-1')
  assert.equal(
    (await sendSigned(s3.endpoint, { method: 'HEAD', path: '/photos' })).headers['x-amz-bucket-region'],
    'eu-west-1',
  )
})

test('a virtual host names the bucket', async (t) => {
  const s3 = await run(t)
  const host = `photos.localhost:${s3.port}`
  expectCode(await sendSigned(s3.endpoint, put({ path: '/a/k', headers: { host } })), 200, undefined)
  assert.deepEqual(
    (await s3.stored.objects()).map(({ key }) => key),
    ['a/k'],
  )
  const listed = await sendSigned(s3.endpoint, { path: '/', query: { 'list-type': '2' }, headers: { host } })
  assert.match(listed.text, /<Key>a\/k<\/Key>/)
})

test('without the right to list, what is not there is denied', async (t) => {
  const s3 = await run(t, { profile: { denied: ['s3:ListBucket'] } })
  expectCode(await sendSigned(s3.endpoint, put()), 200, undefined)
  expectCode(await sendSigned(s3.endpoint, { path: '/photos/k' }), 200, undefined)
  expectCode(await sendSigned(s3.endpoint, { path: '/photos/other' }), 403, 'AccessDenied')
  expectCode(
    await sendSigned(s3.endpoint, { path: '/photos', query: { 'list-type': '2' } }),
    403,
    'AccessDenied',
  )
  s3.profile.denied = ['s3:PutObject']
  expectCode(await sendSigned(s3.endpoint, put()), 403, 'AccessDenied')
  expectCode(
    await sendSigned(s3.endpoint, { method: 'POST', path: '/photos/k', query: { uploads: '' } }),
    403,
    'AccessDenied',
  )
})

test('a client that waits for "100 Continue" is refused before it sends', async (t) => {
  const s3 = await run(t)
  await sendSigned(s3.endpoint, put())
  const body = Buffer.alloc(3_000_000)
  s3.counts.reset()
  const refused = signByHeader(s3.endpoint, put({ body, headers: { 'if-none-match': '*' } })).wire
  refused.headers.expect = '100-continue'
  const head = `PUT ${refused.url} HTTP/1.1\r\n${Object.entries(refused.headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`
  const answer = await new Promise<string>((resolve) => {
    const socket = connect({ port: s3.port, host: '127.0.0.1' }, () => socket.write(head))
    let text = ''
    socket.on('data', (data) => {
      text += data
    })
    socket.on('close', () => resolve(text))
  })
  assert.match(answer, /^HTTP\/1.1 412 /)
  assert.equal(s3.counts.bytesIn, 0)
})

test('after a refusal in the middle of a body, the connection goes on with the next request', async (t) => {
  const s3 = await run(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  const statusOf = (wire: Wire): Promise<number> =>
    new Promise((resolve, reject) => {
      const { method, url: path, headers } = wire
      const outgoing = request(
        { host: '127.0.0.1', port: s3.port, method, path, headers, agent },
        (incoming) => {
          incoming.resume()
          incoming.on('end', () => resolve(incoming.statusCode ?? 0))
        },
      )
      outgoing.on('error', reject)
      outgoing.end(wire.body)
    })
  const chunks = Array.from({ length: 80 }, () => Buffer.alloc(100_000))
  const headers = { 'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': '8000000' }
  const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
  for (let round = 0; round < 3; round++) {
    const { wire, seed } = signByHeader(s3.endpoint, { method: 'PUT', path: '/photos/k', payload, headers })
    wire.body = frameChunks(chunks, { seed: { ...seed, signature: sha256('wrong') } })
    wire.headers['content-length'] = String(wire.body.length)
    assert.equal(await statusOf(wire), 403)
    assert.equal(await statusOf(signByHeader(s3.endpoint, put()).wire), 200)
  }
  assert.equal(s3.openConnections(), 1)
})
