import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { crc32 } from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import type { StrictProfile } from '../src/profiles.ts'
import { startChecksum } from '../src/wire/checksums.ts'
import { Bucket, kinds, run, sdk } from './running.ts'

const Key = 'films/a film.mov'
const mebibyte = 1024 * 1024
const base64Crc32 = (data: Buffer): string => {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(crc32(data))
  return out.toString('base64')
}
const refuses = (work: Promise<unknown>, name: string, message?: RegExp) =>
  assert.rejects(work, (error: S3ServiceException) => {
    assert.equal(error.name, name, error.message)
    if (message) assert.match(error.message, message)
    return true
  })

async function begin(
  t: TestContext,
  kind: 'memory' | 'folder',
  create: object = {},
  profile: Partial<StrictProfile> = {},
) {
  const s3 = await run(t, { kind, profile })
  const client = sdk(t, s3, {
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ Bucket, Key, ContentType: 'video/x', ...create }),
  )
  const part = async (PartNumber: number, Body: Buffer, extra: object = {}): Promise<CompletedPart> => {
    const { ETag, ChecksumCRC32, ChecksumCRC64NVME } = await client.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...extra }),
    )
    return { PartNumber, ETag, ChecksumCRC32, ChecksumCRC64NVME }
  }
  const complete = (Parts: CompletedPart[], extra: object = {}) =>
    client.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...extra }),
    )
  return { s3, client, UploadId, part, complete }
}

