import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { sweepDirectUploads } from '../../../src/library/direct-uploads/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import type { DirectServer } from '../../support/http/direct-upload.ts'
import {
  announce,
  ask,
  confirm,
  hashOf,
  post,
  send,
  sendParts,
  show,
  startDirectServer,
  type Upload,
} from '../../support/http/direct-upload.ts'
import { photo } from '../../support/server-with-bucket.ts'

const MIB = 1024 * 1024

type Receipt = { replicas: { location: string; state: string; proofLevel: number; proof: object }[] }
const objectKeys = async ({ bucket }: DirectServer) =>
  (await bucket.stored.objects()).map(({ key }) => key).filter((key) => key.includes('/users/'))
const countJobs = async ({ pool }: DirectServer, name: string) =>
  (await pool.query('select from graphile_worker.jobs where task_identifier = $1', [name])).rowCount
/** As if a day had passed. */
const letExpire = ({ pool }: DirectServer, id: string) =>
  pool.query(
    `update direct_upload set expires_at = now() - interval '1 minute' where id = '${id}';
     update replica set writable_until = now() - interval '1 minute' where object_id = (select object_id from direct_upload where id = '${id}');
     update graphile_worker._private_jobs set run_at = now()`,
  )

test('a photo goes into the bucket past the server, is proven by one GET, and becomes an asset', async (t) => {
  const server = await startDirectServer(t)
  const { admin, bucket } = server
  const bytes = await photo(640)
  const sockets = new Set<Socket>()
  server.app.server.on('request', ({ socket }) => sockets.add(socket))

  const config = await admin.json<{ isAvailable: boolean }>('/storage/uploads/config')
  assert.equal(config.isAvailable, true)
  const upload = await ask(admin, bytes, 'plate.jpg', { isFavorite: true })
  assert.equal(upload.status, 'created')
  assert.equal(upload.put!.headers['content-length'], String(bytes.length))
  assert.equal(upload.put!.headers['if-none-match'], '*')
  const early = await confirm(admin, upload.id)
  assert.equal(early.status, 409)
  assert.match(early.body.message, /nothing has arrived/)
  assert.equal(await send(upload.put!, bytes), 200)
  assert.equal((await confirm(admin, upload.id)).body.state, 'received')
  assert.equal((await confirm(admin, upload.id)).body.state, 'received', 'twice is as once')
  const counted = (await admin.json<{ images: number }>('/assets/statistics')).images
  assert.equal(counted, 0, 'nothing appears before the proof')

  const bytesIn = [...sockets].reduce((sum, socket) => sum + socket.bytesRead, 0)
  assert.ok(bytesIn > 1_000, 'the requests themselves were counted')
  assert.ok(bytesIn < bytes.length / 4, `${bytesIn} bytes came to the server, the photo has ${bytes.length}`)

  await server.runJobs()
  const done = await show(admin, upload.id)
  assert.equal(done.state, 'done')
  assert.equal(bucket.counts.of('GetObject'), 1, 'one GET for the proof and for the pictures')
  assert.equal(bucket.counts.of('HeadObject'), 2, 'one for each confirmation that looked')
  const asset = await admin.json<{
    isFavorite: boolean
    thumbhash: string
    originalFileName: string
    checksum: string
  }>(`/assets/${done.assetId}`)
  assert.equal(asset.originalFileName, 'plate.jpg')
  assert.equal(asset.isFavorite, true)
  assert.ok(asset.thumbhash, 'it was processed')
  assert.equal(asset.checksum, Buffer.from(hashOf('sha1', bytes), 'hex').toString('base64'))
  assert.equal(await admin.sha256OfOriginal(done.assetId!), hashOf('sha256', bytes))
  const { replicas } = await admin.json<Receipt>(`/storage/receipts/${done.assetId}`)
  assert.deepEqual(
    replicas.map(({ location, state, proofLevel }) => ({ location, state, proofLevel })),
    [{ location: 's3', state: 'verified', proofLevel: 4 }],
  )
  const again = await post(admin, '', announce(bytes, 'again.jpg'))
  assert.equal(again.status, 200)
  assert.deepEqual(await again.json(), { status: 'duplicate', id: done.assetId })
  assert.equal((await confirm(admin, upload.id)).body.assetId, done.assetId)

  // With its film, it is linked: the first announcement had none.
  const film = await admin.upload(randomBytes(2_000), 'plate.mov')
  const linked = await post(admin, '', { ...announce(bytes, 'again.jpg'), livePhotoVideoId: film.id })
  assert.deepEqual(await linked.json(), { status: 'duplicate', id: done.assetId })
  const still = await admin.json<{ livePhotoVideoId: string }>(`/assets/${done.assetId}`)
  assert.equal(still.livePhotoVideoId, film.id)
})

