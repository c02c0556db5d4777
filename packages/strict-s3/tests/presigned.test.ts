import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GetObjectCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { Bucket, run, sdk } from './running.ts'
import { md5Base64 } from './signed-request.ts'

const Key = 'users/ü/a b+c.jpg'

test("the SDK's presigned URLs: get with overrides and ranges, put bound to length and MD5", async (t) => {
  const s3 = await run(t)
  const client = sdk(t, s3, { requestChecksumCalculation: 'WHEN_REQUIRED' })
  const put = new PutObjectCommand({
    Bucket,
    Key,
    ContentLength: 5,
    ContentMD5: md5Base64('hello'),
    ContentType: 'image/jpeg',
  })
  const putUrl = await getSignedUrl(client, put, {
    expiresIn: 60,
    signableHeaders: new Set(['content-length', 'content-md5', 'content-type']),
    unhoistableHeaders: new Set(['content-md5']),
  })
  const headers = { 'content-md5': md5Base64('hello'), 'content-type': 'image/jpeg' }
  const send = async (
    body: string,
    extra: Record<string, string> = {},
  ): Promise<[number, string | undefined]> => {
    const answer = await fetch(putUrl, { method: 'PUT', body, headers: { ...headers, ...extra } })
    return [answer.status, /<Code>(.*)<\/Code>/.exec(await answer.text())?.[1]]
  }
  assert.deepEqual(await send('hello!'), [403, 'SignatureDoesNotMatch'])
  assert.deepEqual(await send('jello'), [400, 'BadDigest'])
  assert.deepEqual(await send('hello', { 'content-type': 'text/html' }), [403, 'SignatureDoesNotMatch'])
  assert.deepEqual(await s3.stored.objects(), [])
  assert.deepEqual(await send('hello'), [200, undefined])

  const get = new GetObjectCommand({
    Bucket,
    Key,
    ResponseContentType: 'application/octet-stream',
    ResponseContentDisposition: 'attachment; filename="x"',
  })
  const getUrl = await getSignedUrl(client, get, { expiresIn: 60 })
  const answer = await fetch(getUrl, { headers: { range: 'bytes=1-2' } })
  assert.deepEqual(
    [answer.status, await answer.text(), answer.headers.get('content-disposition')],
    [206, 'el', 'attachment; filename="x"'],
  )
  assert.equal((await fetch(getUrl, { headers: { authorization: 'Bearer x' } })).status, 400)
  assert.equal((await fetch(getUrl.replace('attachment', 'inline'))).status, 403)
})

test("the SDK's default signs the checksum of an empty body into a presigned put: real bytes are refused", async (t) => {
  const s3 = await run(t)
  const client = sdk(t, s3)
  const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key }), { expiresIn: 60 })
  const answer = await fetch(url, { method: 'PUT', body: 'hello' })
  assert.deepEqual([answer.status, /<Code>(.*)<\/Code>/.exec(await answer.text())?.[1]], [400, 'BadDigest'])
  const part = new UploadPartCommand({ Bucket, Key, UploadId: 'x', PartNumber: 1 })
  assert.equal((await fetch(await getSignedUrl(client, part), { method: 'PUT', body: 'x' })).status, 404)
})
