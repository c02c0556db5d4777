import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import type { StrictProfile } from '../src/profiles.ts'
import { Bucket, kinds, run, sdk } from './running.ts'
import { sendSigned } from './signed-request.ts'

const Key = 'k'
const md5 = (bytes: Buffer | string) => createHash('md5').update(bytes).digest('hex')
/** As the SDK sends it; it adds the MD5 by itself. */
const customer = (key: Buffer) => ({ SSECustomerAlgorithm: 'AES256', SSECustomerKey: key.toString('base64') })
const ofSource = (key: Buffer) => ({
  CopySourceSSECustomerAlgorithm: 'AES256',
  CopySourceSSECustomerKey: key.toString('base64'),
})
const [key, otherKey] = [randomBytes(32), randomBytes(32)]

const refuses = (work: Promise<unknown>, status: number, name?: string, words?: RegExp) =>
  assert.rejects(work, (error: Error & { $metadata?: { httpStatusCode?: number } }) => {
    assert.equal(error.$metadata?.httpStatusCode, status, String(error))
    if (name !== undefined) assert.equal(error.name, name)
    if (words !== undefined) assert.match(error.message, words)
    return true
  })

async function start(t: TestContext, profile: Partial<StrictProfile> = {}, kind?: (typeof kinds)[number]) {
  const s3 = await run(t, { ...(kind && { kind }), profile: { minPartBytes: 10, ...profile } })
  return { s3, client: sdk(t, s3) }
}
const bytesOf = async (client: S3Client, more: object = {}) =>
  (await client.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body!.transformToString()

for (const kind of kinds) {
  test(`${kind}: what a customer's key was given for is read with that key, and with no other`, async (t) => {
    const { client } = await start(t, {}, kind)
    const put = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'secret', ...customer(key) }))
    assert.equal(put.SSECustomerAlgorithm, 'AES256')
    assert.equal(put.SSECustomerKeyMD5, createHash('md5').update(key).digest('base64'))
    assert.equal(put.ServerSideEncryption, undefined)
    assert.notEqual(put.ETag, `"${md5('secret')}"`)
    const head = await client.send(new HeadObjectCommand({ Bucket, Key, ...customer(key) }))
    assert.equal(head.SSECustomerKeyMD5, put.SSECustomerKeyMD5)
    assert.equal(await bytesOf(client, customer(key)), 'secret')
    await refuses(bytesOf(client), 400, 'InvalidRequest', /correct parameters must be provided/)
    await refuses(bytesOf(client, customer(otherKey)), 403, 'AccessDenied')
    await refuses(client.send(new HeadObjectCommand({ Bucket, Key })), 400)
    await refuses(client.send(new HeadObjectCommand({ Bucket, Key, ...customer(otherKey) })), 403)
  })
}

test('a key is refused for an object that was put without one', async (t) => {
  const { client } = await start(t)
  const put = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'plain' }))
  assert.equal(put.ServerSideEncryption, 'AES256')
  assert.equal(put.ETag, `"${md5('plain')}"`)
  await refuses(bytesOf(client, customer(key)), 400, 'InvalidRequest', /not applicable/)
  await refuses(client.send(new HeadObjectCommand({ Bucket, Key, ...customer(key) })), 400)
  const absent = new HeadObjectCommand({ Bucket, Key: 'absent', ...customer(key) })
  await refuses(client.send(absent), 404)
})

test('half a key, a wrong one and a wrong MD5 are refused, each with its reason', async (t) => {
  const { s3 } = await start(t)
  const header = (field: string) => `x-amz-server-side-encryption-customer-${field}`
  const right = {
    [header('algorithm')]: 'AES256',
    [header('key')]: key.toString('base64'),
    [header('key-md5')]: createHash('md5').update(key).digest('base64'),
  }
  const answer = async (headers: Record<string, string | undefined>) => {
    const given = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined)
    const got = await sendSigned(s3.endpoint, {
      method: 'PUT',
      path: `/${Bucket}/${Key}`,
      headers: Object.fromEntries(given),
      body: Buffer.from('x'),
    })
    return `${got.status} ${got.code ?? ''} ${/<Message>(.*?)<\/Message>/.exec(got.text)?.[1] ?? ''}`
  }
  assert.match(await answer(right), /^200/)
  assert.match(
    await answer({ ...right, [header('algorithm')]: undefined }),
    /^400 InvalidArgument .*algorithm/,
  )
  assert.match(
    await answer({ ...right, [header('algorithm')]: 'DES' }),
    /^400 InvalidEncryptionAlgorithmError/,
  )
  assert.match(await answer({ ...right, [header('key')]: undefined }), /^400 InvalidArgument .*secret key/)
  assert.match(
    await answer({ ...right, [header('key')]: 'c2hvcnQ=' }),
    /^400 InvalidArgument .*secret key was invalid/,
  )
  assert.match(await answer({ ...right, [header('key-md5')]: undefined }), /^400 InvalidArgument .*MD5/)
  const wrongMd5 = createHash('md5').update(otherKey).digest('base64')
  assert.match(
    await answer({ ...right, [header('key-md5')]: wrongMd5 }),
    /^400 InvalidArgument .*did not match/,
  )
  const both = { ...right, 'x-amz-server-side-encryption': 'AES256' }
  assert.match(await answer(both), /^400 InvalidArgument .*incompatible/)
})