test('a large file goes in parts, and a client that lost everything goes on with those that are there', async (t) => {
  const server = await startDirectServer(t)
  const { admin, bucket } = server
  const bytes = randomBytes(33 * MIB)
  const upload = await ask(admin, bytes, 'film.mp4')
  assert.equal(upload.put, null)
  assert.deepEqual(upload.parts, { partBytes: 5 * MIB, count: 7 })
  await sendParts(admin, upload, bytes, [1, 2, 7])

  const again = await ask(admin, bytes, 'film.mp4')
  assert.equal(again.status, 'open')
  assert.equal(again.id, upload.id)
  assert.deepEqual(
    again.present.map(({ number }) => number),
    [1, 2, 7],
  )
  assert.equal(again.present[2]!.size, 3 * MIB)
  const listed = await admin.json<{ uploads: Upload[] }>('/storage/uploads?state=open')
  assert.deepEqual(
    listed.uploads.map(({ id }) => id),
    [upload.id],
  )
  const early = await confirm(admin, upload.id)
  assert.equal(early.status, 409)
  assert.match(early.body.message, /missing: 3, 4, 5, 6$/)

  await sendParts(admin, again, bytes, [3, 4, 5, 6])
  bucket.counts.reset()
  assert.equal((await confirm(admin, upload.id)).body.state, 'received')
  await server.runJobs()
  const done = await show(admin, upload.id)
  assert.equal(done.state, 'done')
  assert.equal(bucket.counts.of('CompleteMultipartUpload'), 1)
  assert.equal(bucket.counts.of('GetObject'), 1)
  assert.equal(await admin.sha256OfOriginal(done.assetId!), hashOf('sha256', bytes))
})

test('other bytes than announced never become an asset, and are removed', async (t) => {
  // One byte of what is kept is another than what was acknowledged.
  const server = await startDirectServer(t)
  const { admin, bucket } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'damaged.jpg')
  bucket.profile.bucketSilentlyDamages = true
  assert.equal(await send(upload.put!, bytes), 200)
  bucket.profile.bucketSilentlyDamages = false
  await confirm(admin, upload.id)
  await server.runJobs()
  const failed = await show(admin, upload.id)
  assert.equal(failed.state, 'failed')
  assert.match(failed.reason!, /another SHA-256/)
  assert.equal(failed.assetId, null)
  assert.equal(
    bucket.counts.of('GetObject'),
    4,
    'the second reading decides, and the marker and the counter say whose word it is',
  )
  assert.equal((await admin.json<{ images: number }>('/assets/statistics')).images, 0)
  assert.equal((await objectKeys(server)).length, 1, 'kept for as long as its URL could put it there again')
  await letExpire(server, upload.id)
  await server.runJobs()
  assert.deepEqual(await objectKeys(server), [])
  const { rowCount } = await server.pool.query('select from stored_object')
  assert.equal(rowCount, 0)

  const second = await ask(admin, bytes, 'damaged.jpg')
  assert.notEqual(second.id, upload.id, 'the same file may be tried again')
  const lie = await photo()
  const other = await ask(admin, lie, 'lie.jpg', { sha1: hashOf('sha1', bytes) })
  assert.equal(await send(other.put!, lie), 200)
  await confirm(admin, other.id)
  await server.runJobs()
  assert.match((await show(admin, other.id)).reason!, /another SHA-1/)
})

test('what is not confirmed in time or given up is removed, unfinished parts included', async (t) => {
  const server = await startDirectServer(t)
  const { admin, bucket } = server
  const [bytes, film] = [await photo(), randomBytes(33 * MIB)]
  const late = await ask(admin, bytes, 'late.jpg')
  assert.equal(await send(late.put!, bytes), 200)
  const parts = await ask(admin, film, 'film.mp4')
  await sendParts(admin, parts, film, [1, 2])
  const untouched = await ask(admin, await photo(), 'untouched.jpg')

  for (const id of [late.id, parts.id]) await letExpire(server, id)
  assert.equal((await confirm(admin, late.id)).status, 409)
  assert.equal(await sweepDirectUploads({ ...server, log: silentLog }), 2)
  await server.runJobs()
  assert.match((await show(admin, parts.id)).reason!, /not confirmed in time/)
  assert.equal((await confirm(admin, parts.id)).body.state, 'abandoned')
  // All of it was there: its client may have died right before it confirmed.
  assert.equal((await show(admin, late.id)).state, 'done')
  assert.equal((await objectKeys(server)).length, 1)
  assert.equal(bucket.counts.of('AbortMultipartUpload'), 1)
  assert.equal((await show(admin, untouched.id)).state, 'open')

  assert.equal((await admin.call(`/storage/uploads/${untouched.id}`, { method: 'DELETE' })).status, 204)
  assert.equal((await admin.call(`/storage/uploads/${untouched.id}`, { method: 'DELETE' })).status, 204)
  assert.equal((await show(admin, untouched.id)).state, 'abandoned')
  await letExpire(server, untouched.id)
  await server.runJobs()
  const left = await server.pool.query(
    `select from replica r join stored_object o on o.id = r.object_id where not o.is_linked or r.state = 'writing'`,
  )
  assert.equal(left.rowCount, 0)
})

