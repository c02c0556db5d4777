/**
 * Everything in the bucket: uploads, processing, looking, reprocessing, deleting; with and without a cache;
 * and back home.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../../support/eventually.ts'
import { makeVideo } from '../../support/files/make-video.ts'
import {
  countRequests,
  heldKeys,
  photo,
  probed,
  type Receipt,
  receiptOf,
  type ServerWithBucket,
  startServerWithBucket,
  statusOf,
} from '../../support/server-with-bucket.ts'

const KINDS = [
  'originals',
  'thumbnails',
  'previews',
  'fullsize',
  'encodedVideos',
  'sidecars',
  'profileImages',
  'personFaces',
  'databaseBackups',
]
const allAt = (place: string) => `locations: { ${KINDS.map((kind) => `${kind}: ${place}`).join(', ')} }\n`
const WITH_CACHE = `${allAt('s3')}cache: { maxBytes: 256 MiB }\n`
const SIDECAR = `<?xml version="1.0"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">From the sidecar</rdf:li>
</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>`

type FullReceipt = Receipt & { kind: string; files: (Receipt & { kind: string })[] }

let site: ServerWithBucket
let userId: string
const photos: { id: string; bytes: Buffer }[] = []
let film: { id: string; bytes: Buffer }

before(async () => {
  site = await startServerWithBucket({ storage: allAt('s3') })
  await probed(site.client)
})
after(() => site.close())

const filesOf = async (id: string) => {
  const receipt = (await receiptOf(site.client, id)) as FullReceipt
  return [receipt, ...receipt.files]
}

/** Every file of every one of the assets is where it belongs, and nothing of anything is elsewhere. */
async function allAtHome(place: 's3' | 'local', assets = [...photos, film]): Promise<void> {
  await eventually(async () => {
    const { moving, locations, originals } = await statusOf(site.client)
    assert.deepEqual(moving, [])
    assert.equal(originals.atRisk.count, 0)
    for (const { id, objects } of locations)
      if (id !== place) assert.equal(objects.count, 0, `some lie at ${id}`)
    for (const { id } of assets) {
      for (const { replicas } of await filesOf(id)) {
        assert.deepEqual(
          replicas.map(({ location, state }) => `${location} ${state}`),
          [`${place} verified`],
        )
      }
    }
  }, 90_000)
}

async function processed(id: string): Promise<void> {
  await eventually(
    async () => assert.equal((await receiptOf(site.client, id)).processing.state, 'done'),
    60_000,
  )
}

async function get(path: string, headers: Record<string, string> = {}): Promise<Buffer> {
  const response = await site.client.call(path, { headers })
  assert.ok(response.ok, `${path} answered ${response.status}`)
  return Buffer.from(await response.arrayBuffer())
}

/** Looks at everything there is, as a person who scrolls, opens, plays and seeks. */
async function lookAtAll(): Promise<void> {
  for (const { id, bytes } of [...photos, film]) {
    for (const size of ['thumbnail', 'preview']) await get(`/assets/${id}/thumbnail?size=${size}`)
    assert.ok((await get(`/assets/${id}/original`)).equals(bytes))
  }
  const whole = await get(`/assets/${film.id}/video/playback`)
  const part = await get(`/assets/${film.id}/video/playback`, { range: 'bytes=1000-1999' })
  assert.ok(part.equals(whole.subarray(1000, 2000)))
  await get(`/users/${userId}/profile-image`)
}

async function requestsOf(action: () => Promise<void>): Promise<Record<'puts' | 'gets' | 'heads', number>> {
  site.bucket.faults.clear()
  const puts = countRequests(site.bucket, 'PutObject')
  const gets = countRequests(site.bucket, 'GetObject')
  const heads = countRequests(site.bucket, 'HeadObject')
  await action()
  return { puts: puts.hits, gets: gets.hits, heads: heads.hits }
}

test('uploads, a sidecar, a film and its encoding, a profile image: all of it ends in the bucket alone', {
  timeout: 240_000,
}, async () => {
  const { client } = site
  const cost = await requestsOf(async () => {
    for (let index = 0; index < 3; index += 1) {
      const bytes = await photo(200)
      photos.push({ id: (await client.upload(bytes, `full-${index}.jpg`)).id, bytes })
    }
    for (const { id } of photos) await processed(id)
    await allAtHome('s3', photos)
  })
  assert.equal(cost.puts, 9, 'an original, a preview and a thumbnail each')
  assert.equal(cost.gets, 0)
  assert.ok(cost.heads <= 9, `${cost.heads} HEADs`)

  const path = join(site.folder, 'film.avi')
  await makeVideo(path, { seconds: 1, width: 160, height: 120, codec: 'mpeg4' })
  const bytes = await readFile(path)
  film = { id: (await client.upload(bytes, 'film.avi')).id, bytes }

  const form = new FormData()
  const now = new Date().toISOString()
  form.set('fileCreatedAt', now)
  form.set('fileModifiedAt', now)
  const withSidecar = await photo(210)
  form.set('assetData', new Blob([new Uint8Array(withSidecar)]), 'described.jpg')
  form.set('sidecarData', new Blob([SIDECAR]), 'described.jpg.xmp')
  const described = await client.json<{ id: string }>('/assets', { method: 'POST', body: form })
  photos.push({ id: described.id, bytes: withSidecar })

  const picture = new FormData()
  picture.set('file', new Blob([new Uint8Array(await photo(96))]), 'me.jpg')
  await client.json('/users/profile-image', { method: 'POST', body: picture })
  userId = (await client.json<{ id: string }>('/users/me')).id

  await processed(film.id)
  await processed(described.id)
  const { exifInfo } = await client.json<{ exifInfo: { description: string } }>(`/assets/${described.id}`)
  assert.equal(exifInfo.description, 'From the sidecar')
  await eventually(async () => {
    const kinds = (await filesOf(film.id)).map(({ kind }) => kind).sort()
    assert.deepEqual(kinds, ['encoded-video', 'original', 'preview', 'thumbnail'])
  }, 60_000)
  await allAtHome('s3')
  // 4 photos, one with a sidecar, the film's four, the profile image.
  assert.equal((await heldKeys(site.bucket)).length, 4 * 3 + 1 + 4 + 1)
  assert.deepEqual(await readdir(join(site.mediaLocation, 'staging')), [])
})