test('KMS: the key is named again, and the ETag says nothing', async (t) => {
  const { client } = await start(t)
  const asked = {
    ServerSideEncryption: 'aws:kms',
    SSEKMSKeyId: 'arn:aws:kms:eu-central-1:1:key/a',
    SSEKMSEncryptionContext: Buffer.from('{"for":"photos"}').toString('base64'),
    BucketKeyEnabled: true,
  } as const
  const put = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...asked }))
  assert.deepEqual(
    [put.ServerSideEncryption, put.SSEKMSKeyId, put.BucketKeyEnabled],
    ['aws:kms', asked.SSEKMSKeyId, true],
  )
  assert.notEqual(put.ETag, `"${md5('x')}"`)
  const head = await client.send(new HeadObjectCommand({ Bucket, Key }))
  assert.deepEqual([head.ServerSideEncryption, head.SSEKMSKeyId], ['aws:kms', asked.SSEKMSKeyId])
  assert.equal(await bytesOf(client), 'x')
  const noContext = { ...asked, SSEKMSEncryptionContext: 'photos' }
  await refuses(client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...noContext })), 400)
  const withoutKms = { SSEKMSKeyId: 'a' }
  await refuses(client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...withoutKms })), 400)
  const unknown = { ServerSideEncryption: 'rot13' as 'AES256' }
  await refuses(client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...unknown })), 400)
})

test('reading takes no header that says how to encrypt', async (t) => {
  const { s3, client } = await start(t)
  await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))
  const headers = { 'x-amz-server-side-encryption': 'AES256' }
  const got = await sendSigned(s3.endpoint, { method: 'GET', path: `/${Bucket}/${Key}`, headers })
  assert.equal(got.status, 400)
})

test('each part names the key that the upload was begun with, and its ETag says nothing', async (t) => {
  const { client } = await start(t)
  const at = { Bucket, Key }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...at, ...customer(key) }))
  const part = (more: object) =>
    client.send(new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: 'ten bytes.', ...more }))
  await refuses(part({}), 400, 'InvalidRequest', /must include the appropriate/)
  await refuses(part(customer(otherKey)), 400, 'InvalidRequest', /did not match/)
  const { ETag } = await part(customer(key))
  assert.notEqual(ETag, `"${md5('ten bytes.')}"`)
  await client.send(new ListPartsCommand({ ...at, UploadId }))
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
  const complete = (more: object) =>
    client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload, ...more }))
  await refuses(complete(customer(otherKey)), 400, 'InvalidRequest')
  await complete(customer(key))
  assert.equal(await bytesOf(client, customer(key)), 'ten bytes.')
  await refuses(bytesOf(client), 400)

  const plain = await client.send(new CreateMultipartUploadCommand(at))
  const given = { ...at, UploadId: plain.UploadId, PartNumber: 1, Body: 'x', ...customer(key) }
  await refuses(client.send(new UploadPartCommand(given)), 400, 'InvalidRequest', /did not request/)
})

test('a copy needs the key of its source, and is encrypted as its own headers say', async (t) => {
  const { client } = await start(t)
  await client.send(new PutObjectCommand({ Bucket, Key, Body: 'secret', ...customer(key) }))
  const copy = { Bucket, Key: 'copy', CopySource: `${Bucket}/${Key}` }
  await refuses(client.send(new CopyObjectCommand(copy)), 400)
  await refuses(client.send(new CopyObjectCommand({ ...copy, ...ofSource(otherKey) })), 403)
  await client.send(new CopyObjectCommand({ ...copy, ...ofSource(key) }))
  const open = await client.send(new HeadObjectCommand({ Bucket, Key: 'copy' }))
  assert.equal(open.ETag, `"${md5('secret')}"`)
  await client.send(new CopyObjectCommand({ ...copy, ...ofSource(key), ...customer(otherKey) }))
  await refuses(client.send(new HeadObjectCommand({ Bucket, Key: 'copy' })), 400)
  await client.send(new HeadObjectCommand({ Bucket, Key: 'copy', ...customer(otherKey) }))

  const at = { Bucket, Key: 'parts' }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...at, ...customer(otherKey) }))
  const part = { ...at, UploadId, PartNumber: 1, CopySource: `${Bucket}/${Key}` }
  await refuses(client.send(new UploadPartCopyCommand({ ...part, ...customer(otherKey) })), 400)
  await client.send(new UploadPartCopyCommand({ ...part, ...ofSource(key), ...customer(otherKey) }))
})

test('characters: headers are read over, any key opens, and a key for plain bytes does no harm', async (t) => {
  const ignoring = await start(t, { ignoresEncryption: true })
  const asked = { ServerSideEncryption: 'AES256' } as const
  const put = await ignoring.client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...asked }))
  assert.equal(put.ServerSideEncryption, undefined)
  const ignored = await ignoring.client.send(
    new PutObjectCommand({ Bucket, Key, Body: 'x', ...customer(key) }),
  )
  assert.equal(ignored.SSECustomerAlgorithm, undefined)
  assert.equal(await bytesOf(ignoring.client), 'x')

  const swift = await start(t, { ignoresCustomerKeys: true })
  await swift.client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...customer(key) }))
  assert.equal(await bytesOf(swift.client), 'x')

  const careless = await start(t, { opensWithAnyKey: true, readsPlainWithKey: true })
  await careless.client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...customer(key) }))
  assert.equal(await bytesOf(careless.client, customer(otherKey)), 'x')
  await careless.client.send(new PutObjectCommand({ Bucket, Key, Body: 'y' }))
  assert.equal(await bytesOf(careless.client, customer(otherKey)), 'y')
})