test('a purge waits until no URL can put the bytes back', async (t) => {
  const server = await startDirectServer(t)
  const { admin } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'short-lived.jpg')
  await send(upload.put!, bytes)
  await confirm(admin, upload.id)
  await server.runJobs()
  const { assetId } = await show(admin, upload.id)
  const init = {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [assetId], force: true }),
  }
  assert.equal((await admin.call('/assets', init)).status, 204)
  await server.runJobs()
  assert.equal(await countJobs(server, 'purge-object'), 1)
  assert.equal((await objectKeys(server)).length, 1, 'an absent key would take the same bytes again')
  await letExpire(server, upload.id)
  await server.runJobs()
  assert.deepEqual(await objectKeys(server), [])
})

test('a quota counts what is under way, and gets it back', async (t) => {
  const server = await startDirectServer(t)
  const bytes = [await photo(), await photo(), await photo()] as const
  const user = await server.newUser('ada', { quotaBytes: Math.ceil(bytes[0].length * 2.5) })
  const first = await ask(user, bytes[0], '1.jpg')
  const second = await ask(user, bytes[1], '2.jpg')
  const refused = await post(user, '', announce(bytes[2], '3.jpg'))
  assert.equal(refused.status, 400)
  assert.deepEqual(await refused.json(), { message: 'Quota has been exceeded!' })
  await assert.rejects(user.upload(bytes[2], '3.jpg'), /Quota has been exceeded!/)
  assert.equal((await user.call(`/storage/uploads/${second.id}`, { method: 'DELETE' })).status, 204)
  await send(first.put!, bytes[0])
  await confirm(user, first.id)
  await server.runJobs()
  assert.equal((await post(user, '', announce(bytes[2], '3.jpg'))).status, 400, 'its URL still holds')
  await letExpire(server, second.id)
  await server.runJobs()
  const third = await ask(user, bytes[2], '3.jpg')
  assert.equal(third.status, 'created', 'what was given up is free again')
  assert.equal(
    (await post(user, '', announce(bytes[1], '2.jpg'))).status,
    400,
    'an asset counts once, not twice',
  )
  const racing = await server.newUser('bea', { quotaBytes: Math.ceil(bytes[0].length * 1.5) })
  const answers = await Promise.all(
    bytes.map((each, index) => post(racing, '', announce(each, `${index}.jpg`))),
  )
  assert.equal(answers.filter(({ status }) => status === 201).length, 1)
})

test('nobody else can see, sign for, confirm or delete an upload', async (t) => {
  const server = await startDirectServer(t)
  const [ada, bea] = [await server.newUser('ada'), await server.newUser('bea')]
  const bytes = randomBytes(33 * MIB)
  const upload = await ask(ada, bytes, 'film.mp4')
  const part = { number: 1, size: 5 * MIB, md5: hashOf('md5', bytes.subarray(0, 5 * MIB)) }
  for (const client of [bea, server.admin]) {
    assert.equal((await client.call(`/storage/uploads/${upload.id}`)).status, 404)
    assert.equal((await post(client, `/${upload.id}/parts`, { parts: [part] })).status, 404)
    assert.equal((await confirm(client, upload.id)).status, 404)
    assert.equal((await client.call(`/storage/uploads/${upload.id}`, { method: 'DELETE' })).status, 404)
    assert.deepEqual(await client.json('/storage/uploads'), { uploads: [] })
  }
  const theirs = await ask(bea, bytes, 'film.mp4')
  assert.notEqual(theirs.id, upload.id, 'the same bytes of another person are another upload')
  assert.equal((await fetch(`${server.url}/api/storage/uploads`)).status, 401)
})