for (const kind of kinds) {
  test(`${kind}: parts in any order, one replaced, one left out, become one object`, async (t) => {
    const { s3, client, UploadId, part, complete } = await begin(t, kind, { Metadata: { m: '1' } })
    const first = randomBytes(5 * mebibyte)
    const second = randomBytes(5 * mebibyte + 1)
    const last = randomBytes(10)
    const p9 = await part(9, last)
    await part(1, randomBytes(100))
    const p1 = await part(1, first)
    const p4 = await part(4, second)
    await part(5, randomBytes(1000))
    const listed = await client.send(new ListPartsCommand({ Bucket, Key, UploadId, MaxParts: 2 }))
    assert.deepEqual(
      listed.Parts?.map(({ PartNumber, Size, ETag }) => [PartNumber, Size, ETag]),
      [
        [1, first.length, p1.ETag],
        [4, second.length, p4.ETag],
      ],
    )
    assert.equal(listed.IsTruncated, true)
    const rest = await client.send(
      new ListPartsCommand({ Bucket, Key, UploadId, PartNumberMarker: listed.NextPartNumberMarker }),
    )
    assert.deepEqual(
      rest.Parts?.map(({ PartNumber }) => PartNumber),
      [5, 9],
    )
    assert.equal((await s3.stored.unfinishedUploads())[0]?.parts, 4)
    assert.deepEqual(await s3.stored.objects(), [])

    const done = await complete([p1, p4, p9])
    const whole = Buffer.concat([first, second, last])
    const md5s = [first, second, last].map((bytes) => createHash('md5').update(bytes).digest())
    assert.equal(done.ETag, `"${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-3"`)
    assert.equal((await complete([p1, p4, p9])).ETag, done.ETag, 'a repeat is answered alike')
    await refuses(complete([p1, p4]), 'NoSuchUpload')
    assert.deepEqual(await s3.stored.unfinishedUploads(), [])
    const got = await client.send(new GetObjectCommand({ Bucket, Key }))
    assert.ok(whole.equals(await got.Body!.transformToByteArray()))
    assert.deepEqual([got.ContentType, got.Metadata], ['video/x', { m: '1' }])
    const across = `bytes=${5 * mebibyte - 3}-${5 * mebibyte + 2}`
    const range = await client.send(new GetObjectCommand({ Bucket, Key, Range: across }))
    assert.ok(
      whole.subarray(5 * mebibyte - 3, 5 * mebibyte + 3).equals(await range.Body!.transformToByteArray()),
    )
    const third = await client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 3 }))
    assert.ok(last.equals(await third.Body!.transformToByteArray()))
    assert.equal(third.PartsCount, 3)
  })

  test(`${kind}: what Complete refuses leaves the upload as it was`, async (t) => {
    const { s3, part, complete } = await begin(t, kind)
    const p1 = await part(1, Buffer.alloc(5 * mebibyte))
    const p2 = await part(2, Buffer.alloc(5 * mebibyte - 1))
    const p3 = await part(3, Buffer.alloc(10))
    await refuses(complete([p2, p1]), 'InvalidPartOrder')
    await refuses(complete([p1, p1]), 'InvalidPartOrder')
    await refuses(complete([{ ...p1, ETag: p3.ETag }]), 'InvalidPart')
    await refuses(complete([p1, { PartNumber: 7, ETag: p1.ETag }]), 'InvalidPart')
    await refuses(complete([p1, p2, p3]), 'EntityTooSmall')
    await refuses(complete([]), 'MalformedXML')
    await refuses(complete([p1, p3], { MpuObjectSize: 1 }), 'InvalidRequest', /x-amz-mp-object-size/)
    await refuses(part(0, Buffer.alloc(1)), 'InvalidArgument')
    await refuses(part(10_001, Buffer.alloc(1)), 'InvalidArgument')
    await refuses(
      part(2, Buffer.from('x'), { ContentMD5: createHash('md5').update('y').digest('base64') }),
      'BadDigest',
    )
    assert.deepEqual(await s3.stored.objects(), [])
    await complete([p1, p2], { MpuObjectSize: 10 * mebibyte - 1 })
  })

  test(`${kind}: abort; and an upload is of its own key only`, async (t) => {
    const { s3, client, UploadId, part, complete } = await begin(t, kind)
    const p1 = await part(1, Buffer.from('x'))
    const elsewhere = { Bucket, Key: 'other', UploadId }
    await refuses(
      client.send(new UploadPartCommand({ ...elsewhere, PartNumber: 1, Body: 'x' })),
      'NoSuchUpload',
    )
    await refuses(client.send(new ListPartsCommand(elsewhere)), 'NoSuchUpload')
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'films/' }))
    assert.deepEqual(
      Uploads?.map((upload) => [upload.Key, upload.UploadId]),
      [[Key, UploadId]],
    )
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
    await refuses(client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })), 'NoSuchUpload')
    await refuses(part(2, Buffer.from('x')), 'NoSuchUpload')
    await refuses(complete([p1]), 'NoSuchUpload')
    await refuses(
      client.send(new ListPartsCommand({ Bucket, Key, UploadId: '../../buckets' })),
      'NoSuchUpload',
    )
    assert.deepEqual(await s3.stored.unfinishedUploads(), [])
  })

  test(`${kind}: If-None-Match on Complete; of 8 in a race one wins`, async (t) => {
    const s3 = await run(t, { kind })
    const client = sdk(t, s3)
    const attempt = async (byte: number) => {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
      const { ETag } = await client.send(
        new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: Buffer.alloc(1000, byte) }),
      )
      const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] }
      await client.send(
        new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload, IfNoneMatch: '*' }),
      )
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, byte) => attempt(byte)))
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled')
    assert.equal(s3.counts.errors.PreconditionFailed, 7)
    assert.ok(Buffer.alloc(1000, winner).equals(await s3.stored.bytes(Key)))
    assert.equal((await s3.stored.unfinishedUploads()).length, 7)
  })

  test(`${kind}: checksums of multipart objects, composite and of the whole`, async (t) => {
    const bodies = [randomBytes(5 * mebibyte), randomBytes(333)]
    const whole = Buffer.concat(bodies)
    const composite = await begin(t, kind, { ChecksumAlgorithm: 'CRC32' })
    await refuses(composite.part(1, bodies[0]!), 'InvalidRequest', /Checksum Type mismatch/)
    const parts = [
      await composite.part(1, bodies[0]!, { ChecksumCRC32: base64Crc32(bodies[0]!) }),
      await composite.part(2, bodies[1]!, { ChecksumCRC32: base64Crc32(bodies[1]!) }),
    ]
    await refuses(composite.part(3, bodies[1]!, { ChecksumCRC32: base64Crc32(bodies[0]!) }), 'BadDigest')
    await refuses(
      composite.complete(parts.map(({ ETag, PartNumber }) => ({ ETag, PartNumber }))),
      'InvalidRequest',
      /missing for part 1/,
    )
    await refuses(
      composite.complete([parts[0]!, { ...parts[1], ChecksumCRC32: parts[0]!.ChecksumCRC32 }]),
      'InvalidPart',
    )
    await composite.complete(parts)
    const head = (client: typeof composite.client) =>
      client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }))
    const joined = base64Crc32(Buffer.concat(parts.map((part) => Buffer.from(part.ChecksumCRC32!, 'base64'))))
    const first = await head(composite.client)
    assert.deepEqual([first.ChecksumCRC32, first.ChecksumType], [`${joined}-2`, 'COMPOSITE'])

    const full = await begin(t, kind, { ChecksumAlgorithm: 'CRC64NVME', ChecksumType: 'FULL_OBJECT' })
    const fullParts = [await full.part(1, bodies[0]!), await full.part(2, bodies[1]!)]
    const crc = startChecksum('CRC64NVME')
    crc.update(whole)
    const expected = crc.digest().toString('base64')
    await refuses(full.complete(fullParts, { ChecksumCRC64NVME: 'AAAAAAAAAAA=' }), 'BadDigest')
    await full.complete(fullParts, { ChecksumCRC64NVME: expected })
    const second = await head(full.client)
    assert.deepEqual([second.ChecksumCRC64NVME, second.ChecksumType], [expected, 'FULL_OBJECT'])
  })
}

