/**
 * local-first and s3-first through the same cases, and what becomes of s3-first uploads when the bucket
 * fails.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import type { Fault } from 'strict-s3/faults'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { eventually } from '../../support/eventually.ts'
import {
  beginUpload,
  bytesInBucket,
  formOf,
  large,
  offloaded,
  photo,
  placesOf,
  rulesOf,
  type Site,
  settled,
  sha256,
  startSite,
  traces,
  unfinishedUploads,
  upload,
  uploadSuite,
} from './upload-suite.ts'

const credentials = { accessKeyId: 'suite', secretAccessKey: 'suite-secret' }
const S3_FIRST = { uploads: rulesOf('s3-first') }
let bucket: StrictS3

before(async () => {
  bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials,
    buckets: ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth'],
  })
})
after(() => bucket.close())

const settingsOf = (name: string, more: Partial<S3Settings> = {}): S3Settings =>
  s3TestSettings({ endpoint: bucket.endpoint, ...credentials, bucket: name }, { prefix: '', ...more })

uploadSuite('local-first', async () => settingsOf('first'))
uploadSuite('s3-first', async () => settingsOf('second'))

/** Requests for objects of ours, by operation. */
function countRequests() {
  bucket.faults.clear()
  bucket.counts.reset()
  return () => {
    const { GetBucketVersioning: _, ...requests } = bucket.counts.requests
    return requests
  }
}

test('s3-first, counted', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, settingsOf('third'), S3_FIRST)
  await upload(site, photo(), 'photo.jpg') // the location is confirmed

  await t.test('a photo is one PUT, and one HEAD before the local copy goes; nothing is read', async () => {
    await settled(site)
    const requests = countRequests()
    const { body } = await upload(site, photo(), 'photo.jpg')
    assert.deepEqual(requests(), { PutObject: 1 })
    await settled(site)
    assert.deepEqual(requests(), { PutObject: 1, HeadObject: 1 })
    assert.deepEqual(await placesOf(site, body.id), ['s3 verified 3'])
  })

  await t.test('a large photo is its parts, begun, completed and looked at; nothing is read', async () => {
    const requests = countRequests()
    await upload(site, large(), 'large.jpg')
    const cost = { CreateMultipartUpload: 1, UploadPart: 3, CompleteMultipartUpload: 1 }
    assert.deepEqual(requests(), { ...cost, HeadObject: 1 })
    await settled(site)
    assert.deepEqual(requests(), { ...cost, HeadObject: 2 })
  })

  await t.test(
    'A3: a duplicate of a photo that was sent costs one HEAD, since what was sent is thrown away',
    async () => {
      const bytes = photo()
      await upload(site, bytes, 'photo.jpg')
      await settled(site)
      const requests = countRequests()
      assert.equal((await upload(site, bytes, 'photo.jpg')).status, 200)
      assert.deepEqual(requests(), { HeadObject: 1 })
    },
  )

  await t.test('all but the last part is in the bucket before the last byte arrives', async () => {
    const bytes = large()
    const form = formOf(bytes, 'large.jpg')
    const socket = await beginUpload(site, form, form.body.length - 1)
    await eventually(async () => {
      const unfinished = await bucket.stored.unfinishedUploads('third')
      assert.deepEqual(
        unfinished.map(({ parts }) => parts),
        [2],
      )
    })
    const answered = new Promise<string>((resolve) => {
      socket.once('data', (chunk: Buffer) => resolve(String(chunk)))
    })
    const requests = countRequests()
    socket.write(form.body.subarray(-1))
    assert.match(await answered, /^HTTP\/1\.1 201 /)
    assert.deepEqual(requests(), { UploadPart: 1, CompleteMultipartUpload: 1, HeadObject: 1 })
    socket.destroy()
  })

  await t.test('deleteLocalAfterUpload: false keeps the local copy', async () => {
    const { settings } = site.placement
    settings.deleteLocalAfterUpload = false
    try {
      const { body } = await upload(site, photo(), 'photo.jpg')
      await settled(site)
      assert.deepEqual(await placesOf(site, body.id), ['local verified 2', 's3 verified 3'])
    } finally {
      settings.deleteLocalAfterUpload = true
    }
  })
})

