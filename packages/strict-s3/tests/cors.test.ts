import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  DeleteBucketCorsCommand,
  GetBucketCorsCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { Bucket, run, sdk } from './running.ts'
import { presign, send, sendUrl } from './signed-request.ts'

test('preflights and answers follow the rules of the bucket', async (t) => {
  const s3 = await run(t)
  const client = sdk(t, s3)
  const preflight = (headers: Record<string, string>) =>
    send(s3.endpoint, {
      method: 'OPTIONS',
      url: '/photos/k?x=y',
      headers: { host: `127.0.0.1:${s3.port}`, ...headers },
    })
  const origin = 'https://photos.example'
  const put = {
    origin,
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'content-md5, Content-Type',
  }
  assert.deepEqual([(await preflight(put)).status, (await preflight(put)).code], [403, 'AccessForbidden'])
  await assert.rejects(client.send(new GetBucketCorsCommand({ Bucket })), { name: 'NoSuchCORSConfiguration' })

  const CORSRules = [
    {
      AllowedOrigins: ['https://*.example'],
      AllowedMethods: ['PUT', 'GET'],
      AllowedHeaders: ['content-*'],
      ExposeHeaders: ['ETag'],
      MaxAgeSeconds: 600,
    },
    { AllowedOrigins: ['*'], AllowedMethods: ['HEAD'], AllowedHeaders: [] },
  ]
  await client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }))
  const kept = await client.send(new GetBucketCorsCommand({ Bucket }))
  assert.deepEqual(
    kept.CORSRules?.map((rule) => rule.AllowedOrigins),
    [['https://*.example'], ['*']],
  )

  const allowed = await preflight(put)
  assert.equal(allowed.status, 200)
  assert.equal(allowed.headers['access-control-allow-origin'], origin)
  assert.equal(allowed.headers['access-control-allow-methods'], 'PUT, GET')
  assert.equal(allowed.headers['access-control-allow-headers'], 'content-md5, Content-Type')
  assert.equal(allowed.headers['access-control-expose-headers'], 'ETag')
  assert.equal(allowed.headers['access-control-max-age'], '600')
  for (const wrong of [
    { ...put, origin: 'https://photos.example.evil' },
    { ...put, 'access-control-request-method': 'DELETE' },
    { ...put, 'access-control-request-headers': 'x-amz-meta-a' },
  ]) {
    assert.equal((await preflight(wrong)).code, 'AccessForbidden')
  }
  assert.equal((await preflight({ origin })).code, 'BadRequest')
  assert.equal(
    (await preflight({ origin: 'http://other', 'access-control-request-method': 'HEAD' })).headers[
      'access-control-allow-origin'
    ],
    '*',
  )

  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }))
  const url = presign(s3.endpoint, { path: '/photos/k' })
  const got = await sendUrl(url, { headers: { origin } })
  assert.deepEqual(
    [got.status, got.headers['access-control-allow-origin'], got.headers['access-control-expose-headers']],
    [200, origin, 'ETag'],
  )
  assert.match(String(got.headers.vary), /Origin/)
  const missing = await sendUrl(presign(s3.endpoint, { path: '/photos/nothing' }), { headers: { origin } })
  assert.deepEqual([missing.status, missing.headers['access-control-allow-origin']], [404, origin])
  assert.equal(
    (await sendUrl(url, { headers: { origin: 'http://other' } })).headers['access-control-allow-origin'],
    undefined,
  )
  assert.equal((await sendUrl(url)).headers['access-control-allow-origin'], undefined)

  await client.send(new DeleteBucketCorsCommand({ Bucket }))
  assert.equal((await preflight(put)).status, 403)
})

test('rules that no browser could use are refused', async (t) => {
  const client = sdk(t, await run(t))
  const rule = { AllowedOrigins: ['*'], AllowedMethods: ['GET'] }
  for (const wrong of [
    { AllowedMethods: ['PATCH'] },
    { AllowedOrigins: ['*.*'] },
    { ExposeHeaders: ['*'] },
  ]) {
    const CORSConfiguration = { CORSRules: [{ ...rule, ...wrong }] }
    await assert.rejects(client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration })), {
      name: 'InvalidRequest',
    })
  }
})
