import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CopyObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  RestoreObjectCommand,
  type Tier,
} from '@aws-sdk/client-s3'
import { Bucket, kinds, run, sdk } from './running.ts'

const refuses = (work: Promise<unknown>, name: string, status: number) =>
  assert.rejects(
    work,
    (error: Error & { $metadata?: { httpStatusCode?: number } }) =>
      error.name === name && error.$metadata?.httpStatusCode === status,
  )

const HOUR_MS = 3_600_000

const restore = (Key: string, tier: Tier, Days = 2) =>
  new RestoreObjectCommand({
    Bucket,
    Key,
    RestoreRequest: { Days, GlacierJobParameters: { Tier: tier } },
  })

for (const kind of kinds) {
  test(`${kind}: an archived object is seen but not read until it was restored, and again after that`, async (t) => {
    const s3 = await run(t, { kind, clock: () => new Date('2026-03-01T10:00:00Z') })
    const client = sdk(t, s3, { systemClockOffset: Date.parse('2026-03-01T10:00:00Z') - Date.now() })
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'bytes', StorageClass: 'GLACIER' }))
    const head = async () => client.send(new HeadObjectCommand({ Bucket, Key: 'k' }))
    const get = () => client.send(new GetObjectCommand({ Bucket, Key: 'k' }))
    const copy = () => client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/k` }))
    const found = await head()
    assert.deepEqual([found.StorageClass, found.Restore, found.ContentLength], ['GLACIER', undefined, 5])
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }))
    assert.equal(Contents?.[0]?.StorageClass, 'GLACIER')
    await refuses(get(), 'InvalidObjectState', 403)
    await refuses(copy(), 'InvalidObjectState', 403)

    const begun = await client.send(restore('k', 'Standard'))
    assert.equal(begun.$metadata.httpStatusCode, 202)
    assert.equal((await head()).Restore, 'ongoing-request="true"')
    await refuses(client.send(restore('k', 'Standard')), 'RestoreAlreadyInProgress', 409)
    await refuses(get(), 'InvalidObjectState', 403)

    s3.profile.archiveClockAheadMs = 5 * HOUR_MS
    assert.equal(
      (await head()).Restore,
      'ongoing-request="false", expiry-date="Wed, 04 Mar 2026 00:00:00 GMT"',
    )
    assert.equal(await (await get()).Body!.transformToString(), 'bytes')
    await copy()
    const longer = await client.send(restore('k', 'Standard', 5))
    assert.equal(longer.$metadata.httpStatusCode, 200)
    assert.match((await head()).Restore!, /07 Mar 2026/)

    s3.profile.archiveClockAheadMs = 6 * 24 * HOUR_MS
    assert.equal((await head()).Restore, undefined)
    await refuses(get(), 'InvalidObjectState', 403)
  })
}

test('only an archived object is restored, by an option that its class has', async (t) => {
  const s3 = await run(t)
  const client = sdk(t, s3)
  await client.send(new PutObjectCommand({ Bucket, Key: 'warm', Body: 'x', StorageClass: 'GLACIER_IR' }))
  await client.send(new PutObjectCommand({ Bucket, Key: 'deep', Body: 'x', StorageClass: 'DEEP_ARCHIVE' }))
  await refuses(client.send(restore('warm', 'Standard')), 'InvalidObjectState', 403)
  await refuses(client.send(restore('deep', 'Expedited')), 'InvalidArgument', 400)
  await refuses(client.send(restore('deep', 'Bulk', 0)), 'MalformedXML', 400)
  await refuses(client.send(restore('none', 'Bulk')), 'NoSuchKey', 404)
  assert.equal((await client.send(restore('deep', 'Bulk'))).$metadata.httpStatusCode, 202)
})

test('copies can be made to hold other bytes, or to keep the class of their source', async (t) => {
  const s3 = await run(t, { profile: { copyDamages: true, copyKeepsClass: true } })
  const client = sdk(t, s3)
  const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'bytes' }))
  const copied = await client.send(
    new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/k`, StorageClass: 'STANDARD_IA' }),
  )
  assert.notEqual(copied.CopyObjectResult?.ETag, ETag)
  assert.notEqual(String(await s3.stored.bytes('copy')), 'bytes')
  assert.equal(String(await s3.stored.bytes('k')), 'bytes')
  assert.equal((await s3.stored.objects()).find(({ key }) => key === 'copy')?.storageClass, 'STANDARD')
})
