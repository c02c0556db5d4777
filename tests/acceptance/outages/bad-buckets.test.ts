/**
 * A bucket in every bad state: uploads go on, the storage status names the trouble and its remedy, nothing
 * leaves the disk, and all of it drains when the cause is gone.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { StorageFailures } from '../../../src/library/server/storage-failures.ts'
import type { Client } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import {
  BUCKET,
  bucketStatus,
  drained,
  failuresOf,
  heldKeys,
  photo,
  probeNow,
  receiptOf,
  type ServerWithBucket,
  startServerWithBucket,
  statusOf,
} from '../../support/server-with-bucket.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

let site: ServerWithBucket
let client: Client
/** asset id -> SHA-256, of everything that was acknowledged. */
const acknowledged = new Map<string, string>()

before(async () => {
  site = await startServerWithBucket({ buckets: ['another'], requestTimeoutMs: 5_000 })
  client = site.client
})
after(() => site.close())

async function upload(name = 'photo.jpg'): Promise<string> {
  const bytes = await photo()
  const { id, status } = await client.upload(bytes, name)
  assert.equal(status, 'created')
  acknowledged.set(id, sha256(bytes))
  assert.deepEqual(await client.upload(bytes, name), { id, status: 'duplicate' })
  return id
}

/**
 * The trouble as the storage status tells it, within the minute that passes between two health checks at
 * most.
 */
async function troubleToldAs(pattern: RegExp): Promise<void> {
  await eventually(async () => {
    const { health, error } = await bucketStatus(client)
    assert.equal(health, 'unhealthy')
    assert.match(error ?? '', pattern)
    assert.ok(!error?.includes('faults-secret'))
  }, 70_000)
}

async function everythingIsThere(): Promise<void> {
  for (const [id, digest] of acknowledged) assert.equal(await client.sha256OfOriginal(id), digest)
  const { originals } = await statusOf(client)
  assert.equal(originals.total.count, acknowledged.size)
  assert.equal(originals.atRisk.count, 0)
}

/**
 * What an administrator does who has repaired something: asks for a probe, instead of waiting for the next
 * check.
 */
async function repaired(): Promise<void> {
  const { locations } = await probeNow(client)
  const { health, error } = locations.find(({ id }) => id === 's3')!
  assert.equal(health, 'healthy', error ?? '')
  // A job that was under way while it was repaired may tell the trouble once more; the next check, a minute
  // later at most, finds it well again.
  await drained(client, 75_000)
  await eventually(async () => assert.equal((await bucketStatus(client)).error, null), 75_000)
}

