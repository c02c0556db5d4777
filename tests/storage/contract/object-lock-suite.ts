/** What a bucket with Object Lock must do for us, against every service that has it. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { silentLog } from '../../../src/log.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend, type S3Backend } from '../../../src/storage/s3/s3.ts'
import { leaveTo } from '../../support/storage/permit.ts'
import { s3TestSettings } from './s3-subject.ts'

type Address = { endpoint: string; accessKeyId: string; secretAccessKey: string; bucket: string }

const DAYS = 3
const DAY_MS = 24 * 3_600_000
const key = (name: string) => `users/${name}.${randomBytes(4).toString('hex')}` as ObjectKey
const bodyOf = (bytes: Buffer) => ({
  size: bytes.length,
  digests: [{ algorithm: 'sha256' as const, value: createHash('sha256').update(bytes).digest('hex') }],
  open: (range?: { start: number; end?: number }) => {
    const part = bytes.subarray(range?.start ?? 0, range?.end === undefined ? undefined : range.end + 1)
    return Readable.from([part])
  },
})

export function objectLockSuite(name: string, open: () => Promise<Address>): void {
  let backend: S3Backend
  let address: Address
  let client: S3Client
  before(async () => {
    address = await open()
    const daysOf = (held: string) => (held.includes('free') ? null : DAYS)
    const settings = s3TestSettings(address, { objectLock: { mode: 'GOVERNANCE', daysOf } })
    const report = await probeS3(settings, silentLog)
    const lock = report.findings.find(({ id }) => id === 'object-lock')
    assert.equal(lock?.ok, true, JSON.stringify(report.findings.filter(({ ok }) => !ok)))
    backend = openS3Backend(settings, silentLog)
    backend.useFeatures(report.features)
    const { accessKeyId, secretAccessKey } = address
    const credentials = { accessKeyId, secretAccessKey }
    client = new S3Client({
      endpoint: address.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      credentials,
    })
  })
  after(async () => {
    client.destroy()
    await backend.close()
  })
  const locks = () => backend.locks!
  const isLocked = (until: Date | null | undefined, days = DAYS) =>
    assert.ok(until && until.getTime() > Date.now() + (days - 0.5) * DAY_MS, String(until))

  for (const [what, size] of [
    ['in one piece', 1_000],
    ['in parts', 11 * 2 ** 20],
  ] as const) {
    test(`${name}: what is put ${what} is locked, and its removal is refused with the time`, async () => {
      const put = key('locked')
      await backend.put(put, bodyOf(randomBytes(size)))
      const held = await backend.head(put)
      isLocked(held?.retention?.until)
      const refusal = await backend.delete(leaveTo([put])).catch((error: unknown) => error)
      assert.equal((refusal as { kind?: string }).kind, 'retained', String(refusal))
      isLocked((refusal as { retention?: { until: Date } }).retention?.until)
      assert.ok(await backend.head(put))
    })
  }

  test(`${name}: a lock is prolonged, by the version that was seen`, async () => {
    const put = key('longer')
    await backend.put(put, bodyOf(randomBytes(10)))
    const { retention } = (await backend.head(put))!
    await locks().extend(put, new Date(Date.now() + 10 * DAY_MS), { versionId: retention!.versionId! })
    isLocked((await locks().look(put))?.until, 10)
  })

  test(`${name}: what an earlier configuration locked for compliance is prolonged as that`, async () => {
    const put = key('compliant')
    const at = { Bucket: address.bucket, Key: `deep/er/${put}` }
    const lock = {
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: new Date(Date.now() + DAY_MS),
    } as const
    const ContentMD5 = createHash('md5').update('x').digest('base64')
    await client.send(new PutObjectCommand({ ...at, Body: 'x', ContentMD5, ...lock }))
    await locks().extend(put, new Date(Date.now() + 10 * DAY_MS))
    const found = await client.send(new HeadObjectCommand(at))
    assert.equal(found.ObjectLockMode, 'COMPLIANCE')
    isLocked(found.ObjectLockRetainUntilDate, 10)
  })

  test(`${name}: what a stranger's delete marker hides is not absent, and comes back`, async () => {
    const put = key('hidden')
    const bytes = randomBytes(10)
    await backend.put(put, bodyOf(bytes))
    await client.send(new DeleteObjectCommand({ Bucket: address.bucket, Key: `deep/er/${put}` }))
    await assert.rejects(backend.head(put), { kind: 'hidden' })
    await assert.rejects(backend.get(put), { kind: 'hidden' })
    isLocked((await locks().look(put))?.until)
    assert.equal(await locks().bringBack(put), true)
    const { stream } = await backend.get(put)
    assert.deepEqual(Buffer.concat(await Array.fromAsync(stream)), bytes)
    assert.equal(await backend.head(key('none')), null)
    assert.equal(await locks().look(key('none')), null)
    assert.equal(await locks().bringBack(key('none')), false)
  })

  test(`${name}: what is not locked is removed with all its versions`, async () => {
    const put = key('free')
    await backend.put(put, bodyOf(randomBytes(10)))
    assert.equal((await locks().look(put))?.until ?? null, null)
    await backend.delete(leaveTo([put]))
    assert.equal(await locks().look(put), null)
  })

  test(`${name}: a presigned put is bound to the lock, and a copy has its own`, async () => {
    const put = key('direct')
    const bytes = randomBytes(10)
    const md5 = createHash('md5').update(bytes).digest('hex')
    const signed = await backend.presign!.put(put, {
      expiresInSeconds: 60,
      size: bytes.length,
      digests: [{ algorithm: 'md5', value: md5 }],
      contentType: 'image/jpeg',
    })
    const { 'x-amz-object-lock-mode': _, ...without } = signed.headers
    const refused = await fetch(signed.url, { method: 'PUT', headers: without, body: bytes })
    await refused.arrayBuffer()
    assert.equal(refused.status, 403)
    const taken = await fetch(signed.url, { method: 'PUT', headers: signed.headers, body: bytes })
    await taken.arrayBuffer()
    assert.equal(taken.status, 200)
    isLocked((await backend.head(put))?.retention?.until)
    const copy = key('copy')
    await backend.copies!.copy(put, copy, { storageClass: 'STANDARD', size: bytes.length })
    isLocked((await backend.head(copy))?.retention?.until)
  })
}
