/**
 * Ends of direct uploads when something comes in between: another bucket, a second request, a place that is
 * gone, a late put.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { isOpen } from '../../../src/library/direct-uploads/rows.ts'
import { knownKey } from '../../../src/placement/keys.ts'
import type { Location } from '../../../src/placement/location.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { recalledCopies } from '../../../src/placement/reads/recall-space.ts'
import { listHeldParts, prolongPut } from '../../../src/placement/uploads/direct-write.ts'
import {
  announce,
  ask,
  confirm,
  type DirectServer,
  hashOf,
  post,
  send,
  sendParts,
  show,
  startDirectServer,
} from '../../support/http/direct-upload.ts'
import { photo } from '../../support/server-with-bucket.ts'

const MIB = 1024 * 1024
const runNow = ({ pool }: DirectServer) =>
  pool.query('update graphile_worker._private_jobs set run_at = now()')
const keysIn = async ({ bucket }: DirectServer) =>
  (await bucket.stored.objects()).map(({ key }) => key).filter((key) => key.includes('/users/'))
const giveUp = (client: DirectServer['admin'], id: string) =>
  client.call(`/storage/uploads/${id}`, { method: 'DELETE' })

async function writeOf({ pool }: DirectServer, id: string) {
  const { rows } = await pool.query(
    'select r.* from replica r join direct_upload u on u.object_id = r.object_id where u.id = $1',
    [id],
  )
  const [row] = rows
  return {
    objectId: row.object_id as string,
    locationId: row.location_id as string,
    key: knownKey(row.key),
    multipartId: row.upload_id as string | null,
  }
}

async function sendFilm(server: DirectServer, bytes: Buffer) {
  const upload = await ask(server.admin, bytes, 'film.mp4')
  await sendParts(server.admin, upload, bytes, [1, 2, 3, 4, 5, 6, 7])
  return upload
}

test('what another bucket says ends no upload', async (t) => {
  const server = await startDirectServer(t)
  const { admin, bucket } = server
  const [bytes, film] = [await photo(), randomBytes(33 * MIB)]
  const single = await ask(admin, bytes, 'a.jpg')
  await send(single.put!, bytes)
  const parts = await sendFilm(server, film)
  for (const { id } of [single, parts]) await confirm(admin, id)
  // Of the same name and empty: nothing is there, the marker neither.
  for (const method of ['GET', 'HEAD'])
    bucket.faults.add({ match: { method }, fault: { kind: 'status', status: 404, code: 'NoSuchKey' } })
  await server.runJobs()
  for (const { id } of [single, parts]) {
    assert.equal(
      (await admin.json<{ uploads: { state: string }[] }>(`/storage/uploads?ids=${id}`)).uploads[0]!.state,
      'received',
    )
  }
  bucket.faults.clear()
  await runNow(server)
  await server.runJobs()
  for (const { id } of [single, parts]) assert.equal((await show(admin, id)).state, 'done')
})

test('a look at an upload that was confirmed meanwhile takes nothing away from its proof', async (t) => {
  const server = await startDirectServer(t)
  const { admin, bucket } = server
  const bytes = randomBytes(33 * MIB)
  const upload = await sendFilm(server, bytes)
  const write = await writeOf(server, upload.id)
  await confirm(admin, upload.id)
  // The parts become an object, which can't be read yet.
  bucket.faults.add({
    match: { operation: 'GetObject', key: /users\// },
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  await server.runJobs()
  assert.equal(bucket.counts.of('CompleteMultipartUpload'), 1)
  assert.deepEqual(await listHeldParts(server.placement, write, isOpen), [], 'the parts are gone')
  assert.equal((await writeOf(server, upload.id)).multipartId, write.multipartId, 'and their upload is known')
  // As one that was forgotten before.
  await server.pool.query("update replica set upload_id = ''")
  bucket.faults.clear()
  await runNow(server)
  await server.runJobs()
  const done = await show(admin, upload.id)
  assert.equal(done.state, 'done', done.reason ?? '')
  assert.equal(await admin.sha256OfOriginal(done.assetId!), hashOf('sha256', bytes))
})

test('confirmed twice at once, both answers are right', async (t) => {
  const server = await startDirectServer(t)
  const { admin, bucket } = server
  const upload = await sendFilm(server, randomBytes(33 * MIB))
  const held = bucket.faults.add({
    match: { operation: 'ListParts' },
    times: 1,
    fault: { kind: 'delay', ms: 3_000 },
  })
  const late = confirm(admin, upload.id)
  while (held.hits === 0) await new Promise((go) => setTimeout(go, 10))
  assert.equal((await confirm(admin, upload.id)).body.state, 'received')
  await server.runJobs()
  const { status, body } = await late
  assert.equal(status, 200, body.message)
  assert.ok(['received', 'done'].includes(body.state), body.state)
  assert.equal((await show(admin, upload.id)).state, 'done')
})

test('a confirmed upload whose place is gone can be given up, by an administrator as well', async (t) => {
  const server = await startDirectServer(t)
  const [ada, bea] = [await server.newUser('ada'), await server.newUser('bea')]
  const files = [await photo(), await photo(), await photo()] as const
  const ids: string[] = []
  for (const bytes of files) {
    const upload = await ask(ada, bytes, 'a.jpg')
    await send(upload.put!, bytes)
    await confirm(ada, upload.id)
    ids.push(upload.id)
  }
  const locations = server.placement.locations as Map<string, Location>
  const bucket = locations.get('s3')!
  locations.delete('s3')
  await server.runJobs()
  assert.equal((await giveUp(bea, ids[0]!)).status, 404)
  assert.equal((await giveUp(ada, ids[0]!)).status, 204)
  assert.equal((await giveUp(ada, ids[0]!)).status, 204, 'twice is as once')
  assert.equal((await giveUp(server.admin, ids[1]!)).status, 204)
  assert.match((await show(ada, ids[1]!)).reason!, /administrator/)
  locations.set('s3', bucket)
  await runNow(server)
  await server.runJobs()
  const done = await show(ada, ids[2]!)
  assert.equal(done.state, 'done')
  assert.equal((await show(ada, ids[0]!)).state, 'abandoned', 'its proof comes too late')
  const refused = await giveUp(ada, ids[2]!)
  assert.equal(refused.status, 409)
  assert.match(await refused.text(), /asset already/)
  assert.equal((await giveUp(server.admin, ids[2]!)).status, 404, "an asset's upload is its owner's")
  assert.equal(await ada.sha256OfOriginal(done.assetId!), hashOf('sha256', files[2]))
})

test('a put that lands after the purge is removed, and for a day whatever else does', async (t) => {
  const server = await startDirectServer(t)
  const { admin, pool, placement } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'slow.jpg')
  const write = await writeOf(server, upload.id)
  await giveUp(admin, upload.id)
  await assert.rejects(prolongPut(server.db, write, isOpen), { code: 'conflict' })
  // As if its URL had ended; one put had begun before and is slow.
  await pool.query(`update replica set writable_until = now() - interval '1 second'`)
  await runNow(server)
  await server.runJobs()
  assert.equal((await pool.query('select from stored_object')).rowCount, 0)
  const due = () => pool.query('update key_to_clear set clear_at = now(), retry_at = null')
  for (let late = 0; late < 2; late += 1) {
    assert.equal(await send(upload.put!, bytes), 200)
    assert.equal((await sweepPlacement(placement)).clearedKeys, 0, 'not due yet')
    await due()
    assert.equal((await sweepPlacement(placement)).clearedKeys, 1)
    assert.deepEqual(await keysIn(server), [])
  }
  assert.equal(await send(upload.put!, bytes), 200)
  await due()
  server.bucket.faults.add({
    match: { method: 'GET' },
    fault: { kind: 'status', status: 404, code: 'NoSuchKey' },
  })
  forgetLooks(placement)
  assert.equal((await sweepPlacement(placement)).clearedKeys, 0, 'not at another bucket')
  server.bucket.faults.clear()
  await pool.query(`update key_to_clear set writable_until = now() - interval '25 hours'`)
  assert.equal((await sweepPlacement(placement)).clearedKeys, 1)
  assert.deepEqual(await keysIn(server), [])
  assert.equal((await pool.query('select from key_to_clear')).rowCount, 0)
})

test('what was given up counts against the quota until no URL can bring it back', async (t) => {
  const server = await startDirectServer(t)
  const [first, second, film] = [await photo(), await photo(), randomBytes(33 * MIB)]
  const user = await server.newUser('ada', { quotaBytes: 34 * MIB })
  const parts = await ask(user, film, 'film.mp4')
  await sendParts(user, parts, film, [1])
  await giveUp(user, parts.id)
  const early = await post(user, '', announce(film, 'film.mp4'))
  assert.equal(early.status, 400, 'its parts are still there')
  await server.runJobs()
  const again = await ask(user, film, 'film.mp4')
  assert.equal(again.status, 'created')
  await giveUp(user, again.id)
  await server.runJobs()

  await server.pool.query('update app_user set quota_bytes = $1 where id = $2', [
    first.length + 1,
    user.userId,
  ])
  const upload = await ask(user, first, '1.jpg')
  await send(upload.put!, first)
  await giveUp(user, upload.id)
  await server.runJobs()
  assert.equal((await post(user, '', announce(second, '2.jpg'))).status, 400)
  await server.pool.query(`update replica set writable_until = now() - interval '1 second'`)
  await runNow(server)
  await server.runJobs()
  if (second.length <= first.length + 1) assert.equal((await ask(user, second, '2.jpg')).status, 'created')
  else assert.equal((await ask(user, first, '1.jpg')).status, 'created')
})

test('a proof that fails at its end leaves no local copy, and the next one does', async (t) => {
  const server = await startDirectServer(t)
  const { admin, pool, placement } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'a.jpg')
  await send(upload.put!, bytes)
  await confirm(admin, upload.id)
  await pool.query(`
    create function refuse_asset() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
    create trigger refuse_asset before insert on asset for each row execute function refuse_asset()`)
  await server.runJobs()
  assert.equal((await show(admin, upload.id)).state, 'received')
  assert.equal(recalledCopies(placement).byObject.size, 0)
  assert.equal(recalledCopies(placement).onDisk.size, 0)
  assert.deepEqual(await readdir(placement.recallFolder), [])
  await pool.query('drop trigger refuse_asset on asset')
  await runNow(server)
  await server.runJobs()
  assert.equal((await show(admin, upload.id)).state, 'done')
  const { byObject, onDisk } = recalledCopies(placement)
  assert.deepEqual([...byObject.values()], [...onDisk])
  assert.equal((await readdir(placement.recallFolder)).length, 1)
})

test('parts that become an object while their upload is given up are removed', async (t) => {
  const server = await startDirectServer(t)
  const { admin, pool, placement } = server
  const upload = await sendFilm(server, randomBytes(33 * MIB))
  const write = await writeOf(server, upload.id)
  await confirm(admin, upload.id)
  // The job has looked, and asks the bucket after the upload was given up.
  const multipart = placement.locations.get('s3')!.backend.multipart!
  const parts = await multipart.listParts(write.key, write.multipartId!)
  assert.equal((await giveUp(admin, upload.id)).status, 204)
  await server.runJobs()
  await multipart.complete(write.key, write.multipartId!, parts)
  assert.equal((await keysIn(server)).length, 1)
  await pool.query(`update replica set writable_until = now() - interval '1 second'`)
  await runNow(server)
  await server.runJobs()
  assert.deepEqual(await keysIn(server), [])
  assert.equal((await show(admin, upload.id)).state, 'abandoned')
})

for (const isDeleted of [false, true])
  test(`what was sent twice goes when it can, also when the photo was deleted for good: ${isDeleted}`, async (t) => {
    const server = await startDirectServer(t)
    const { admin, pool } = server
    const bytes = await photo()
    const upload = await ask(admin, bytes, 'photo.jpg')
    await send(upload.put!, bytes)
    const { id } = await admin.upload(bytes, 'photo.jpg')
    await server.runJobs()
    await confirm(admin, upload.id)
    await server.runJobs()
    assert.equal((await show(admin, upload.id)).state, 'duplicate')
    assert.equal((await keysIn(server)).length, 2)
    if (isDeleted)
      await admin.call('/assets', {
        method: 'DELETE',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ids: [id], force: true }),
      })
    await server.runJobs()
    // A day later, when no URL can put it again and a twin in the bucket counts.
    await pool.query(`update stored_object set created_at = now() - interval '25 hours'`)
    await pool.query(`update replica set writable_until = now() - interval '24 hours'`)
    await runNow(server)
    await server.runJobs()
    assert.equal((await keysIn(server)).length, isDeleted ? 0 : 1)
  })
