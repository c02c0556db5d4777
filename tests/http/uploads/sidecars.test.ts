/**
 * A sidecar that was acknowledged is not given up for another one, unless it is certain that it is lost:
 * "could not be looked at" is not "is not there".
 */
import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { sweepLibrary } from '../../../src/library/server/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import { type DirectServer, hashOf, startDirectServer } from '../../support/http/direct-upload.ts'
import { placesOf } from '../../support/placement.ts'
import { photo } from '../../support/server-with-bucket.ts'
import { advanceAsAnother } from '../../support/storage/foreign-counter.ts'

const xmp = (rating: number) =>
  `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="${rating}"/></rdf:RDF></x:xmpmeta>`

type Answer = { status: number; id: string; message?: string }

/** `announced`: the checksum of the photo, in the header. */
async function post(
  { admin }: Pick<DirectServer, 'admin'>,
  bytes: Buffer,
  sidecar: string | null,
  announced?: string,
): Promise<Answer> {
  const form = new FormData()
  const now = new Date().toISOString()
  form.set('fileCreatedAt', now)
  form.set('fileModifiedAt', now)
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'photo.jpg')
  if (sidecar !== null) form.set('sidecarData', new Blob([sidecar]), 'photo.jpg.xmp')
  const headers: Record<string, string> = announced === undefined ? {} : { 'x-immich-checksum': announced }
  const response = await admin.call('/assets', { method: 'POST', body: form, headers })
  const { id, message } = (await response.json()) as { id: string; message?: string }
  return { status: response.status, id, ...(message !== undefined && { message }) }
}

/** The one that the asset has by now. */
async function sidecarOf({ db }: DirectServer, assetId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('asset_file')
    .select('object_id')
    .where('asset_id', '=', assetId)
    .where('kind', '=', 'sidecar')
    .executeTakeFirst()
  return row?.object_id
}

const ratingOf = async ({ admin }: DirectServer, id: string) =>
  (await admin.json<{ exifInfo: { rating: number | null } }>(`/assets/${id}`)).exifInfo.rating

const heldSidecar = async ({ bucket }: DirectServer) =>
  (await bucket.stored.objects()).find(({ key }) => key.includes('/sidecar.'))

/** A photo with a sidecar of rating 3 that is in the bucket alone. */
async function startWithSidecar(t: TestContext, options: Parameters<typeof startDirectServer>[1] = {}) {
  const server = await startDirectServer(t, options)
  Object.assign(server.placement.policy, { sidecar: ['s3'] })
  const bytes = await photo()
  const { id } = await post(server, bytes, xmp(3))
  // The local copy stays for as long as processing needs it.
  await server.runJobs()
  const sidecar = (await sidecarOf(server, id))!
  assert.deepEqual(await placesOf(server.db, sidecar), ['s3 verified'])
  /** Nothing of the sidecar was given up, and when its place is well again it is the asset's. */
  const assertKept = async () => {
    await server.runJobs()
    assert.equal(await sidecarOf(server, id), sidecar)
    assert.ok(await heldSidecar(server), 'its bytes stay')
    const { object } = (await loadObject(server.db, sidecar))!
    assert.equal(object.state, 'live')
  }
  return { server, id, bytes, sidecar, assertKept }
}

test('A3: a sidecar at a place that another ledger uses is not replaced by another one, until it can be looked at', async (t) => {
  const { server, id, bytes, sidecar, assertKept } = await startWithSidecar(t)
  const { pool, placement } = server
  await pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  forgetLooks(placement)
  const refused = await post(server, bytes, xmp(5))
  assert.equal(refused.status, 503)
  assert.match(refused.message ?? '', /sidecarData: .* was not replaced .*Send it again/)
  await assertKept()
  // The photo alone is kept here, and the same sidecar is no other one.
  assert.deepEqual(await post(server, bytes, null), { status: 200, id })

  await pool.query(`update location_counter set conflict = null, conflict_since = null`)
  forgetLooks(placement)
  assert.deepEqual(await post(server, bytes, xmp(5)), { status: 200, id })
  await assertKept()
  assert.deepEqual(await placesOf(server.db, sidecar), ['s3 verified'])
  assert.equal(await ratingOf(server, id), 3)
})

test('A3: another ledger that nobody has noticed yet is noticed before a sidecar is replaced', async (t) => {
  const { server, bytes, assertKept } = await startWithSidecar(t)
  const { pool, placement } = server
  // As if its row in this older ledger were of a replica that was moved to the bucket since.
  await pool.query(`update replica set state = 'suspect' where location_id = 's3'`)
  await advanceAsAnother(placement.locations.get('s3')!.backend)
  assert.equal((await post(server, bytes, xmp(5))).status, 503)
  await assertKept()
})