const bodies = [
  { what: 'a photo', make: photo, name: 'photo.jpg', put: 'PutObject' },
  { what: 'a large photo', make: large, name: 'large.jpg', put: 'CompleteMultipartUpload' },
] as const

test('s3-first on a bucket that fails for a moment', { timeout: 120_000 }, async (t) => {
  const site = await startSite(t, settingsOf('fourth', { requestTimeoutMs: 1_000 }), S3_FIRST)
  const passing: Fault[] = [
    { kind: 'status', status: 503, code: 'SlowDown' },
    { kind: 'commit-then-500' },
    { kind: 'reset' },
    { kind: 'reset', commit: true },
    { kind: 'hang', commit: true },
    { kind: 'error-in-200', commit: true },
    { kind: 'cut-response', atByte: 0 },
  ]
  for (const { what, make, name, put } of bodies) {
    for (const fault of passing) {
      const isCommitted = 'commit' in fault ? ' after it did its work' : ''
      await t.test(
        `${what}: ${fault.kind}${isCommitted} at ${put}: acknowledged once, and there`,
        async () => {
          const planned = bucket.faults.add({ match: { operation: put }, times: 1, fault })
          const bytes = make()
          const { status, body } = await upload(site, bytes, name)
          assert.equal(status, 201, JSON.stringify(body))
          assert.equal(planned.hits, 1)
          assert.equal(sha256(await bytesInBucket(site, body.id)), sha256(bytes))
          assert.match((await offloaded(site, body.id)).join(), /^s3 verified [34]$/)
          assert.deepEqual(await unfinishedUploads(site), [])
        },
      )
    }
  }
})