test('what a client may say is checked, with the field and the remedy', async (t) => {
  const server = await startDirectServer(t, { maxUploadBytes: 50 * MIB })
  const { admin } = server
  const bytes = await photo()
  const good = announce(bytes, 'a.jpg')
  for (const [change, words] of [
    [{ size: 0 }, /empty/],
    [{ size: 1.5 }, /int/],
    [{ size: -1 }, /empty/],
    [{ sha256: 'zz' }, /64 hexadecimal digits/],
    [{ sha1: undefined }, /sha1/],
    [{ md5: undefined }, /needed for files up to/],
    [{ md5: 'xyz' }, /32 hexadecimal digits/],
    [{ fileName: 'notes.txt' }, /Unsupported file type/],
    [{ fileName: '' }, /fileName/],
    [{ fileCreatedAt: 'yesterday' }, /ISO 8601/],
    [{ visibility: 'locked' }, /visibility/],
    [{ livePhotoVideoId: '8f9d5a10-0000-4000-8000-000000000000' }, /Live photo video not found/],
  ] as const) {
    const response = await post(admin, '', { ...good, ...change })
    assert.equal(response.status, 400, JSON.stringify(change))
    assert.match(await response.text(), words)
  }
  assert.equal((await post(admin, '', { ...good, size: 51 * MIB })).status, 413)
  const film = randomBytes(33 * MIB)
  const upload = await ask(admin, film, 'film.mp4')
  const md5 = hashOf('md5', film.subarray(0, 5 * MIB))
  for (const parts of [
    [],
    [{ number: 8, size: 5 * MIB, md5 }],
    [{ number: 1, size: 6 * MIB, md5 }],
    [{ number: 1, size: 5 * MIB }],
    Array.from({ length: 101 }, () => ({ number: 1, size: 5 * MIB, md5 })),
  ]) {
    assert.equal((await post(admin, `/${upload.id}/parts`, { parts })).status, 400)
  }
  const single = await ask(admin, bytes, 'a.jpg')
  assert.equal(
    (await post(admin, `/${single.id}/parts`, { parts: [{ number: 1, size: 5, md5 }] })).status,
    400,
  )
  assert.equal((await post(admin, '', { ...good, md5 })).status, 409, 'the same SHA-256 with another MD5')
})

test('no bucket, an unprobed one or a switch that is off is said, and nothing is taken', async (t) => {
  const server = await startDirectServer(t)
  await server.pool.query(`update location set is_healthy = false, health_error = 'it burns' where id = 's3'`)
  const config = await server.admin.json<{ isAvailable: boolean; reason: string; check: null }>(
    '/storage/uploads/config',
  )
  assert.equal(config.isAvailable, false)
  assert.match(config.reason, /it burns/)
  const response = await post(server.admin, '', announce(await photo(), 'a.jpg'))
  assert.equal(response.status, 503)
  assert.match(await response.text(), /it burns/)
  assert.equal((await server.pool.query('select from stored_object')).rowCount, 0)
})

test('the same bytes by two ways are one asset', async (t) => {
  const server = await startDirectServer(t)
  const { admin } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'a.jpg')
  await send(upload.put!, bytes)
  await confirm(admin, upload.id)
  const { id } = await admin.upload(bytes, 'b.jpg')
  await server.runJobs()
  const ended = await show(admin, upload.id)
  assert.equal(ended.state, 'duplicate')
  assert.equal(ended.assetId, id)
  await letExpire(server, upload.id)
  await server.pool.query(`update stored_object set created_at = now() - interval '2 days'`)
  await server.runJobs()
  const keys = await objectKeys(server)
  assert.equal(keys.length, 1, "the asset's own")
  const asked = await Promise.all([1, 2, 3].map(async () => ask(admin, Buffer.from('not a photo'), 'c.jpg')))
  assert.equal(new Set(asked.map((each) => each.id)).size, 1, 'asked three times at once: one upload')
})

test('a file over the recall limit is proven without a local copy', async (t) => {
  const server = await startDirectServer(t, { settings: { recallMaxBytes: 1_000 } })
  const { admin } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'large.jpg')
  await send(upload.put!, bytes)
  await confirm(admin, upload.id)
  await server.runJobs()
  const done = await show(admin, upload.id)
  assert.equal(done.state, 'done')
  assert.equal(await admin.sha256OfOriginal(done.assetId!), hashOf('sha256', bytes))
  const { processingError } = await admin.json<{ processingError: string }>(`/assets/${done.assetId}`)
  assert.match(processingError, /recall\.maxBytes/)
})