test('A3: a sidecar in a bucket that does not answer is not replaced, though its proof is old', async (t) => {
  const { server, bytes } = await startWithSidecar(t, { settings: { answerWithinMs: 2_000 } })
  await server.pool.query(`update replica set verified_at = now() - interval '49 hours'`)
  const fault = server.bucket.faults.add({
    match: {},
    fault: { kind: 'status', status: 503, code: 'SlowDown' },
  })
  assert.equal((await post(server, bytes, xmp(5))).status, 503)
  // The same one is no loss.
  assert.equal((await post(server, bytes, xmp(3))).status, 200)
  fault.remove()
  await server.runJobs()
  assert.equal(await ratingOf(server, (await post(server, bytes, null)).id), 3)
})

test('A3: a sidecar that an older ledger knows as unfinished is found, and stays', async (t) => {
  const server = await startDirectServer(t)
  const { db, pool, placement } = server
  const bytes = await photo()
  const { id } = await post(server, bytes, xmp(3))
  await server.runJobs()
  const sidecar = (await sidecarOf(server, id))!
  Object.assign(placement.policy, { sidecar: ['s3'] })
  await replicateObject(placement, { objectId: sidecar, to: 's3' })
  const snapshot = await takeSnapshot(pool)
  await evictReplica(placement, { objectId: sidecar, from: 'local' })
  await restoreSnapshot(pool, snapshot)
  await pool.query('alter table replica disable trigger user')
  await pool.query(
    `update replica set state = 'writing', proof_level = null, proof = null, verified_at = null, lease_expires_at = now() - interval '1 minute'
     where object_id = $1 and location_id = 's3'`,
    [sidecar],
  )
  await pool.query('alter table replica enable trigger user')

  assert.equal((await post(server, bytes, xmp(5))).status, 200)
  assert.equal(await sidecarOf(server, id), sidecar)
  assert.ok((await placesOf(db, sidecar)).includes('s3 verified'))
  await server.runJobs()
  assert.ok(await heldSidecar(server))
  assert.equal(await ratingOf(server, id), 3)
})

test('A3: a sidecar of which nothing but the ETag has changed is read, and stays', async (t) => {
  // It reports no digest, as a bucket that was copied there may have been given other ETags.
  const profile = { ignoreChecksums: true, opaqueEtags: true }
  const { server, id, bytes, sidecar, assertKept } = await startWithSidecar(t, { profile })
  await server.pool.query(
    `update replica set proof = '{"method":"read-back","etag":"\\"0123456789abcdef0123456789abcdef\\""}', proof_level = 4 where object_id = $1`,
    [sidecar],
  )
  assert.deepEqual(await post(server, bytes, xmp(5)), { status: 200, id })
  await assertKept()
  assert.deepEqual(await placesOf(server.db, sidecar), ['s3 verified'])
})

for (const [what, lose] of [
  ['gone', ({ bucket }: DirectServer, key: string) => bucket.stored.vanish(key)],
  ['cut short', ({ bucket }: DirectServer, key: string) => bucket.stored.truncateStored(key)],
] as const)
  test(`A3: a sidecar that was looked at and is ${what} is replaced by the one that is sent`, async (t) => {
    const { server, id, bytes, sidecar } = await startWithSidecar(t)
    await lose(server, (await heldSidecar(server))!.key)
    assert.deepEqual(await post(server, bytes, xmp(5)), { status: 200, id })
    const now = (await sidecarOf(server, id))!
    assert.notEqual(now, sidecar)
    await server.runJobs()
    assert.equal(await loadObject(server.db, sidecar), null)
    assert.deepEqual(await placesOf(server.db, now), ['s3 verified'])
    assert.equal(await ratingOf(server, id), 5)
  })

test('A3: a local sidecar whose folder is not mounted is not replaced', async (t) => {
  const server = await startDirectServer(t)
  const bytes = await photo()
  const { id } = await post(server, bytes, xmp(3))
  await server.runJobs()
  const sidecar = (await sidecarOf(server, id))!
  await rename(server.mediaLocation, `${server.mediaLocation}.away`)
  assert.notEqual((await post(server, bytes, xmp(5))).status, 200)
  await rename(`${server.mediaLocation}.away`, server.mediaLocation)
  assert.equal(await sidecarOf(server, id), sidecar)
  assert.deepEqual(await placesOf(server.db, sidecar), ['local verified'])
})

