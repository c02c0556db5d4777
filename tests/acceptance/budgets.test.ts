/**
 * What the bucket is asked for, counted. Requests for its marker and its counter, a few a minute
 * (tests/placement/lifecycle/request-budget.test.ts), are taken off.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Client } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { makeVideo } from '../support/files/make-video.ts'
import {
  countRequests,
  drained,
  photo,
  probed,
  receiptOf,
  type ServerWithBucket,
  startServerWithBucket,
} from '../support/server-with-bucket.ts'

const PHOTOS = 6

let site: ServerWithBucket
let client: Client
const photos: { id: string; bytes: Buffer }[] = []

before(async () => {
  site = await startServerWithBucket()
  client = site.client
  await probed(client)
})
after(() => site.close())

/**
 * The requests that `action` costs, by operation, and all of them together, without those for the marker and
 * the counter.
 */
async function costOf(action: () => Promise<void>) {
  const { bucket } = site
  bucket.faults.clear()
  const markers = bucket.faults.add({
    match: { key: /^\.glassine-(location|counter)$/ },
    fault: { kind: 'delay', ms: 0 },
  })
  const puts = countRequests(bucket, 'PutObject')
  const gets = countRequests(bucket, 'GetObject')
  const heads = countRequests(bucket, 'HeadObject')
  const totalBefore = bucket.counts.total
  const bytesBefore = bucket.counts.bytesIn
  await action()
  return {
    puts: puts.hits,
    gets: gets.hits,
    heads: heads.hits,
    total: bucket.counts.total - totalBefore - markers.hits,
    bytesIn: bucket.counts.bytesIn - bytesBefore,
  }
}

async function processed(assetId: string): Promise<void> {
  await eventually(async () => {
    assert.equal((await receiptOf(client, assetId)).processing.state, 'done')
  }, 30_000)
}

test('a photo costs one PUT, at most one HEAD and no GET, from its upload to its offload', {
  timeout: 60_000,
}, async () => {
  let size = 0
  const cost = await costOf(async () => {
    for (let count = 0; count < PHOTOS; count += 1) {
      const bytes = await photo(400)
      size += bytes.length
      photos.push({ id: (await client.upload(bytes, `budget-${count}.jpg`)).id, bytes })
    }
    for (const { id } of photos) await processed(id)
    await drained(client, 30_000)
  })
  assert.equal(cost.puts, PHOTOS)
  assert.equal(cost.gets, 0, 'an original is not read back for its previews, nor for its proof')
  assert.ok(cost.heads <= PHOTOS, `${cost.heads} HEADs`)
  assert.equal(cost.total, cost.puts + cost.heads, 'nothing else is asked')
  assert.equal(cost.bytesIn, size, 'every byte is sent once')
})

test('scrolling costs no request: timeline, thumbnails, previews, info, receipts, announced duplicates', {
  timeout: 60_000,
}, async () => {
  const cost = await costOf(async () => {
    const buckets = await client.json<{ timeBucket: string }[]>('/timeline/buckets')
    for (const { timeBucket } of buckets) await client.json(`/timeline/bucket?timeBucket=${timeBucket}`)
    for (const { id, bytes } of photos) {
      for (const size of ['thumbnail', 'preview']) {
        const response = await client.call(`/assets/${id}/thumbnail?size=${size}`)
        assert.equal(response.status, 200)
        assert.ok((await response.arrayBuffer()).byteLength > 100)
      }
      await client.json(`/assets/${id}`)
      await receiptOf(client, id)
      assert.equal((await client.call(`/assets/${id}/original`, { method: 'HEAD' })).status, 200)
      const checksum = createHash('sha1').update(bytes).digest('hex')
      const { results } = await client.json<{ results: { action: string }[] }>('/assets/bulk-upload-check', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ assets: [{ id, checksum }] }),
      })
      assert.equal(results[0]!.action, 'reject')
    }
    await client.json('/storage/status')
  })
  assert.deepEqual(cost, { puts: 0, gets: 0, heads: 0, total: 0, bytesIn: 0 })
})

test('A3: a duplicate whose bytes were sent costs one HEAD: they are about to be thrown away', async () => {
  const cost = await costOf(async () => {
    for (const { bytes } of photos)
      assert.equal((await client.upload(bytes, 'again.jpg')).status, 'duplicate')
  })
  assert.deepEqual(cost, { puts: 0, gets: 0, heads: PHOTOS, total: PHOTOS, bytesIn: 0 })
})

test('an original that is looked at costs one GET, one that the browser has none', {
  timeout: 60_000,
}, async () => {
  const cost = await costOf(async () => {
    for (const { id, bytes } of photos) {
      assert.equal(await client.sha256OfOriginal(id), createHash('sha256').update(bytes).digest('hex'))
    }
  })
  assert.deepEqual(cost, { puts: 0, gets: PHOTOS, heads: 0, total: PHOTOS, bytesIn: 0 })
  const again = await costOf(async () => {
    for (const { id } of photos) {
      const path = `/assets/${id}/original`
      const etag = (await client.call(path, { method: 'HEAD' })).headers.get('etag')!
      assert.equal((await client.call(path, { headers: { 'if-none-match': etag } })).status, 304)
    }
  })
  assert.equal(again.total, 0)
})

test('a film that browsers do not play is read back at most once for its poster and its encoding', {
  timeout: 60_000,
}, async () => {
  const path = join(site.folder, 'film.avi')
  await makeVideo(path, { seconds: 1, width: 160, height: 120, codec: 'mpeg4' })
  const bytes = await readFile(path)
  const cost = await costOf(async () => {
    const { id } = await client.upload(bytes, 'film.avi')
    await processed(id)
    await eventually(async () => {
      const response = await client.call(`/assets/${id}/video/playback`)
      await response.body?.cancel()
      assert.equal(response.headers.get('content-type'), 'video/mp4')
    }, 40_000)
    await drained(client, 30_000)
  })
  assert.equal(cost.puts, 1)
  assert.ok(cost.gets <= 1, `${cost.gets} GETs`)
  assert.ok(cost.heads <= 1, `${cost.heads} HEADs`)
})
