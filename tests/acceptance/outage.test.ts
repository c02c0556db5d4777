/** S3 answers 500 for more than a minute: what was uploaded is here, is told, and goes there by itself afterwards. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import {
  bucketStatus,
  drained,
  eventually,
  failuresOf,
  heldKeys,
  photo,
  probed,
  receiptOf,
  startServerWithBucket,
  statusOf,
} from '../support/server-with-bucket.ts'

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
  const failure = await eventually(async () => {
    const found = (await failuresOf(client)).find(({ job }) => job === 'replicate-object')
    assert.ok(found)
    return found
  }, 30_000)
  // The request that failed, or, once the bucket is left alone, the one for which it is.
  assert.match(failure.error, /(Put|Get|Head|Delete)Object/)
  assert.match(failure.error, /500 InternalError/)
  await eventually(async () => {
    const { health, error } = await bucketStatus(client)
    assert.equal(health, 'unhealthy')
    assert.match(error ?? '', /500/)
  }, 70_000)
  // By now the back-off of the jobs is longer than a minute, so that only being woken can explain what follows.
  const attempts = () =>
    failuresOf(client).then((failures) => {
      const perJob = new Map<string, number>()
      for (const { job, payload } of failures) {
        if (job !== 'replicate-object') continue
        perJob.set(payload.objectId, (perJob.get(payload.objectId) ?? 0) + 1)
      }
      return perJob
    })
  await eventually(async () => {
    const counted = [...(await attempts()).values()]
    assert.ok(counted.length === PHOTOS && Math.min(...counted) >= 5, `attempts: ${counted}`)
  }, 130_000)
  await allAreHere()

  bucket.faults.clear()
  const tookMs = await drained(client, 66_000)
  t.diagnostic(`drained ${tookMs} ms after the bucket was well again`)
  const { health, error } = await bucketStatus(client)
  assert.deepEqual({ health, error }, { health: 'healthy', error: null })
  const keys = new Set<string>()
  for (const { id, bytes } of uploads) {
    assert.equal(await client.sha256OfOriginal(id), sha('sha256', bytes))
    const { replicas } = await receiptOf(client, id)
    assert.deepEqual(
      replicas.map(({ location, state }) => `${location} ${state}`),
      ['s3 verified'],
    )
    keys.add(replicas[0]!.key)
  }
  assert.deepEqual(
    new Set(await heldKeys(bucket)),
    keys,
    'one object for each original, under the key of its row',
  )
})

const sha = (algorithm: 'sha1' | 'sha256', bytes: Buffer) => createHash(algorithm).update(bytes).digest('hex')
