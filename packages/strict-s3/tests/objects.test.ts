import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3ServiceException,
} from '@aws-sdk/client-s3'
import { Bucket, kinds, run, sdk } from './running.ts'

const refuses = (work: Promise<unknown>, name: string, status: number) =>
  assert.rejects(work, (error: S3ServiceException) => {
    assert.equal(error.name, name)
    assert.equal(error.$metadata.httpStatusCode, status)
    return true
  })

for (const kind of kinds) {
  for (const checksums of ['WHEN_SUPPORTED', 'WHEN_REQUIRED'] as const) {
    test(`${kind}, SDK checksums ${checksums}: what is put comes back`, async (t) => {
      const s3 = await run(t, { kind })
      const client = sdk(t, s3, {
        requestChecksumCalculation: checksums,
        responseChecksumValidation: checksums,
      })
      const big = randomBytes(6_000_001)
      const bodies: [string, string | Buffer | Readable, Buffer][] = [
        ['empty', '', Buffer.alloc(0)],
        ['one byte', 'x', Buffer.from('x')],
        ['folder/ünï 中 😀 +&%=?#~\'"<>', 'text', Buffer.from('text')],
        ['//../a/./b//', 'dots', Buffer.from('dots')],
        ['big', big, big],
        ['streamed', Readable.from([big.subarray(0, 70_000), big.subarray(70_000)]), big],
      ]
      for (const [Key, Body, expected] of bodies) {
        const put = await client.send(
          new PutObjectCommand({
            Bucket,
            Key,
            Body,
            ContentLength: expected.length,
            ContentType: 'image/x-test',
            Metadata: { origin: 'here' },
          }),
        )
        assert.equal(put.ETag, `"${createHash('md5').update(expected).digest('hex')}"`, Key)
        const got = await client.send(new GetObjectCommand({ Bucket, Key }))
        assert.ok(expected.equals(await got.Body!.transformToByteArray()), Key)
        assert.equal(got.ContentType, 'image/x-test')
        assert.equal(got.ContentEncoding, undefined, 'aws-chunked is framing, not an encoding')
        assert.deepEqual(got.Metadata, { origin: 'here' })
        const head = await client.send(new HeadObjectCommand({ Bucket, Key }))
        assert.equal(head.ContentLength, expected.length)
      }
      assert.equal((await s3.stored.objects()).length, bodies.length)
    })
  }

  test(`${kind}: ranges`, async (t) => {
    const client = sdk(t, await run(t, { kind }))
    const body = randomBytes(600_000)
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: body }))
    for (const [Range, expected, contentRange] of [
      ['bytes=0-0', body.subarray(0, 1), 'bytes 0-0/600000'],
      ['bytes=5-299999', body.subarray(5, 300_000), 'bytes 5-299999/600000'],
      ['bytes=599999-', body.subarray(599_999), 'bytes 599999-599999/600000'],
      ['bytes=-3', body.subarray(-3), 'bytes 599997-599999/600000'],
      ['bytes=-9999999', body, 'bytes 0-599999/600000'],
      ['bytes=599990-9999999', body.subarray(599_990), 'bytes 599990-599999/600000'],
    ] as const) {
      const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k', Range }))
      assert.equal(got.$metadata.httpStatusCode, 206, Range)
      assert.equal(got.ContentRange, contentRange)
      assert.ok(expected.equals(await got.Body!.transformToByteArray()), Range)
    }
    for (const Range of ['bytes=5-4', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=x-']) {
      const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k', Range }))
      assert.equal(got.$metadata.httpStatusCode, 200, Range)
      assert.ok(body.equals(await got.Body!.transformToByteArray()))
    }
    for (const Range of ['bytes=600000-', 'bytes=600000-600001', 'bytes=-0']) {
      await refuses(client.send(new GetObjectCommand({ Bucket, Key: 'k', Range })), 'InvalidRange', 416)
    }
    await client.send(new PutObjectCommand({ Bucket, Key: 'empty', Body: '' }))
    await refuses(
      client.send(new GetObjectCommand({ Bucket, Key: 'empty', Range: 'bytes=0-0' })),
      'InvalidRange',
      416,
    )
  })

  test(`${kind}: conditions on reads and on writes`, async (t) => {
    const client = sdk(t, await run(t, { kind }))
    const put = (input: object) =>
      client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'one', ...input }))
    const get = (input: object) => client.send(new GetObjectCommand({ Bucket, Key: 'k', ...input }))
    await refuses(put({ IfMatch: '"abc"' }), 'NoSuchKey', 404)
    const { ETag } = await put({ IfNoneMatch: '*' })
    await refuses(put({ IfNoneMatch: '*' }), 'PreconditionFailed', 412)
    await refuses(put({ IfMatch: '"abc"' }), 'PreconditionFailed', 412)
    await refuses(put({ IfNoneMatch: ETag }), 'NotImplemented', 501)
    await put({ IfMatch: ETag, Body: 'two' })
    await refuses(put({ IfMatch: ETag }), 'PreconditionFailed', 412)

    const { ETag: now, LastModified } = await get({})
    const soon = new Date(LastModified!.getTime() + 10_000)
    const ago = new Date(LastModified!.getTime() - 10_000)
    assert.equal(await (await get({ IfMatch: now })).Body!.transformToString(), 'two')
    await refuses(get({ IfMatch: ETag }), 'PreconditionFailed', 412)
    await refuses(get({ IfUnmodifiedSince: ago }), 'PreconditionFailed', 412)
    await get({ IfMatch: now, IfUnmodifiedSince: ago })
    for (const condition of [
      { IfNoneMatch: now },
      { IfModifiedSince: LastModified },
      { IfModifiedSince: soon },
    ]) {
      await assert.rejects(
        get(condition),
        (error: S3ServiceException) => error.$metadata.httpStatusCode === 304,
      )
    }
    await get({ IfNoneMatch: ETag, IfModifiedSince: soon })
  })

  test(`${kind}: of 16 writers with If-None-Match one wins, and its bytes are there`, async (t) => {
    const s3 = await run(t, { kind })
    const client = sdk(t, s3)
    const bodies = Array.from({ length: 16 }, (_, at) => Buffer.alloc(100_000, at))
    const outcomes = await Promise.allSettled(
      bodies.map((Body) =>
        client.send(new PutObjectCommand({ Bucket, Key: 'race', Body, IfNoneMatch: '*' })),
      ),
    )
    const winners = bodies.filter((_, at) => outcomes[at]!.status === 'fulfilled')
    assert.equal(winners.length, 1)
    assert.ok(winners[0]!.equals(await s3.stored.bytes('race')))
    assert.equal(s3.counts.errors.PreconditionFailed, 15)
  })

  test(`${kind}: deletes`, async (t) => {
    const s3 = await run(t, { kind })
    const client = sdk(t, s3)
    const Keys = ['a', 'b/c', 'd&<>é']
    for (const Key of Keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'a' }))
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'a' }))
    await refuses(client.send(new GetObjectCommand({ Bucket, Key: 'a' })), 'NoSuchKey', 404)
    await refuses(client.send(new HeadObjectCommand({ Bucket, Key: 'a' })), 'NotFound', 404)
    const remove = (Objects: { Key: string }[], Quiet?: boolean) =>
      client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet } }))
    const { Deleted, Errors } = await remove([{ Key: 'd&<>é' }, { Key: 'never' }])
    assert.deepEqual(
      Deleted?.map(({ Key }) => Key),
      ['d&<>é', 'never'],
    )
    assert.equal(Errors, undefined)
    assert.deepEqual(
      (await s3.stored.objects()).map(({ key }) => key),
      ['b/c'],
    )

    s3.profile.denied = ['DeleteObject']
    await refuses(client.send(new DeleteObjectCommand({ Bucket, Key: 'b/c' })), 'AccessDenied', 403)
    const denied = await remove([{ Key: 'b/c' }])
    assert.deepEqual(
      denied.Errors?.map(({ Key, Code }) => [Key, Code]),
      [['b/c', 'AccessDenied']],
    )
    assert.equal(denied.Deleted, undefined)
    s3.profile.denied = []
    assert.equal((await remove([{ Key: 'b/c' }], true)).Deleted, undefined)
    assert.deepEqual(await s3.stored.objects(), [])
    const many = Array.from({ length: 1001 }, (_, at) => ({ Key: `k${at}` }))
    await refuses(remove(many), 'MalformedXML', 400)
    await remove(many.slice(1))
  })

  test(`${kind}: a copy lives apart from its source`, async (t) => {
    const s3 = await run(t, { kind })
    const client = sdk(t, s3)
    await client.send(
      new PutObjectCommand({
        Bucket,
        Key: 'a b+c',
        Body: 'bytes',
        ContentType: 'text/x',
        Metadata: { m: '1' },
      }),
    )
    const CopySource = `${Bucket}/${encodeURIComponent('a b+c')}`
    const copied = await client.send(
      new CopyObjectCommand({ Bucket, Key: 'copy', CopySource, StorageClass: 'STANDARD_IA' }),
    )
    assert.equal(copied.CopyObjectResult?.ETag, `"${createHash('md5').update('bytes').digest('hex')}"`)
    await s3.stored.tamper('copy')
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'copy' }))
    assert.equal(String(await s3.stored.bytes('a b+c')), 'bytes')
    await client.send(
      new CopyObjectCommand({
        Bucket,
        Key: 'other',
        CopySource,
        MetadataDirective: 'REPLACE',
        ContentType: 'text/y',
      }),
    )
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'a b+c' }))
    const got = await client.send(new GetObjectCommand({ Bucket, Key: 'other' }))
    assert.equal(await got.Body!.transformToString(), 'bytes')
    assert.deepEqual([got.ContentType, got.Metadata, got.StorageClass], ['text/y', {}, undefined])
    await refuses(client.send(new CopyObjectCommand({ Bucket, Key: 'x', CopySource })), 'NoSuchKey', 404)
    const self = new CopyObjectCommand({ Bucket, Key: 'other', CopySource: `${Bucket}/other` })
    await refuses(client.send(self), 'InvalidRequest', 400)
  })

  test(`${kind}: bytes can be spoilt behind the ETag`, async (t) => {
    const s3 = await run(t, { kind })
    // With its default, the SDK itself would notice.
    const client = sdk(t, s3, { responseChecksumValidation: 'WHEN_REQUIRED' })
    const put = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'abcdef' }))
    await s3.stored.tamper('k')
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }))
    assert.deepEqual([head.ETag, head.ContentLength], [put.ETag, 6])
    assert.notEqual(String(await s3.stored.bytes('k')), 'abcdef')
    await s3.stored.truncateStored('k', { size: 2 })
    const short = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }))
    assert.deepEqual([short.ETag, await short.Body!.transformToString()], [put.ETag, 'ab'])
    await s3.stored.vanish('k')
    await refuses(client.send(new GetObjectCommand({ Bucket, Key: 'k' })), 'NoSuchKey', 404)
  })
}
