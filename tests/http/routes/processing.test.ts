import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Demuxer } from 'node-av/api'
import { AV_PKT_DATA_DISPLAYMATRIX } from 'node-av/constants'
import sharp from 'sharp'
import { enqueue } from '../../../src/queue/enqueue.ts'
import { recentFailures } from '../../../src/queue/queues.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { makeVideo } from '../../support/files/make-video.ts'
import { motionPhoto } from '../../support/files/motion-photos.ts'
import { CORNERS_FILTER } from '../../support/files/picture-corners.ts'
import { turnFilm } from '../../support/files/turn-film.ts'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

/** A picture of noise, lying on its side as cameras write them: 1600 x 1200 stored, 1200 x 1600 shown. */
async function cameraPhoto(): Promise<Buffer> {
  return sharp(randomBytes(160 * 120 * 3), { raw: { width: 160, height: 120, channels: 3 } })
    .resize(1_600, 1_200)
    .jpeg({ quality: 80 })
    .withExif({
      IFD0: { Make: 'Glassworks', Model: 'Plate 9', ImageDescription: 'from the file' },
      IFD2: { DateTimeOriginal: '2023:08:15 18:30:00', OffsetTimeOriginal: '+02:00', FNumber: '28/10' },
      IFD3: {
        GPSLatitudeRef: 'N',
        GPSLatitude: '52/1 31/1 0/1',
        GPSLongitudeRef: 'E',
        GPSLongitude: '13/1 24/1 0/1',
      },
    })
    .withMetadata({ orientation: 6 })
    .toBuffer()
}

type Asset = Record<string, unknown> & { exifInfo: Record<string, unknown> }
const json = (method: string, body: unknown) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const receiptOf = (server: TestServer, id: string) =>
  server.admin.json<{
    objectId: string
    processing: { state: string; error: string | null }
    files: { kind: string; objectId: string }[]
    replicas: { location: string }[]
  }>(`/storage/receipts/${id}`)