/** So many uploads of one photo at once that most lose the race; the loser alone brings a sidecar. */
test('of uploads of one photo that race, the sidecar is kept whichever of them brought it', async (t) => {
  const server = await startDirectServer(t)
  let lostRaces = 0
  for (let round = 0; round < 6; round += 1) {
    const bytes = await photo()
    const answers = await Promise.all(
      [null, null, xmp(4), null].map((sidecar) => post(server, bytes, sidecar)),
    )
    if (answers[2]!.status === 200) lostRaces += 1
    const id = answers[0]!.id
    assert.deepEqual(new Set(answers.map((answer) => answer.id)), new Set([id]))
    await server.runJobs()
    const sidecar = await sidecarOf(server, id)
    assert.ok(sidecar, `round ${round}: ${JSON.stringify(answers)}`)
    assert.equal(await ratingOf(server, id), 4)
    const { object } = (await loadObject(server.db, sidecar))!
    assert.equal(object.sha256, hashOf('sha256', Buffer.from(xmp(4))))
    assert.equal(object.assetId, id)
  }
  assert.ok(lostRaces > 0, 'no upload with a sidecar lost its race')
})

test('a sidecar is kept that comes with a photo which is here, also where its checksum is announced', async (t) => {
  const server = await startDirectServer(t)
  const bytes = await photo()
  const { id } = await post(server, bytes, null)
  await server.runJobs()
  const announced = hashOf('sha1', bytes)
  assert.deepEqual(await post(server, bytes, xmp(4), announced), { status: 200, id })
  await server.runJobs()
  assert.equal(await ratingOf(server, id), 4)
  const sidecar = await sidecarOf(server, id)
  assert.deepEqual(await post(server, bytes, xmp(2), announced), { status: 200, id })
  assert.equal(await sidecarOf(server, id), sidecar)
})

test('another file that comes with a photo which is here is not taken for its sidecar', async (t) => {
  const server = await startDirectServer(t)
  const bytes = await photo()
  await post(server, bytes, xmp(3))
  await server.runJobs()
  const form = new FormData()
  for (const name of ['fileCreatedAt', 'fileModifiedAt']) form.set(name, new Date().toISOString())
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'photo.jpg')
  form.set('sidecarData', new Blob([xmp(3)]), 'photo.jpg.xmp')
  form.set('livePhotoData', new Blob([new Uint8Array(200_000)]), 'photo.mov')
  const headers = { 'x-immich-checksum': hashOf('sha1', bytes) }
  // Whose sender hears "duplicate" may delete the film, which is nowhere.
  const { status } = await server.admin.call('/assets', { method: 'POST', body: form, headers })
  assert.equal(status, 400)
})

test('a photo of an announced checksum that is here counts against no quota, and goes to no bucket', async (t) => {
  const server = await startDirectServer(t, {
    uploads: { upload: { strategy: 's3-first' }, rollout: null },
  })
  const bytes = Buffer.concat([await photo(), Buffer.alloc(40 * 1024 ** 2)])
  const { id } = await post(server, bytes, null)
  await server.runJobs()
  assert.equal(server.bucket.counts.of('CreateMultipartUpload'), 1)
  await server.pool.query('update app_user set quota_bytes = $1', [bytes.length + 1])
  server.bucket.counts.reset()
  assert.deepEqual(await post(server, bytes, xmp(4), hashOf('sha1', bytes)), { status: 200, id })
  assert.equal(server.bucket.counts.of('CreateMultipartUpload'), 0)
  assert.notEqual(await sidecarOf(server, id), undefined)
})

test('a sidecar that a sweep takes for left over while its photo arrives is never acknowledged', async (t) => {
  const server = await startDirectServer(t)
  const { admin, db, placement, pool } = server
  await post(server, await photo(), xmp(3))
  await server.runJobs()
  const bytes = await photo()
  const files = placement.local.backend.localFiles!
  const { adopt } = files
  let calls = 0
  // The sidecar comes first, and the same bytes are kept for the other photo.
  files.adopt = async (...given) => {
    calls += 1
    if (calls === 2) {
      await pool.query(
        `update stored_object set created_at = created_at - interval '2 days' where kind = 'sidecar'`,
      )
      assert.equal((await sweepLibrary({ db, placement, log: silentLog })).unreferencedObjects, 1)
    }
    return adopt.apply(files, given)
  }
  const refused = await post(server, bytes, xmp(3))
  files.adopt = adopt
  assert.equal(refused.status, 503)
  assert.match(refused.message!, /sidecarData/)
  await server.runJobs()
  const { status, id } = await post(server, bytes, xmp(3))
  assert.equal(status, 201)
  await server.runJobs()
  const kept = (await loadObject(db, (await sidecarOf(server, id))!))!
  assert.equal(kept.object.state, 'live')
  assert.equal((await admin.call(`/assets/${id}/original`)).status, 200)
})
