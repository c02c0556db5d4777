/**
 * A disk with all that was made of the originals is lost: it is made again, and what that costs is bounded.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { enqueueLostPictures } from '../../../src/library/processing/lost-pictures.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { startTestServer } from '../../support/server.ts'

const noise = () =>
  sharp(randomBytes(160 * 120 * 3), { raw: { width: 160, height: 120, channels: 3 } })
    .resize(800, 600)
    .jpeg()
    .toBuffer()

test('lost pictures are made again within the budget, those of archived or deleted photos are left alone', async (t) => {
  const server = await startTestServer(t)
  const { admin, db, placement, pool } = server
  const photos = await Promise.all([noise(), noise(), noise(), noise()])
  const ids: string[] = []
  for (const [n, bytes] of photos.entries()) ids.push((await admin.upload(bytes, `photo-${n}.jpg`)).id)
  await server.runJobs()
  const status = async (id: string) => (await admin.call(`/assets/${id}/thumbnail`)).status
  for (const id of ids) assert.equal(await status(id), 200)
  const parts = { db, placement }
  const budget = (dailyBytes: number) => ({ dailyBytes, archivedDailyBytes: 0 })
  assert.equal(await enqueueLostPictures(parts, budget(2 ** 30)), 0, 'nothing is lost')

  await rm(join(server.mediaLocation, 'users'), { recursive: true })
  await checkListing(placement, 'local', { isNow: true })
  for (const id of ids) assert.equal(await status(id), 503)
  const [first, second, inTrash, archived] = ids as [string, string, string, string]
  await admin.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [inTrash] }),
  })
  await pool.query(
    `update replica set storage_class = 'DEEP_ARCHIVE' where location_id = 's3'
       and object_id = (select original_object_id from asset where id = $1)`,
    [archived],
  )

  assert.equal(await enqueueLostPictures(parts, budget(0)), 0, 'no budget')
  const sizes = [photos[0]!.length, photos[1]!.length]
  const enough = Math.max(...sizes)
  assert.equal(await enqueueLostPictures(parts, budget(enough)), 1, 'one of them fits')
  assert.equal(await enqueueLostPictures(parts, budget(enough)), 0, 'until tomorrow')
  await server.runJobs()
  assert.equal(await enqueueLostPictures(parts, budget(2 ** 30)), 1)
  await server.runJobs()
  assert.equal(await enqueueLostPictures(parts, budget(2 ** 30)), 0)
  for (const id of [first, second]) assert.equal(await status(id), 200)
  assert.equal(await status(archived), 503)
})

test('originals on a disk cost nothing: their lost pictures are made at once', async (t) => {
  const server = await startTestServer(t, { originals: ['local', 's3'] })
  const { admin, db, placement, mediaLocation } = server
  const { id } = await admin.upload(await noise(), 'photo.jpg')
  await server.runJobs()
  const { rows } = await server.pool.query<{ key: string }>(
    `select r.key from replica r join stored_object o on o.id = r.object_id where o.kind = 'thumbnail'`,
  )
  await rm(join(mediaLocation, rows[0]!.key))
  await checkListing(placement, 'local', { isNow: true })
  assert.equal(await enqueueLostPictures({ db, placement }, { dailyBytes: 0, archivedDailyBytes: 0 }), 1)
  await server.runJobs()
  assert.equal((await admin.call(`/assets/${id}/thumbnail`)).status, 200)
})