describe('a bucket', { concurrency: 1, timeout: 180_000 }, () => {
  test('that does not exist: the server starts and serves; it drains by itself within about a minute', async (t) => {
    for (let count = 0; count < 3; count += 1) await upload()
    await troubleToldAs(/photos.*does not exist: create it or correct its name/)
    await everythingIsThere()
    assert.equal((await statusOf(client)).originals.localOnly.count, acknowledged.size)
    // Nothing else can be said of the files: they wait for it, and none of them has failed.
    const { outages } = await client.json<StorageFailures>('/storage/failures')
    assert.deepEqual(
      outages.map(({ location, endedAt }) => ({ location, endedAt })),
      [{ location: 's3', endedAt: null }],
    )
    assert.match(outages[0]!.cause, /does not exist/)

    const s3 = new S3Client({
      endpoint: site.bucket.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'faults', secretAccessKey: 'faults-secret' },
    })
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }))
    s3.destroy()
    const tookMs = await drained(client, 75_000)
    t.diagnostic(`drained ${tookMs} ms after the bucket was made`)
    await repaired()
    await everythingIsThere()
  })

  test('that denies writing: the missing permission is named, and the originals stay here', async () => {
    site.bucket.profile.denied = ['s3:PutObject']
    const id = await upload()
    await troubleToldAs(/s3:PutObject/)
    await everythingIsThere()
    const { replicas } = await receiptOf(client, id)
    assert.deepEqual(
      replicas.filter(({ state }) => state === 'verified').map(({ location }) => location),
      ['local'],
    )
    assert.ok(
      (await failuresOf(client)).some(
        ({ job, error }) => job === 'replicate-object' && /AccessDenied.*s3:PutObject/.test(error),
      ),
    )
    site.bucket.profile.denied = []
    await repaired()
    await everythingIsThere()
  })

  test('that denies deleting: a purge waits for it, is told, and is carried out afterwards', async () => {
    site.bucket.profile.denied = ['s3:DeleteObject']
    const id = await upload()
    await drained(client, 30_000)
    // The local replica may still be on its way out.
    const { key } = (await receiptOf(client, id)).replicas.find(({ location }) => location === 's3')!
    const response = await client.call('/assets', {
      method: 'DELETE',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ids: [id], force: true }),
    })
    assert.equal(response.status, 204)
    acknowledged.delete(id)
    await troubleToldAs(/s3:DeleteObject/)
    // The place is marked first, and the failure of the job is written down when it has ended.
    await eventually(
      async () =>
        assert.ok(
          (await failuresOf(client)).some(
            ({ job, error }) => job === 'purge-object' && /AccessDenied.*s3:DeleteObject/.test(error),
          ),
        ),
      10_000,
    )
    await everythingIsThere()
    assert.ok((await keysOfBucket()).includes(key))
    site.bucket.profile.denied = []
    await repaired()
    await eventually(async () => assert.ok(!(await keysOfBucket()).includes(key)), 10_000)
  })

  test('that is silent makes nobody wait: neither uploads nor downloads of what is here', async (t) => {
    // It is given up by no limit of time: whoever waits for its answer waits until the end.
    const patient = { requestTimeoutMs: 600_000, outage: '{ answerWithinMs: 600000 }' }
    const { bucket, client, close } = await startServerWithBucket(patient)
    const held = Promise.withResolvers<void>()
    t.after(async () => {
      held.resolve()
      await close()
    })
    const silence = bucket.faults.add({
      match: { key: /^users\// },
      fault: { kind: 'hold', until: held.promise },
    })
    const digests = new Map<string, string>()
    const isEachHere = async () => {
      for (const [id, digest] of digests) assert.equal(await client.sha256OfOriginal(id), digest)
    }
    for (const name of ['one.jpg', 'two.jpg', 'three.jpg']) {
      const bytes = await photo()
      const { id } = await client.upload(bytes, name)
      digests.set(id, sha256(bytes))
    }
    await eventually(() => assert.ok(silence.hits > 0), 10_000)
    await isEachHere()
    assert.equal((await statusOf(client)).originals.total.count, digests.size)
    assert.deepEqual(await heldKeys(bucket), [])
    held.resolve()
    await drained(client, 30_000)
    await isEachHere()
  })

  test('that never answers, then does: tried again within its time limit', async (t) => {
    t.after(() => site.bucket.faults.clear())
    const hung = site.bucket.faults.add({
      match: { operation: 'PutObject', key: /^users\// },
      times: 1,
      fault: { kind: 'hang' },
    })
    await upload()
    await eventually(() => assert.equal(hung.hits, 1), 10_000)
    await everythingIsThere()
    await drained(client, 30_000)
    await everythingIsThere()
  })

  test('that keeps other bytes than it was given: no original leaves the disk for its word', async () => {
    site.bucket.profile.bucketSilentlyDamages = true
    // Its lie is found by the probe; until then nothing tells its right ETags from true ones.
    await probeNow(client)
    await troubleToldAs(/not those that were put.*do not use this service/)
    const ids = [await upload(), await upload()]
    await eventually(async () => {
      const told = (await failuresOf(client)).filter(({ error }) =>
        /holds other bytes|another SHA-256/.test(error),
      )
      assert.ok(told.length > 0)
    }, 30_000)
    for (const id of ids) {
      const { replicas } = await receiptOf(client, id)
      assert.deepEqual(
        replicas.filter(({ state }) => state === 'verified').map(({ location }) => location),
        ['local'],
      )
    }
    await everythingIsThere()
    site.bucket.profile.bucketSilentlyDamages = false
    await repaired()
    await everythingIsThere()
    // What it damaged is gone, and every key was used once.
    const keys = await keysOfBucket()
    assert.equal(keys.length, acknowledged.size)
    for (const key of keys) {
      const digest = sha256(await site.bucket.stored.bytes(key, BUCKET))
      assert.ok([...acknowledged.values()].includes(digest), key)
    }
  })
})

async function keysOfBucket(): Promise<string[]> {
  return heldKeys(site.bucket, BUCKET)
}