test('a photo is read once, shown everywhere, and its original leaves', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const bytes = await cameraPhoto()
  const { id } = await admin.upload(bytes, 'plate.jpg')
  const thumbnail = (query = '') => admin.call(`/assets/${id}/thumbnail${query}`, { redirect: 'manual' })

  await t.test('before it is processed there is nothing to show, and that is said', async () => {
    assert.equal((await thumbnail()).status, 404)
    assert.equal((await admin.call(`/assets/${id}/original`)).status, 200)
  })

  const reads = { get: 0 }
  const { inner } = server.remotes.get('s3')!
  const get = inner.get
  inner.get = (...args) => {
    reads.get += 1
    return get.apply(inner, args)
  }
  await server.runJobs()
  inner.get = get

  await t.test("metadata and shape are the file's, as displayed", async () => {
    const asset = await admin.json<Asset>(`/assets/${id}`)
    assertShape(asset, 'AssetResponseDto', ['processingError', 'hasEncodedVideo'])
    assert.equal(asset.width, 1_200)
    assert.equal(asset.height, 1_600)
    assert.equal(asset.fileCreatedAt, '2023-08-15T16:30:00.000Z')
    assert.equal(asset.localDateTime, '2023-08-15T18:30:00.000Z')
    assert.match(asset.thumbhash as string, /^[A-Za-z0-9+/]+=*$/)
    const { exifInfo } = asset
    assert.equal(exifInfo.make, 'Glassworks')
    assert.equal(exifInfo.description, 'from the file')
    assert.equal(exifInfo.timeZone, 'UTC+2')
    assert.equal(exifInfo.fNumber, 2.8)
    assert.equal(exifInfo.exifImageWidth, 1_600)
    assert.equal(exifInfo.orientation, '6')
    assert.equal(exifInfo.fileSizeInByte, bytes.length)
    assert.ok(Math.abs((exifInfo.latitude as number) - 52.5167) < 0.001)
    assert.deepEqual(
      [exifInfo.city, exifInfo.state, exifInfo.country],
      ['Berlin', 'State of Berlin', 'Germany'],
    )
    assert.equal((asset.owner as { email: string }).email, 'admin@example.org')
  })

  await t.test('pictures of each size, redirects for the rest', async () => {
    const small = await thumbnail()
    assert.equal(small.headers.get('content-type'), 'image/webp')
    const smallShape = await sharp(Buffer.from(await small.arrayBuffer())).metadata()
    assert.ok(Math.max(smallShape.width, smallShape.height) >= 250)
    const preview = await thumbnail('?size=preview&edited=true&c=abc')
    assert.equal(preview.headers.get('content-type'), 'image/jpeg')
    const shape = await sharp(Buffer.from(await preview.arrayBuffer())).metadata()
    assert.ok(shape.height > shape.width, 'it stands upright')

    const full = await thumbnail('?size=fullsize&edited=true')
    assert.equal(full.status, 302)
    assert.equal(full.headers.get('location'), 'original?edited=true')
    assert.equal((await thumbnail('?size=original')).headers.get('location'), 'original')
    assert.equal((await thumbnail('?size=huge')).status, 400)
    assert.equal((await admin.call(`/assets/${id}/video/playback`)).status, 404)
  })

  await t.test('the original is in the bucket only, and scrolling asks the bucket for nothing', async () => {
    const receipt = await receiptOf(server, id)
    assert.deepEqual(
      receipt.replicas.map((replica) => replica.location),
      ['s3'],
    )
    assert.deepEqual(
      receipt.files.map((file) => file.kind),
      ['preview', 'thumbnail'],
    )
    // The proof of the offload may read it back once; processing must not.
    assert.ok(reads.get <= 1, `${reads.get} reads of the bucket`)
    inner.get = () => Promise.reject(new Error('scrolling reached the bucket'))
    assert.equal((await thumbnail()).status, 200)
    assert.equal((await thumbnail('?size=preview')).status, 200)
    inner.get = get
  })

  await t.test('processing again replaces the pictures and leaves what the user said', async () => {
    const before = await receiptOf(server, id)
    const changed = await admin.json<Asset>(
      `/assets/${id}`,
      json('PUT', { description: 'from me', rating: 4, dateTimeOriginal: '2020-02-03T04:05:06.000+05:30' }),
    )
    assert.equal(changed.exifInfo.description, 'from me')
    assert.equal(changed.localDateTime, '2020-02-03T04:05:06.000Z')
    assert.equal(changed.fileCreatedAt, '2020-02-02T22:35:06.000Z')
    const rerun = await admin.call('/assets/jobs', json('POST', { assetIds: [id], name: 'refresh-metadata' }))
    assert.equal(rerun.status, 204)
    await server.runJobs()

    const asset = await admin.json<Asset>(`/assets/${id}`)
    assert.equal(asset.exifInfo.description, 'from me')
    assert.equal(asset.exifInfo.rating, 4)
    assert.equal(asset.exifInfo.timeZone, 'UTC+05:30')
    assert.equal(asset.localDateTime, '2020-02-03T04:05:06.000Z')
    assert.equal(asset.exifInfo.make, 'Glassworks')
    const after = await receiptOf(server, id)
    assert.equal(after.processing.state, 'done')
    for (const file of before.files) {
      assert.ok(!after.files.some(({ objectId }) => objectId === file.objectId))
      const row = await server.db
        .selectFrom('stored_object')
        .select('id')
        .where('id', '=', file.objectId)
        .execute()
      assert.deepEqual(row, [], 'the replaced file is gone')
    }
  })
})

