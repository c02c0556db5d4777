import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { Bucket, kinds, run, sdk } from './running.ts'

const refuses = (work: Promise<unknown>, name: string, status: number) =>
  assert.rejects(
    work,
    (error: Error & { $metadata?: { httpStatusCode?: number } }) =>
      error.name === name && error.$metadata?.httpStatusCode === status,
  )

const DAY_MS = 24 * 3_600_000
const Key = 'k'

/** A server with a locked bucket whose clock the test sets, and a client that follows it. */
async function locked(t: TestContext, options: Parameters<typeof run>[1] = {}) {
  let aheadMs = 0
  const s3 = await run(t, { objectLock: true, clock: () => new Date(Date.now() + aheadMs), ...options })
  const client = sdk(t, s3)
  return {
    s3,
    client,
    inDays: (days: number) => new Date(Math.ceil(Date.now() / 1000) * 1000 + days * DAY_MS),
    pass(days: number) {
      aheadMs += days * DAY_MS
      client.config.systemClockOffset = aheadMs
    },
  }
}

for (const kind of kinds) {
  test(`${kind}: a version under retention can be hidden, and not removed before its time`, async (t) => {
    const { client, inDays, pass } = await locked(t, { kind })
    const until = inDays(3)
    const lock = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: until } as const
    const { VersionId } = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'kept', ...lock }))
    const head = await client.send(new HeadObjectCommand({ Bucket, Key }))
    assert.deepEqual(
      [head.ObjectLockMode, head.ObjectLockRetainUntilDate, head.VersionId],
      ['GOVERNANCE', until, VersionId],
    )
    await refuses(client.send(new DeleteObjectCommand({ Bucket, Key, VersionId })), 'AccessDenied', 403)
    const { Errors } = await client.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key, VersionId }] } }),
    )
    assert.deepEqual(
      Errors?.map(({ Code }) => Code),
      ['AccessDenied'],
    )

    const { DeleteMarker, VersionId: marker } = await client.send(new DeleteObjectCommand({ Bucket, Key }))
    assert.equal(DeleteMarker, true)
    await refuses(client.send(new GetObjectCommand({ Bucket, Key })), 'NoSuchKey', 404)
    const hidden = await client.send(new GetObjectCommand({ Bucket, Key, VersionId }))
    assert.equal(await hidden.Body!.transformToString(), 'kept')
    await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId: marker }))
    await client.send(new GetObjectCommand({ Bucket, Key }))

    pass(4)
    await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }))
    const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }))
    assert.deepEqual([...Versions, ...DeleteMarkers], [])
  })
}

test('governance is bypassed by those who may and say so, compliance by nobody', async (t) => {
  const { s3, client, inDays } = await locked(t)
  const put = async (mode: 'GOVERNANCE' | 'COMPLIANCE') => {
    const lock = { ObjectLockMode: mode, ObjectLockRetainUntilDate: inDays(3) } as const
    return (await client.send(new PutObjectCommand({ Bucket, Key, Body: mode, ...lock }))).VersionId
  }
  const bypass = (VersionId: string | undefined) =>
    client.send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention: true }))
  const [governed, compliant] = [await put('GOVERNANCE'), await put('COMPLIANCE')]
  await refuses(bypass(compliant), 'AccessDenied', 403)
  s3.profile.denied = ['s3:BypassGovernanceRetention']
  await refuses(bypass(governed), 'AccessDenied', 403)
  s3.profile.denied = []
  await bypass(governed)
})

test('a retention becomes longer, never shorter', async (t) => {
  const { client, inDays } = await locked(t)
  const lock = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: inDays(3) } as const
  await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...lock }))
  const retain = (days: number, Mode: 'GOVERNANCE' | 'COMPLIANCE' = 'COMPLIANCE') =>
    client.send(
      new PutObjectRetentionCommand({ Bucket, Key, Retention: { Mode, RetainUntilDate: inDays(days) } }),
    )
  await retain(10)
  await refuses(retain(2), 'AccessDenied', 403)
  await refuses(retain(20, 'GOVERNANCE'), 'AccessDenied', 403)
  await refuses(retain(-1), 'InvalidArgument', 400)
  const { Retention } = await client.send(new GetObjectRetentionCommand({ Bucket, Key }))
  assert.equal(Retention?.Mode, 'COMPLIANCE')
  assert.ok(Retention!.RetainUntilDate! > inDays(9))
})