test('s3-first on a bucket that fails for longer', { timeout: 180_000 }, async (t) => {
  const site = await startSite(t, settingsOf('fifth', { requestTimeoutMs: 1_000 }), S3_FIRST)
  const failing: { why: string; spoil(put: 'PutObject' | 'CompleteMultipartUpload'): void }[] = [
    {
      why: 'answers 503',
      spoil: (operation) =>
        bucket.faults.add({ match: { operation }, fault: { kind: 'status', status: 503, code: 'SlowDown' } }),
    },
    {
      why: 'resets connections',
      spoil: (operation) => bucket.faults.add({ match: { operation }, fault: { kind: 'reset' } }),
    },
    {
      why: 'refuses',
      spoil: (operation) =>
        bucket.faults.add({
          match: { operation },
          fault: { kind: 'status', status: 403, code: 'AccessDenied' },
        }),
    },
    {
      why: 'reports another ETag',
      spoil: (operation) => {
        if (operation === 'PutObject') bucket.profile.opaqueEtags = true
        else bucket.profile.multipartEtags = 'random'
      },
    },
  ]
  for (const { what, make, name, put } of bodies) {
    for (const { why, spoil } of failing) {
      await t.test(
        `${what} while the bucket ${why}: 503, nothing is kept, and the next try succeeds`,
        async () => {
          await settled(site)
          const before = await traces(site)
          const bytes = make()
          spoil(put)
          let failed: Awaited<ReturnType<typeof upload>>
          try {
            failed = await upload(site, bytes, name)
          } finally {
            bucket.faults.clear()
            bucket.profile.opaqueEtags = false
            bucket.profile.multipartEtags = 'md5-of-parts'
          }
          assert.equal(failed.status, 503, JSON.stringify(failed.body))
          assert.match(failed.body.message, /nothing of it was kept/)
          assert.doesNotMatch(failed.body.message, /fifth|127\.0\.0\.1|users\//, 'says nothing of the bucket')
          assert.deepEqual(await traces(site), before)
          const again = await upload(site, bytes, name)
          assert.equal(again.status, 201)
          assert.equal(sha256(await bytesInBucket(site, again.body.id)), sha256(bytes))
        },
      )
    }

    await t.test(
      `${what} while the bucket is away altogether: 503, and the sweep finds all that stays`,
      async () => {
        await settled(site)
        const before = await traces(site)
        const bytes = make()
        const form = formOf(bytes, name)
        // The large one is cut off from the bucket in its middle, when parts of it are there.
        const socket = await beginUpload(site, form, form.body.length - 1)
        if (what === 'a large photo')
          await eventually(async () => assert.equal((await unfinishedUploads(site)).length, 1))
        bucket.faults.add({ fault: { kind: 'reset' } })
        const answered = new Promise<string>((resolve) => {
          socket.once('data', (chunk: Buffer) => resolve(String(chunk)))
        })
        socket.write(form.body.subarray(-1))
        assert.match(await answered, /^HTTP\/1\.1 503 /)
        socket.destroy()
        const { assets, onDisk } = await traces({ ...site, backend: deaf(site) })
        assert.deepEqual({ assets, onDisk }, { assets: before.assets, onDisk: before.onDisk })
        bucket.faults.clear()
        await sweepLater(site)
        assert.deepEqual(await traces(site), before)
        assert.equal((await upload(site, bytes, name)).status, 201)
      },
    )
  }
})

/** The backend of a bucket that is away: holds nothing that could be listed. */
function deaf(site: Site): Site['backend'] {
  const nothing = async function* () {}
  return {
    ...site.backend,
    list: nothing,
    multipart: { ...site.backend.multipart!, listUnfinished: nothing },
  }
}

/** As the sweep of an hour from now finds it, with all leases over. */
async function sweepLater(site: Site): Promise<void> {
  await site.pool.query("update unfinished_upload set lease_expires_at = now() - interval '1 second'")
  await site.pool.query(
    "update replica set lease_expires_at = now() - interval '1 second' where state = 'writing'",
  )
  await sweepPlacement({ ...site.placement, now: () => new Date(Date.now() + 3_600_000) })
  await settled(site)
}

test('s3-first on a bucket that falls silent, with nothing but the upload under way', {
  timeout: 120_000,
}, async (t) => {
  const requestTimeoutMs = 300_000
  const site = await startSite(t, settingsOf('eighth', { requestTimeoutMs }), {
    ...S3_FIRST,
    answerWithinMs: 2_000,
  })
  await upload(site, photo(), 'photo.jpg') // the location is confirmed
  for (const { what, make, name } of bodies) {
    for (const commit of [false, true]) {
      await t.test(
        `${what}, ${commit ? 'after it was taken' : 'before it is taken'}: 503 in time, and the sweep finds all that stays`,
        async () => {
          await settled(site)
          const before = await traces(site)
          const bytes = make()
          const form = formOf(bytes, name)
          const socket = await beginUpload(site, form, form.body.length - 1)
          if (what === 'a large photo')
            await eventually(async () => assert.equal((await unfinishedUploads(site)).length, 1))
          bucket.faults.add({ fault: { kind: 'hang', commit } })
          const answered = new Promise<string>((resolve) => {
            socket.once('data', (chunk: Buffer) => resolve(String(chunk)))
          })
          const begunAt = performance.now()
          socket.write(form.body.subarray(-1))
          const answer = await answered
          assert.ok(performance.now() - begunAt < requestTimeoutMs / 10)
          assert.match(answer, /^HTTP\/1\.1 503 /)
          assert.match(answer, /\r\nretry-after: \d+\r\n/i)
          assert.equal(site.breaker.state, 'open')
          socket.destroy()
          const { assets, onDisk } = await traces({ ...site, backend: deaf(site) })
          assert.deepEqual({ assets, onDisk }, { assets: before.assets, onDisk: before.onDisk })
          bucket.faults.clear()
          site.breaker.close()
          await sweepLater(site)
          assert.deepEqual(await traces(site), before)
          const again = await upload(site, bytes, name)
          assert.equal(again.status, 201)
          assert.equal(sha256(await bytesInBucket(site, again.body.id)), sha256(bytes))
        },
      )
    }
  }
})

test('a rollout: some users by s3-first, the others as before, and off again without harm', async (t) => {
  const uploads = {
    upload: { strategy: 'local-first' as const },
    rollout: { strategy: 's3-first' as 's3-first' | 'local-first', percent: 0, users: ['anna@example.org'] },
  }
  const site = await startSite(t, settingsOf('seventh'), { uploads })
  const [anna, ben] = [await site.newUser('anna'), await site.newUser('ben')]
  const placesAfter = async (client: typeof anna) =>
    placesOf(site, (await upload(site, photo(), 'photo.jpg', undefined, client)).body.id)
  assert.deepEqual(await placesAfter(anna), ['local verified 2', 's3 verified 3'])
  assert.deepEqual(await placesAfter(ben), ['local verified 2'])
  const { uploads: shown } = await site.admin.json<{ uploads: { strategy: string; rollout: unknown } }>(
    '/storage/status',
  )
  assert.equal(shown.strategy, 'local-first')
  const covered = { percent: 0, namedUsers: 1, chosenUsers: 1, users: 3 }
  assert.deepEqual(shown.rollout, { strategy: 's3-first', ...covered })
  uploads.rollout.strategy = 'local-first'
  assert.deepEqual(await placesAfter(anna), ['local verified 2'])
  await settled(site)
  const { rows } = await site.pool.query<{ location_id: string }>(
    'select r.location_id from replica r join asset a on a.original_object_id = r.object_id',
  )
  assert.deepEqual(
    rows.map((row) => row.location_id),
    ['s3', 's3', 's3'],
  )
})

test('s3-first uploads whose writer died are given up by the sweep', { timeout: 60_000 }, async (t) => {
  const site = await startSite(t, settingsOf('sixth'), S3_FIRST)
  const { multipart } = site.backend
  await upload(site, photo(), 'photo.jpg')
  const before = (await traces(site)).inBucket
  const journal = (key: string, uploadId: string | null, lease: string) =>
    site.pool.query(
      `insert into unfinished_upload (location_id, key, upload_id, lease_expires_at)
       values ('s3', $1, $2, now() + $3::interval)`,
      [key, uploadId, lease],
    )
  const newKey = () => `users/u/${randomBytes(8).toString('hex')}/original.x.mp4` as never

  const [recorded, lost, neverBegun, alive] = [newKey(), newKey(), newKey(), newKey()]
  await journal(recorded, (await multipart!.begin(recorded)).uploadId, '-1 second')
  await multipart!.begin(lost) // its id was never recorded
  await journal(lost, null, '-1 second')
  await journal(neverBegun, null, '-1 second')
  await journal(alive, (await multipart!.begin(alive)).uploadId, '1 minute')

  // Away at first: nothing is forgotten.
  bucket.faults.add({
    match: { operation: 'AbortMultipartUpload' },
    fault: { kind: 'status', status: 503, code: 'SlowDown' },
  })
  assert.equal((await sweepPlacement(site.placement)).abandonedUploads, 1, 'the one that was never begun')
  bucket.faults.clear()
  assert.equal((await sweepPlacement(site.placement)).abandonedUploads, 2)
  assert.deepEqual(await unfinishedUploads(site), [alive])
  assert.deepEqual((await traces(site)).inBucket, before)
  assert.equal((await sweepPlacement(site.placement)).abandonedUploads, 0)
})

test('a writer that was taken for dead does not end up with an object', { timeout: 60_000 }, async (t) => {
  const site = await startSite(t, settingsOf('sixth'), S3_FIRST)
  const before = await traces(site)
  const form = formOf(large(), 'large.jpg')
  const socket = await beginUpload(site, form, form.body.length - 1)
  await eventually(async () => assert.equal((await unfinishedUploads(site)).length, 1))
  await site.pool.query("update unfinished_upload set lease_expires_at = now() - interval '1 second'")
  await sweepPlacement(site.placement)
  const answered = new Promise<string>((resolve) => {
    socket.once('data', (chunk: Buffer) => resolve(String(chunk)))
  })
  socket.write(form.body.subarray(-1))
  assert.match(await answered, /^HTTP\/1\.1 503 /)
  socket.destroy()
  await eventually(async () => assert.deepEqual(await traces(site), before))
})