async function uploadWithSidecar(server: TestServer): Promise<string> {
  const form = new FormData()
  form.set('fileCreatedAt', '2024-01-01T00:00:00.000Z')
  form.set('fileModifiedAt', '2024-01-01T00:00:00.000Z')
  form.set('assetData', new Blob([new Uint8Array(await cameraPhoto())]), 'plate.jpg')
  const xmp = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5">
    <dc:description><rdf:Alt><rdf:li xml:lang="x-default">from the sidecar</rdf:li></rdf:Alt></dc:description>
    </rdf:Description></rdf:RDF></x:xmpmeta>`
  form.set('sidecarData', new Blob([xmp]), 'plate.jpg.xmp')
  const { id } = await server.admin.json<{ id: string }>('/assets', { method: 'POST', body: form })
  await server.runJobs()
  return id
}

test('a sidecar speaks for its file', async (t) => {
  const server = await startTestServer(t)
  const id = await uploadWithSidecar(server)
  const asset = await server.admin.json<Asset>(`/assets/${id}`)
  assert.equal(asset.exifInfo.description, 'from the sidecar')
  assert.equal(asset.exifInfo.rating, 5)
  assert.equal(asset.exifInfo.make, 'Glassworks')
  const kinds = (await receiptOf(server, id)).files.map((file) => file.kind)
  assert.deepEqual(kinds, ['preview', 'sidecar', 'thumbnail'])
})

test('a sidecar in the bucket does not wait for room with its original', { timeout: 60_000 }, async (t) => {
  const server = await startTestServer(t)
  Object.assign(server.placement.policy, { sidecar: ['s3'] })
  const id = await uploadWithSidecar(server)
  const { rows } = await server.pool.query<{ kind: string; size: number; at: string }>(
    `select o.kind, o.size, r.location_id as at from stored_object o join replica r on r.object_id = o.id
     where o.kind in ('original', 'sidecar') order by o.kind`,
  )
  assert.deepEqual(
    rows.map(({ kind, at }) => [kind, at]),
    [
      ['original', 's3'],
      ['sidecar', 's3'],
    ],
  )
  // Room for either, not for both.
  Object.assign(server.placement.settings, { recallMaxBytes: Number(rows[0]!.size) })
  await server.pool.query(`update asset_exif set description = ''`)
  const rerun = await server.admin.call(
    '/assets/jobs',
    json('POST', { assetIds: [id], name: 'refresh-metadata' }),
  )
  assert.equal(rerun.status, 204)
  await server.runJobs()
  const asset = await server.admin.json<Asset>(`/assets/${id}`)
  assert.equal(asset.exifInfo.description, 'from the sidecar')
})

test('a selection with pictures in it can be converted again: they stay as they are', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(await cameraPhoto(), 'plate.jpg')
  await server.runJobs()
  const asked = await server.admin.call(
    '/assets/jobs',
    json('POST', { assetIds: [id], name: 'transcode-video' }),
  )
  assert.equal(asked.status, 204)
  await server.runJobs()
  assert.deepEqual((await receiptOf(server, id)).processing, { state: 'done', error: null })
})

test('a broken file is kept, served, marked with the reason, and stops nothing', async (t) => {
  const server = await startTestServer(t)
  const broken = randomBytes(4_000)
  const { id } = await server.admin.upload(broken, 'broken.jpg')
  const good = await server.admin.upload(await cameraPhoto(), 'good.jpg')
  await server.runJobs()
  const receipt = await receiptOf(server, id)
  assert.equal(receipt.processing.state, 'failed')
  assert.match(receipt.processing.error ?? '', /[a-z]{3}/)
  assert.deepEqual(
    receipt.replicas.map((replica) => replica.location),
    ['s3'],
    'it is offloaded all the same',
  )
  const original = await server.admin.call(`/assets/${id}/original`)
  assert.deepEqual(Buffer.from(await original.arrayBuffer()), broken)
  assert.equal((await server.admin.call(`/assets/${id}/thumbnail`)).status, 404)
  assert.equal((await server.admin.call(`/assets/${good.id}/thumbnail`)).status, 200)
  const failures = await server.admin.json<{ failures: unknown[] }>('/storage/failures')
  assert.deepEqual(failures.failures, [], 'a broken file is no failed job')
})

test('an outage while processing is tried again, and the local copy waits for it', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(await cameraPhoto(), 'plate.jpg')
  const files = server.placement.local.backend.localFiles!
  const adopt = files.adopt
  let faults = 2
  files.adopt = (...args) => {
    if (faults-- > 0) return Promise.reject(new StorageError('unavailable', 'planned outage'))
    return adopt.apply(files, args)
  }
  await server.runJobs()
  files.adopt = adopt
  await server.runJobs()
  const receipt = await receiptOf(server, id)
  assert.equal(receipt.processing.state, 'done')
  const attempts = await recentFailures(server.db)
  assert.equal(attempts.length, 2)
  assert.ok(attempts.every(({ job, error }) => job === 'process-asset' && /planned outage/.test(error)))
  const { failures } = await server.admin.json<{ failures: unknown[] }>('/storage/failures')
  assert.deepEqual(failures, [], 'what is done is no failure any more')
})

test('an asset that is purged while it is processed leaves nothing behind', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(await cameraPhoto(), 'plate.jpg')
  const files = server.placement.local.backend.localFiles!
  const adopt = files.adopt
  files.adopt = async (...args) => {
    files.adopt = adopt
    const gone = await server.admin.call('/assets', json('DELETE', { ids: [id], force: true }))
    assert.equal(gone.status, 204)
    return adopt.apply(files, args)
  }
  await server.runJobs()
  assert.deepEqual(await server.db.selectFrom('asset').select('id').execute(), [])
  assert.deepEqual(await server.db.selectFrom('stored_object').select(['id', 'kind', 'state']).execute(), [])
  const { failures } = await server.admin.json<{ failures: unknown[] }>('/storage/failures')
  assert.deepEqual(failures, [])
})

test('a film that browsers do not play is encoded, its original stays what it was', async (t) => {
  const server = await startTestServer(t)
  const folder = await mkdtemp(join(tmpdir(), 'glassine-film-'))
  t.after(() => rm(folder, { recursive: true }))
  await makeVideo(join(folder, 'film.avi'), { seconds: 1, width: 160, height: 120, codec: 'mpeg4' })
  const bytes = await readFile(join(folder, 'film.avi'))
  const { id } = await server.admin.upload(bytes, 'film.avi')
  await server.runJobs()

  const asset = await server.admin.json<Asset>(`/assets/${id}`)
  assert.equal(asset.type, 'VIDEO')
  assert.deepEqual([asset.width, asset.height], [160, 120])
  assert.ok(Math.abs((asset.duration as number) - 1_000) < 100)
  assert.equal(asset.hasEncodedVideo, true)
  assert.equal((await server.admin.call(`/assets/${id}/thumbnail`)).status, 200)
  const playback = await server.admin.call(`/assets/${id}/video/playback`, {
    headers: { range: 'bytes=4-7' },
  })
  assert.equal(playback.status, 206)
  assert.equal(playback.headers.get('content-type'), 'video/mp4')
  assert.equal(await playback.text(), 'ftyp')
  const full = await server.admin.call(`/assets/${id}/thumbnail?size=fullsize`, { redirect: 'manual' })
  assert.equal(full.headers.get('location'), 'thumbnail?size=preview')
  const original = await server.admin.call(`/assets/${id}/original`)
  assert.deepEqual(Buffer.from(await original.arrayBuffer()), bytes)
  const receipt = await receiptOf(server, id)
  assert.deepEqual(
    receipt.files.map((file) => file.kind),
    ['encoded-video', 'preview', 'thumbnail'],
  )
  assert.deepEqual(
    receipt.replicas.map((replica) => replica.location),
    ['s3'],
    'the local copy went after the encoding',
  )
})

test('converting films again changes nothing that is said of photos, or of a missing poster', async (t) => {
  const server = await startTestServer(t)
  const { admin, db, pool } = server
  const folder = await mkdtemp(join(tmpdir(), 'glassine-converted-'))
  t.after(() => rm(folder, { recursive: true }))
  const filmOf = async (name: string, codec: string) => {
    await makeVideo(join(folder, name), { seconds: 1, width: 160, height: 120, codec })
    return readFile(join(folder, name))
  }
  const whole = await cameraPhoto()
  const cut = whole.subarray(0, whole.length / 2)
  const moving = motionPhoto(whole, await filmOf('moving.mp4', 'libx264'))
  const ids: string[] = []
  for (const [name, bytes] of Object.entries({
    'cut.jpg': cut,
    'moving.jpg': moving,
    'film.avi': await filmOf('film.avi', 'mpeg4'),
  }))
    ids.push((await admin.upload(bytes, name)).id)
  await server.runJobs()
  await pool.query(
    `update asset set processing_error = 'of the photo' where original_file_name = 'moving.jpg'`,
  )
  await pool.query(
    `update asset set processing = 'failed', processing_error = 'no poster' where original_file_name = 'film.avi'`,
  )
  await pool.query('update asset set decoder_failures = 1')
  const rows = async () =>
    (
      await pool.query(
        'select type, live_photo_video_id, processing, processing_error, width, height from asset order by id',
      )
    ).rows
  const said = await rows()
  assert.deepEqual(said.map((row) => row.processing_error).sort(), [
    'The picture is damaged. What can be decoded of it is shown.',
    'no poster',
    null,
    'of the photo',
  ])

  await admin.call('/assets/jobs', json('POST', { name: 'transcode-video', assetIds: ids }))
  await server.runJobs()
  assert.deepEqual(await rows(), said, 'asked for of some')
  await admin.call('/jobs/videoConversion', json('PUT', { command: 'start', force: false }))
  await server.runJobs()
  assert.deepEqual(await rows(), said, 'asked for of all that failed')
  // As an older version has enqueued it.
  for (const assetId of ids) await enqueue(db, 'transcode-video', { assetId })
  await server.runJobs()
  assert.deepEqual(await rows(), said, 'a job for a photo')
  const tries = await pool.query(`select distinct decoder_failures from asset where type = 'IMAGE'`)
  assert.deepEqual(tries.rows, [{ decoder_failures: 1 }])
})

test('a film that was recorded upright plays upright: its frames are turned, and nothing turns them again', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-turned-'))
  t.after(() => rm(folder, { recursive: true }))
  const server = await startTestServer(t)
  const { admin } = server
  const lying = join(folder, 'lying.mov')
  await makeVideo(lying, {
    seconds: 1,
    width: 320,
    height: 180,
    codec: 'libx265',
    filters: `${CORNERS_FILTER},format=yuv420p`,
    encoderOptions: { preset: 'ultrafast', 'x265-params': 'log-level=none' },
  })
  for (const degrees of [0, 90, 180, 270]) {
    const path = join(folder, `${degrees}.mov`)
    await turnFilm(lying, path, degrees)
    const { id } = await admin.upload(await readFile(path), `${degrees}.mov`)
    await server.runJobs()
    const played = await admin.call(`/assets/${id}/video/playback`)
    const playedPath = join(folder, 'played.mp4')
    await writeFile(playedPath, Buffer.from(await played.arrayBuffer()))
    await using demuxer = await Demuxer.open(playedPath)
    const { codecpar } = demuxer.video()!
    const shown = degrees % 180 === 90 ? [180, 320] : [320, 180]
    assert.deepEqual([codecpar.width, codecpar.height], shown, `${degrees}`)
    assert.equal(codecpar.getCodedSideData(AV_PKT_DATA_DISPLAYMATRIX), null, `${degrees}`)
    const asset = await admin.json<Asset>(`/assets/${id}`)
    assert.deepEqual([asset.width, asset.height], shown, `${degrees}`)
  }
})

test('a photo whose file is cut is shown, and says that it is damaged', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const whole = await cameraPhoto()
  const { id } = await admin.upload(whole.subarray(0, Math.floor(whole.length * 0.4)), 'cut.jpg')
  await server.runJobs()
  const asset = await admin.json<Asset>(`/assets/${id}`)
  assert.ok(asset.thumbhash)
  assert.equal(asset.processingError, 'The picture is damaged. What can be decoded of it is shown.')
  assert.equal((await admin.call(`/assets/${id}/thumbnail`)).status, 200)
  assert.equal((await receiptOf(server, id)).processing.state, 'done')
})