test('a legal hold stands until it is taken back', async (t) => {
  const { client } = await locked(t)
  const { VersionId } = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))
  const hold = (Status: 'ON' | 'OFF') =>
    client.send(new PutObjectLegalHoldCommand({ Bucket, Key, LegalHold: { Status } }))
  const remove = () => client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }))
  await hold('ON')
  assert.equal((await client.send(new HeadObjectCommand({ Bucket, Key }))).ObjectLockLegalHoldStatus, 'ON')
  await refuses(remove(), 'AccessDenied', 403)
  await hold('OFF')
  await remove()
})

test('parts and copies are locked as their requests say', async (t) => {
  const { client, inDays } = await locked(t)
  const lock = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: inDays(3) } as const
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...lock }))
  const part = { Bucket, Key, UploadId, PartNumber: 1, Body: 'part' }
  const { ETag } = await client.send(new UploadPartCommand(part))
  await client.send(
    new CompleteMultipartUploadCommand({
      Bucket,
      Key,
      UploadId,
      MultipartUpload: { Parts: [{ ETag, PartNumber: 1 }] },
    }),
  )
  const modeOf = async (key: string) =>
    (await client.send(new HeadObjectCommand({ Bucket, Key: key }))).ObjectLockMode
  assert.equal(await modeOf(Key), 'GOVERNANCE')
  await client.send(new CopyObjectCommand({ Bucket, Key: 'free', CopySource: `${Bucket}/${Key}` }))
  assert.equal(await modeOf('free'), undefined)
  await client.send(new CopyObjectCommand({ Bucket, Key: 'kept', CopySource: `${Bucket}/${Key}`, ...lock }))
  assert.equal(await modeOf('kept'), 'GOVERNANCE')
})

test('what is locked needs a digest, a whole lock, and a bucket that has it', async (t) => {
  const { s3, client, inDays } = await locked(t)
  const bare = sdk(t, s3, { requestChecksumCalculation: 'WHEN_REQUIRED' })
  bare.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      for (const name of Object.keys(headers)) if (/checksum/.test(name)) delete headers[name]
      return next(args)
    },
    { step: 'build', priority: 'low' },
  )
  const lock = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: inDays(3) } as const
  const put = (more: object) => new PutObjectCommand({ Bucket, Key, Body: 'x', ...more })
  await refuses(bare.send(put(lock)), 'InvalidRequest', 400)
  await refuses(client.send(put({ ObjectLockMode: 'GOVERNANCE' })), 'InvalidArgument', 400)
  await refuses(client.send(put({ ...lock, ObjectLockRetainUntilDate: inDays(-1) })), 'InvalidArgument', 400)
  await client.send(new CreateBucketCommand({ Bucket: 'without' }))
  await refuses(client.send(put({ ...lock, Bucket: 'without' })), 'InvalidRequest', 400)
  s3.profile.denied = ['PutObjectRetention']
  await refuses(client.send(put(lock)), 'AccessDenied', 403)
  await client.send(put({}))
  s3.profile.denied = ['GetObjectRetention']
  await refuses(client.send(new GetObjectRetentionCommand({ Bucket, Key })), 'AccessDenied', 403)
})

test('a bucket gets Object Lock when it is versioned, keeps both, and locks by default where it is told to', async (t) => {
  const { client, inDays } = await locked(t)
  await client.send(new CreateBucketCommand({ Bucket: 'later' }))
  const rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 5 } } as const
  const configure = () =>
    client.send(
      new PutObjectLockConfigurationCommand({
        Bucket: 'later',
        ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: rule },
      }),
    )
  const version = (Status: 'Enabled' | 'Suspended') =>
    client.send(new PutBucketVersioningCommand({ Bucket: 'later', VersioningConfiguration: { Status } }))
  await refuses(
    client.send(new GetObjectLockConfigurationCommand({ Bucket: 'later' })),
    'ObjectLockConfigurationNotFoundError',
    404,
  )
  await refuses(configure(), 'InvalidBucketState', 409)
  await version('Enabled')
  await configure()
  await refuses(version('Suspended'), 'InvalidBucketState', 409)
  const { ObjectLockConfiguration } = await client.send(
    new GetObjectLockConfigurationCommand({ Bucket: 'later' }),
  )
  assert.deepEqual(ObjectLockConfiguration?.Rule, rule)
  await client.send(new PutObjectCommand({ Bucket: 'later', Key, Body: 'x' }))
  const head = await client.send(new HeadObjectCommand({ Bucket: 'later', Key }))
  assert.ok(head.ObjectLockRetainUntilDate! > inDays(4))
})