test('a checksum algorithm and a type that do not go together are refused', async (t) => {
  const client = sdk(t, await run(t))
  for (const [ChecksumAlgorithm, ChecksumType] of [
    ['SHA256', 'FULL_OBJECT'],
    ['CRC64NVME', 'COMPOSITE'],
  ] as const) {
    await refuses(
      client.send(new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm, ChecksumType })),
      'InvalidRequest',
    )
  }
})

test('parts can be copied from objects', async (t) => {
  const { s3, client, UploadId, complete } = await begin(t, 'memory')
  await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: '0123456789' }))
  const copied = await client.send(
    new UploadPartCopyCommand({
      Bucket,
      Key,
      UploadId,
      PartNumber: 1,
      CopySource: `${Bucket}/source`,
      CopySourceRange: 'bytes=2-4',
    }),
  )
  await complete([{ PartNumber: 1, ETag: copied.CopyPartResult?.ETag }])
  assert.equal(String(await s3.stored.bytes(Key)), '234')
})

test('profiles: equal parts, few parts, small parts, random and empty ETags', async (t) => {
  const r2 = await begin(t, 'memory', {}, { equalParts: true, multipartEtags: 'random', minPartBytes: 1 })
  const parts = [
    await r2.part(1, Buffer.alloc(10)),
    await r2.part(2, Buffer.alloc(9)),
    await r2.part(3, Buffer.alloc(9)),
    await r2.part(4, Buffer.alloc(11)),
  ]
  await refuses(r2.complete(parts.slice(0, 3)), 'InvalidPart', /same length/)
  await refuses(r2.complete([parts[0]!, parts[3]!]), 'InvalidPart', /same length/)
  const etag = (await r2.complete([parts[0]!, parts[2]!])).ETag!
  assert.match(etag, /^"[0-9a-f]{32}-2"$/)
  assert.equal((await r2.client.send(new HeadObjectCommand({ Bucket, Key }))).ETag, etag)
  r2.s3.profile.maxParts = 3
  await refuses(r2.part(4, Buffer.alloc(1)), 'InvalidArgument')

  const ceph = await begin(t, 'memory', {}, { emptyCompleteEtag: true })
  const { ETag } = await ceph.complete([await ceph.part(1, Buffer.from('x'))])
  assert.ok(!ETag)
  assert.match((await ceph.client.send(new HeadObjectCommand({ Bucket, Key }))).ETag!, /-1"$/)
})