test('without a cache every look is a request', { timeout: 60_000 }, async () => {
  const { gets } = await requestsOf(lookAtAll)
  assert.equal(gets, 5 * 3 + 2 + 1)
  assert.equal((await requestsOf(lookAtAll)).gets, gets)
})

test('with a cache the second look costs no request, after a restart neither', {
  timeout: 120_000,
}, async () => {
  await site.server.stop()
  await site.start(WITH_CACHE)
  const first = await requestsOf(lookAtAll)
  assert.equal(first.gets, 5 * 3 + 1 + 1, 'the part of the film came with the whole')
  assert.deepEqual(await requestsOf(lookAtAll), { puts: 0, gets: 0, heads: 0 })
  await site.server.stop()
  await site.start()
  assert.deepEqual(await requestsOf(lookAtAll), { puts: 0, gets: 0, heads: 0 })
})

test('reprocessing replaces what was made, and nothing of the old stays', { timeout: 120_000 }, async () => {
  const { client } = site
  const { id } = photos[0]!
  const before = await filesOf(id)
  await client.call('/assets/jobs', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ assetIds: [id], name: 'regenerate-thumbnail' }),
  })
  await eventually(async () => {
    const now = await filesOf(id)
    assert.equal(now.length, before.length)
    assert.notEqual(now[1]!.replicas[0]?.key, before[1]!.replicas[0]!.key)
    assert.notEqual(now[2]!.replicas[0]?.key, before[2]!.replicas[0]!.key)
  }, 60_000)
  await allAtHome('s3')
  const kept = new Set(await heldKeys(site.bucket))
  assert.ok(kept.has(before[0]!.replicas[0]!.key))
  await eventually(async () => {
    const held = await heldKeys(site.bucket)
    for (const file of before.slice(1)) assert.ok(!held.includes(file.replicas[0]!.key), `${file.kind} stays`)
  }, 30_000)
})

test('all of it moves home when the configuration says so, while it is looked at', {
  timeout: 180_000,
}, async () => {
  await site.server.stop()
  await site.start(allAt('local'))
  await eventually(async () => assert.match(site.server.output(), /"location":"local".*are moved to/), 30_000)
  await lookAtAll()
  await allAtHome('local')
  await eventually(async () => assert.deepEqual(await heldKeys(site.bucket), []), 30_000)
  // A seek may begin once more where the bytes were a moment ago, and never a second time.
  assert.ok((await requestsOf(lookAtAll)).gets <= 1)
  assert.deepEqual(await requestsOf(lookAtAll), { puts: 0, gets: 0, heads: 0 })
  await site.server.stop()
  await site.start(WITH_CACHE)
  await allAtHome('s3')
  await lookAtAll()
})

test('of what is deleted nothing stays: not in the bucket, not on the disk, not in the cache', {
  timeout: 120_000,
}, async () => {
  const { client } = site
  const response = await client.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [...photos, film].map(({ id }) => id), force: true }),
  })
  assert.equal(response.status, 204)
  assert.equal((await client.call('/users/profile-image', { method: 'DELETE' })).status, 204)
  await eventually(async () => {
    assert.deepEqual(await heldKeys(site.bucket), [])
    for (const folder of ['users', 'cache', 'staging', 'recall']) {
      const entries = await readdir(join(site.mediaLocation, folder), {
        recursive: true,
        withFileTypes: true,
      }).catch(() => [])
      assert.deepEqual(
        entries.filter((entry) => entry.isFile()).map(({ name }) => name),
        [],
        `files are left in ${folder}`,
      )
    }
  }, 60_000)
})

test('nothing is lost when the server is killed in the middle of it', { timeout: 180_000 }, async () => {
  const sent: { id: string; sha256: string }[] = []
  for (let index = 0; index < 6; index += 1) {
    const bytes = index === 0 ? randomBytes(100) : await photo(300)
    const { id } = await site.client.upload(bytes, `killed-${index}.jpg`)
    sent.push({ id, sha256: createHash('sha256').update(bytes).digest('hex') })
    if (index % 2 === 1) {
      await site.server.kill9()
      await site.start()
    }
  }
  for (const { id, sha256 } of sent) assert.equal(await site.client.sha256OfOriginal(id), sha256)
  await eventually(async () => {
    const { originals, moving } = await statusOf(site.client)
    assert.deepEqual(moving, [])
    assert.equal(originals.offloaded.count, sent.length)
  }, 120_000)
  for (const { id, sha256 } of sent) assert.equal(await site.client.sha256OfOriginal(id), sha256)
})
