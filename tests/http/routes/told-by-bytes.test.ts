import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { writeTags } from '../../support/files/exiftool-values.ts'
import { makeVideo } from '../../support/files/make-video.ts'
import { testMedia } from '../../support/files/media.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

/*
 * What an asset is, and when it was taken, is told by its bytes; its name and its times only where those say
 * nothing.
 */

type Asset = Record<string, unknown> & { exifInfo: Record<string, unknown> }

const assetOf = (server: TestServer, id: string) => server.admin.json<Asset>(`/assets/${id}`)

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-told-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

async function plainJpeg(): Promise<Buffer> {
  return sharp({ create: { width: 60, height: 40, channels: 3, background: '#345' } })
    .jpeg()
    .toBuffer()
}

async function uploadWith(
  server: TestServer,
  bytes: Buffer,
  fileName: string,
  times: { created: string; modified: string },
): Promise<string> {
  const form = new FormData()
  form.set('fileCreatedAt', times.created)
  form.set('fileModifiedAt', times.modified)
  form.set('assetData', new Blob([new Uint8Array(bytes)]), fileName)
  const { id } = await server.admin.json<{ id: string }>('/assets', { method: 'POST', body: form })
  await server.runJobs()
  return id
}

test('a file is served as what it is, whatever it is called', async (t) => {
  const heic = testMedia(t, 'exif-samples/heic/mobile/iphone_13_pro_max.HEIC')
  if (heic === null) return
  const server = await startTestServer(t)
  const folder = await temporaryFolder(t)
  const film = join(folder, 'film.mp4')
  await makeVideo(film, { seconds: 1, width: 64, height: 48, codec: 'libx264' })
  const uploads = {
    takeout: await server.admin.upload(await readFile(heic), 'IMG_1.jpg'),
    film: await server.admin.upload(await readFile(film), 'IMG_2.jpg'),
    photo: await server.admin.upload(await plainJpeg(), 'IMG_3.heic'),
    page: await server.admin.upload(Buffer.from('<html><script>alert(1)</script></html>'), 'IMG_4.jpg'),
  }
  await server.runJobs()
  const call = (id: string, path: string) =>
    server.admin.call(`/assets/${id}/${path}`, { redirect: 'manual' })
  const typeOf = async (id: string, path: string) => (await call(id, path)).headers.get('content-type')

  assert.equal(await typeOf(uploads.takeout.id, 'original'), 'image/heic')
  const full = await call(uploads.takeout.id, 'thumbnail?size=fullsize')
  assert.match(full.headers.get('location')!, /preview/, 'no browser shows it as it is')
  const takeout = await assetOf(server, uploads.takeout.id)
  assert.deepEqual([takeout.originalFileName, takeout.originalMimeType], ['IMG_1.jpg', 'image/heic'])
  const original = await call(uploads.takeout.id, 'original')
  assert.match(original.headers.get('content-disposition')!, /IMG_1\.jpg/)

  assert.equal((await assetOf(server, uploads.film.id)).type, 'VIDEO')
  assert.equal(await typeOf(uploads.film.id, 'original'), 'video/mp4')
  assert.equal(await typeOf(uploads.film.id, 'video/playback'), 'video/mp4')

  assert.equal(await typeOf(uploads.photo.id, 'original'), 'image/jpeg')
  assert.match(
    (await call(uploads.photo.id, 'thumbnail?size=fullsize')).headers.get('location')!,
    /original/,
    'every browser shows it as it is',
  )
  const page = await call(uploads.page.id, 'original')
  assert.equal(page.headers.get('content-type'), 'image/jpeg', 'never what would run')
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff')
})

test('without a date in the file, the earlier of its two times counts', async (t) => {
  const server = await startTestServer(t)
  const taken = async (created: string, modified: string, seed: number) => {
    const bytes = Buffer.concat([await plainJpeg(), Buffer.from([seed])])
    return (await assetOf(server, await uploadWith(server, bytes, 'scan.jpg', { created, modified })))
      .fileCreatedAt
  }
  assert.equal(await taken('2024-05-01T10:00:00Z', '2012-03-04T05:06:07Z', 1), '2012-03-04T05:06:07.000Z')
  assert.equal(await taken('2012-03-04T05:06:07Z', '2024-05-01T10:00:00Z', 2), '2012-03-04T05:06:07.000Z')
  assert.equal(await taken('2024-05-01T10:00:00Z', '1970-01-01T00:00:00Z', 3), '2024-05-01T10:00:00.000Z')
})

test('what a file says that nothing shows yet is kept, and by which reader', async (t) => {
  const server = await startTestServer(t)
  const path = join(await temporaryFolder(t), 'tagged.jpg')
  await sharp(await plainJpeg()).toFile(path)
  await writeTags(path, '-XMP-digiKam:TagsList=People/Anna', '-SerialNumber=4711', '-Rating=3')
  const { id } = await server.admin.upload(await readFile(path), 'tagged.jpg')
  await server.runJobs()
  const row = await server.db
    .selectFrom('asset_reading')
    .selectAll()
    .where('asset_id', '=', id)
    .executeTakeFirstOrThrow()
  assert.equal(row.reader_version, 1)
  assert.deepEqual(row.details, { ...row.details, tags: ['People/Anna'], cameraSerial: '4711' })
  assert.ok(!('faces' in row.details), 'nothing takes no room')
  assert.equal((await assetOf(server, id)).exifInfo.rating, 3)
})
