/**
 * S3 answers 500 for more than a minute: what was uploaded is here, is told, and goes there by itself
 * afterwards.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { StorageFailures } from '../../../src/library/server/storage-failures.ts'
import { eventually } from '../../support/eventually.ts'
import {
  bucketStatus,
  drained,
  heldKeys,
  photo,
  probed,
  receiptOf,
  startServerWithBucket,
  statusOf,
} from '../../support/server-with-bucket.ts'

const PHOTOS = 5

test('S3 answers 500 during an offload, then heals: nothing is lost, and it drains within about a minute', {
  timeout: 240_000,
}, async (t) => {
  const site = await startServerWithBucket()
  t.after(() => site.close())
  const { bucket, client } = site
  await probed(client)
  bucket.faults.add({ fault: { kind: 'status', status: 500, code: 'InternalError' } })

  const uploads: { id: string; bytes: Buffer }[] = []
  for (let count = 0; count < PHOTOS; count += 1) {
    const bytes = await photo()
    const { id, status } = await client.upload(bytes, `photo-${count}.jpg`)
    assert.equal(status, 'created')
    uploads.push({ id, bytes })
  }
  const allAreHere = async () => {
    for (const { id, bytes } of uploads) {
      assert.equal(await client.sha256OfOriginal(id), sha('sha256', bytes), 'downloadable throughout')
      assert.deepEqual(await client.upload(bytes, 'again.jpg'), { id, status: 'duplicate' })
    }
    const { results } = await client.json<{ results: { action: string; assetId: string }[] }>(
      '/assets/bulk-upload-check',
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          assets: uploads.map(({ bytes }, index) => ({ id: String(index), checksum: sha('sha1', bytes) })),
        }),
      },
    )
    assert.deepEqual(
      results.map(({ action, assetId }) => [action, assetId]),
      uploads.map(({ id }) => ['reject', id]),
    )
    const { originals } = await statusOf(client)
    assert.equal(originals.localOnly.count + originals.inFlight.count, PHOTOS)
    assert.equal(originals.atRisk.count, 0)
  }
  await allAreHere()
  const outages = async () => (await client.json<StorageFailures>('/storage/failures')).outages
  const { cause } = await eventually(async () => {
    const found = (await outages()).find(({ endedAt }) => endedAt === null)
    assert.ok(found)
    return found
  }, 70_000)
  // The request for which the bucket is left alone.
  assert.match(cause, /(Put|Get|Head|Delete)Object/)
  // The answer to a HEAD has no body, and so no code.
  assert.match(cause, /HeadObject/.test(cause) ? /failed: 500/ : /500 InternalError/)
  await eventually(async () => {
    const { health, error } = await bucketStatus(client)
    assert.equal(health, 'unhealthy')
    assert.match(error ?? '', /500/)
  }, 70_000)
  // By now the back-off of the jobs is longer than a minute, so that only being woken can explain what
  // follows.
  const attempts = async () => {
    // A job that was enqueued anew while it ran loses its key and all attempts to the new one.
    const { rows } = await site.database!.pool.query<{ attempts: number }>(
      "select attempts from graphile_worker.jobs where task_identifier = 'replicate-object' and key is not null",
    )
    return rows.map((row) => row.attempts)
  }
  await eventually(async () => {
    const counted = await attempts()
    assert.ok(counted.length === PHOTOS && Math.min(...counted) >= 5, `attempts: ${counted}`)
  }, 130_000)
  await allAreHere()

  bucket.faults.clear()
  const tookMs = await drained(client, 66_000)
  t.diagnostic(`drained ${tookMs} ms after the bucket was well again`)
  // One event, whatever the number of files and attempts, and no failure is left of it.
  const { failures } = await client.json<StorageFailures>('/storage/failures')
  assert.deepEqual(failures, [])
  const all = await outages()
  assert.deepEqual(
    all.map(({ location, waited }) => ({ location, waited })),
    [{ location: 's3', waited: PHOTOS }],
  )
  assert.ok(all[0]!.endedAt! > all[0]!.startedAt)
  const { health, error } = await bucketStatus(client)
  assert.deepEqual({ health, error }, { health: 'healthy', error: null })
  const keys = new Set<string>()
  for (const { id, bytes } of uploads) {
    assert.equal(await client.sha256OfOriginal(id), sha('sha256', bytes))
    // An original counts as offloaded while its local file is being removed.
    const replicas = await eventually(async () => {
      const { replicas } = await receiptOf(client, id)
      assert.deepEqual(
        replicas.map(({ location, state }) => `${location} ${state}`),
        ['s3 verified'],
      )
      return replicas
    }, 10_000)
    keys.add(replicas[0]!.key)
  }
  assert.deepEqual(
    new Set(await heldKeys(bucket)),
    keys,
    'one object for each original, under the key of its row',
  )
})

const sha = (algorithm: 'sha1' | 'sha256', bytes: Buffer) => createHash(algorithm).update(bytes).digest('hex')
