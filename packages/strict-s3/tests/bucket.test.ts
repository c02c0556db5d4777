import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketLifecycleCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketLocationCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  type LifecycleRule,
  ListBucketsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { profiles } from '../src/profiles.ts'
import { Bucket, kinds, run, sdk } from './running.ts'
import { sendSigned } from './signed-request.ts'

for (const kind of kinds) {
  test(`${kind}: buckets come and go`, async (t) => {
    const s3 = await run(t, { kind, region: 'eu-central-1' })
    const client = sdk(t, s3, { region: 'eu-central-1' })
    await client.send(
      new CreateBucketCommand({
        Bucket: 'second',
        CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' },
      }),
    )
    await assert.rejects(client.send(new CreateBucketCommand({ Bucket: 'second' })), {
      name: 'BucketAlreadyOwnedByYou',
    })
    await assert.rejects(client.send(new CreateBucketCommand({ Bucket: 'UPPER' })), {
      name: 'InvalidBucketName',
    })
    const { Buckets } = await client.send(new ListBucketsCommand({}))
    assert.deepEqual(Buckets?.map(({ Name }) => Name).sort(), ['photos', 'second'])
    assert.equal(
      (await client.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint,
      'eu-central-1',
    )
    assert.equal((await client.send(new HeadBucketCommand({ Bucket }))).BucketRegion, 'eu-central-1')
    await client.send(new PutObjectCommand({ Bucket: 'second', Key: 'a/b', Body: '' }))
    await assert.rejects(client.send(new DeleteBucketCommand({ Bucket: 'second' })), {
      name: 'BucketNotEmpty',
    })
    await client.send(new DeleteObjectCommand({ Bucket: 'second', Key: 'a/b' }))
    await client.send(new DeleteBucketCommand({ Bucket: 'second' }))
    await assert.rejects(client.send(new HeadBucketCommand({ Bucket: 'second' })), { name: 'NotFound' })
  })

  test(`${kind}: versions, delete markers, deletes by version`, async (t) => {
    const s3 = await run(t, { kind })
    const client = sdk(t, s3)
    const put = (Body: string) => client.send(new PutObjectCommand({ Bucket, Key: 'k', Body }))
    const get = async (VersionId?: string) =>
      (await client.send(new GetObjectCommand({ Bucket, Key: 'k', VersionId }))).Body!.transformToString()
    const status = async () => (await client.send(new GetBucketVersioningCommand({ Bucket }))).Status
    const remove = (VersionId?: string) =>
      client.send(new DeleteObjectCommand({ Bucket, Key: 'k', VersionId }))
    assert.equal(await status(), undefined)
    assert.equal((await put('zero')).VersionId, undefined)
    await client.send(
      new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    )
    assert.equal(await status(), 'Enabled')
    const one = await put('one')
    const two = await put('two')
    assert.equal(await get(), 'two')
    assert.equal(await get(one.VersionId), 'one')
    assert.equal(await get('null'), 'zero')
    await assert.rejects(get('nonsense'), { name: 'NoSuchVersion' })

    const marker = await remove()
    assert.equal(marker.DeleteMarker, true)
    await assert.rejects(get(), { name: 'NoSuchKey' })
    assert.equal((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0)
    assert.equal(await get(two.VersionId), 'two')
    await assert.rejects(get(marker.VersionId), { name: 'MethodNotAllowed' })
    const listed = await client.send(new ListObjectVersionsCommand({ Bucket }))
    assert.deepEqual(
      listed.Versions?.map(({ VersionId, IsLatest, Size }) => [VersionId, IsLatest, Size]),
      [
        [two.VersionId, false, 3],
        [one.VersionId, false, 3],
        ['null', false, 4],
      ],
    )
    assert.deepEqual(
      listed.DeleteMarkers?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest]),
      [[marker.VersionId, true]],
    )
    await remove(marker.VersionId)
    assert.equal(await get(), 'two')
    s3.profile.denied = ['DeleteObjectVersion']
    await assert.rejects(remove(two.VersionId), { name: 'AccessDenied' })
    s3.profile.denied = []
    await remove(two.VersionId)
    assert.equal(await get(), 'one')

    await client.send(
      new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } }),
    )
    await put('three')
    await assert.doesNotReject(get(one.VersionId))
    assert.deepEqual(
      (await s3.stored.versions()).map(({ version }) => version.versionId),
      ['null', one.VersionId],
    )
    await assert.rejects(client.send(new DeleteBucketCommand({ Bucket })), { name: 'BucketNotEmpty' })
    const { Deleted } = await client.send(
      new DeleteObjectsCommand({
        Bucket,
        Delete: {
          Objects: [
            { Key: 'k', VersionId: 'null' },
            { Key: 'k', VersionId: one.VersionId },
          ],
        },
      }),
    )
    assert.equal(Deleted?.length, 2)
    assert.deepEqual(await s3.stored.versions(), [])
  })
}

test('B2: a plain delete hides, the bytes stay until a delete by version', async (t) => {
  const s3 = await run(t, { profile: profiles.b2 })
  const client = sdk(t, s3, { requestChecksumCalculation: 'WHEN_REQUIRED' })
  const { VersionId } = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'bytes' }))
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }))
  assert.deepEqual(await s3.stored.objects(), [])
  assert.equal((await s3.stored.versions()).length, 2)
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k', VersionId }))
  assert.equal((await s3.stored.versions()).filter(({ version }) => !version.deleteMarker).length, 0)
  assert.equal((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status, 'Enabled')
})

test('lifecycle rules are checked, kept and given back', async (t) => {
  const client = sdk(t, await run(t))
  const get = () => client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))
  await assert.rejects(get(), { name: 'NoSuchLifecycleConfiguration' })
  const Rules: LifecycleRule[] = [
    {
      ID: 'tidy',
      Status: 'Enabled',
      Filter: { Prefix: 'a&b/' },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
    },
    {
      ID: 'old',
      Status: 'Disabled',
      Filter: { Prefix: '' },
      Expiration: { Days: 30 },
      NoncurrentVersionExpiration: { NoncurrentDays: 1 },
    },
  ]
  const put = (rules: LifecycleRule[]) =>
    client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules: rules } }),
    )
  await put(Rules)
  const { Rules: kept } = await get()
  assert.deepEqual(JSON.parse(JSON.stringify(kept)), Rules)
  await assert.rejects(put([{ ...Rules[0]!, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 0 } }]), {
    name: 'MalformedXML',
  })
  await assert.rejects(put([]), { name: 'MalformedXML' })
  await client.send(new DeleteBucketLifecycleCommand({ Bucket }))
  await assert.rejects(get(), { name: 'NoSuchLifecycleConfiguration' })
})

test('XML that is none, and a DeleteObjects that says not what it sends, are refused', async (t) => {
  const s3 = await run(t)
  const post = (body: string, headers: Record<string, string> = {}) =>
    sendSigned(s3.endpoint, { method: 'POST', path: '/photos', query: { delete: '' }, body, headers })
  const right = '<Delete><Object><Key>k</Key></Object></Delete>'
  const refused = await post(right)
  assert.deepEqual([refused.status, refused.code], [400, 'InvalidRequest'])
  assert.match(refused.text, /Missing required header for this request: Content-MD5/)
  const md5 = (body: string) => ({ 'content-md5': createHash('md5').update(body).digest('base64') })
  for (const body of ['', '<Delete>', '<Other/>', '<Delete></Delete>', 'nonsense']) {
    assert.equal((await post(body, md5(body))).code, 'MalformedXML', body)
  }
  assert.equal((await post(right, md5(right))).status, 200)
})
