/**
 * The ledger is an older snapshot of itself, in which an upload past the server was open that has been
 * acknowledged since.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { sweepDirectUploads } from '../../../src/library/direct-uploads/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { loadObject, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import {
  beginOwning,
  endOwning,
  forgetLooks,
} from '../../../src/placement/locations/counter/confirmations.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { adoptBytes } from '../../../src/placement/replica-io/adopt-bytes.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { bodyOf } from '../../storage/contract/bodies.ts'
import { restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import {
  ask,
  confirm,
  type DirectServer,
  hashOf,
  send,
  sendParts,
  show,
  startDirectServer,
  type Upload,
} from '../../support/http/direct-upload.ts'
import { photo } from '../../support/server-with-bucket.ts'
import { passClassTime } from '../../support/storage/class-bucket.ts'

const PART_BYTES = 512 * 1024
/** Seven parts, and more than one put takes in these tests. */
const IN_PARTS_BYTES = 6.5 * PART_BYTES
const ALL_PARTS = [1, 2, 3, 4, 5, 6, 7]

type Way = {
  name: string
  bytes: () => Promise<Buffer>
  /** Before the snapshot, and after it. */
  first(server: DirectServer, upload: Upload, bytes: Buffer): Promise<unknown>
  since(server: DirectServer, upload: Upload, bytes: Buffer): Promise<unknown>
}
const WAYS: Way[] = [
  {
    name: 'a single put',
    bytes: () => photo(),
    first: async () => undefined,
    since: (_, upload, bytes) => send(upload.put!, bytes),
  },
  {
    name: 'parts that were there',
    bytes: async () => randomBytes(IN_PARTS_BYTES),
    first: ({ admin }, upload, bytes) => sendParts(admin, upload, bytes, ALL_PARTS),
    since: async () => undefined,
  },
  {
    name: 'parts that were not begun',
    bytes: async () => randomBytes(IN_PARTS_BYTES),
    first: async () => undefined,
    since: ({ admin }, upload, bytes) => sendParts(admin, upload, bytes, ALL_PARTS),
  },
]

/** Of small parts: the 33 MiB that are sent in those of S3 would be hashed a dozen times in a test. */
function start(t: TestContext, options: Parameters<typeof startDirectServer>[1]): Promise<DirectServer> {
  return startDirectServer(t, {
    ...options,
    profile: { minPartBytes: PART_BYTES },
    settings3: { partBytes: PART_BYTES },
    maxPutBytes: 6 * PART_BYTES,
  })
}

const heldKeys = async ({ bucket }: DirectServer) =>
  (await bucket.stored.objects()).map(({ key }) => key).filter((key) => key.includes('/users/'))

/** The snapshot is put back, and so old that every time that it knows of is over. */
async function restoreOld({ pool }: DirectServer, snapshot: Awaited<ReturnType<typeof takeSnapshot>>) {
  await restoreSnapshot(pool, snapshot)
  await pool.query(`
    update direct_upload set expires_at = now() - interval '1 day';
    update stored_object set created_at = now() - interval '2 days';
    update replica set writable_until = null, lease_expires_at = now() - interval '1 day' where state = 'writing'`)
}

const sweepUploads = (server: DirectServer) => sweepDirectUploads({ ...server, log: silentLog })

async function acknowledgedSince(t: TestContext, way: Way) {
  // No counter tells a snapshot of less than a minute ago, however slow the machine is.
  const server = await start(t, { settings: { counterGoodForMs: 3_600_000 } })
  const bytes = await way.bytes()
  const name = way.name === 'a single put' ? 'a.jpg' : 'film.mp4'
  const upload = await ask(server.admin, bytes, name)
  await way.first(server, upload, bytes)
  const snapshot = await takeSnapshot(server.pool)
  await way.since(server, upload, bytes)
  await confirm(server.admin, upload.id)
  await server.runJobs()
  const { state, assetId } = await show(server.admin, upload.id)
  assert.equal(state, 'done')
  const held = await heldKeys(server)
  assert.equal(held.length, 1)
  const isBack = async () => {
    await server.runJobs()
    const now = await show(server.admin, upload.id)
    assert.deepEqual([now.state, now.assetId], ['done', assetId], now.reason ?? '')
    assert.deepEqual(await heldKeys(server), held)
    assert.equal(await server.admin.sha256OfOriginal(assetId!), hashOf('sha256', bytes))
  }
  return { server, bytes, name, snapshot, held, isBack }
}

for (const way of WAYS) {
  for (const order of ['uploads first', 'files first'] as const) {
    test(`A1: a direct upload that was open in the snapshot and acknowledged since comes back: ${way.name}, ${order}`, async (t) => {
      const { server, snapshot, held, isBack } = await acknowledgedSince(t, way)
      await restoreOld(server, snapshot)
      assert.equal((await server.admin.json<{ total: number }>('/assets/statistics')).total, 0)
      if (order === 'files first') await sweepPlacement(server.placement)
      await sweepUploads(server)
      await sweepPlacement(server.placement)
      assert.deepEqual(await heldKeys(server), held)
      await isBack()
      await sweepPlacement(server.placement)
      await isBack()
    })
  }
}

test('A1: a direct upload that was open in the snapshot comes back after an adoption of the bucket', async (t) => {
  const { server, snapshot, held, isBack } = await acknowledgedSince(t, WAYS[0]!)
  const { placement } = server
  // The counter tells that it is older; an administrator takes over what is there.
  await restoreOld(server, snapshot)
  await server.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  await beginAdoption(placement, 's3', 'test')
  const report = await adoptLocation(placement, { locationId: 's3' })
  assert.equal(report!.held.count, 1)
  await sweepUploads(server)
  await sweepPlacement(placement)
  assert.deepEqual(await heldKeys(server), held)
  await isBack()
})

test('A1: a direct upload that has expired, and is proven meanwhile, becomes its asset', async (t) => {
  const { server, snapshot, isBack } = await acknowledgedSince(t, WAYS[0]!)
  await restoreOld(server, snapshot)
  // As an earlier version left it: right bytes without an asset.
  await server.pool.query(
    `update replica set state = 'verified', proof_level = 4, proof = '{"method":"read-back"}', verified_at = now(), lease_expires_at = null`,
  )
  await sweepUploads(server)
  await isBack()
})

/**
 * Confirmed or not in the snapshot; done since, and its bytes under another key; then the snapshot was put
 * back, and what the bucket holds taken over. `held`: the new key.
 */
async function movedSince(t: TestContext, inSnapshot: 'open' | 'received') {
  let aheadMs = 0
  const server = await start(t, {
    settings: { counterGoodForMs: 3_600_000 },
    classes: { original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'STANDARD_IA' }] } },
    now: () => new Date(Date.now() + aheadMs),
  })
  const { admin, db, pool, placement } = server
  // No photo; but large enough for its class to be changed.
  const bytes = randomBytes(200 * 1024)
  const upload = await ask(admin, bytes, 'a.jpg')
  await send(upload.put!, bytes)
  if (inSnapshot === 'received') await confirm(admin, upload.id)
  const snapshot = await takeSnapshot(pool)
  if (inSnapshot === 'open') await confirm(admin, upload.id)
  await server.runJobs()
  const { assetId } = await show(admin, upload.id)
  const { object_id: objectId } = await db
    .selectFrom('direct_upload')
    .select('object_id')
    .executeTakeFirstOrThrow()
  const before = await heldKeys(server)
  aheadMs = 31 * 24 * 3_600_000
  await changeClass(placement, { objectId, at: 's3' })
  aheadMs = 0
  await passClassTime(db)
  await sweepPlacement(placement)
  const held = await heldKeys(server)
  assert.equal(held.length, 1)
  assert.notDeepEqual(held, before)

  await restoreOld(server, snapshot)
  await pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  await beginAdoption(placement, 's3', 'test')
  assert.equal((await adoptLocation(placement, { locationId: 's3' }))!.adopted.count, 1)
  return { server, upload, assetId: assetId!, bytes, objectId, held }
}

for (const inSnapshot of ['received', 'open'] as const) {
  test(`L1: a direct upload that was ${inSnapshot} in the snapshot comes back from the key that its bytes have by now`, async (t) => {
    const { server, upload, assetId, bytes, held } = await movedSince(t, inSnapshot)
    await sweepUploads(server)
    await server.runJobs()
    const { state, reason, assetId: asset } = await show(server.admin, upload.id)
    assert.deepEqual([state, asset, reason], ['done', assetId, null])
    assert.equal(await server.admin.sha256OfOriginal(assetId), hashOf('sha256', bytes))
    await sweepPlacement(server.placement)
    assert.deepEqual(await heldKeys(server), held)
  })
}

test('L1: a received direct upload whose replica was found, and is doubted, is proven by its bytes', async (t) => {
  const { server, upload, assetId, objectId } = await movedSince(t, 'received')
  const { replicas } = (await loadObject(server.db, objectId))!
  assert.ok(await suspectReplica(server.db, replicas[0]!, 'test', 'a doubt'))
  await sweepUploads(server)
  await server.runJobs()
  const { state, assetId: asset } = await show(server.admin, upload.id)
  assert.deepEqual([state, asset], ['done', assetId])
  const { proof } = await server.db.selectFrom('replica').select('proof').executeTakeFirstOrThrow()
  assert.ok(!('doubt' in (proof as object)))
})

test('L1: a received direct upload whose replica was found, and is gone by now, fails, and can be sent again', async (t) => {
  const { server, upload, bytes, held } = await movedSince(t, 'received')
  await server.bucket.stored.vanish(held[0]!)
  await sweepUploads(server)
  await server.runJobs()
  assert.equal((await show(server.admin, upload.id)).state, 'failed')
  assert.equal((await ask(server.admin, bytes, 'a.jpg')).status, 'created')
})

/**
 * Received or open in the snapshot, acknowledged since and moved to this disk, which was adopted first.
 * `left`: what the bucket holds of it. `found`: what lies on the disk by now.
 */
async function movedHomeSince(
  t: TestContext,
  {
    inSnapshot = 'received',
    way = WAYS[0]!,
    left = 'nothing',
    found,
  }: {
    inSnapshot?: 'received' | 'open'
    way?: Way
    left?: 'nothing' | 'all'
    found?: (bytes: Buffer) => Buffer
  } = {},
) {
  const server = await start(t, { settings: { counterGoodForMs: 3_600_000, removalWaitMs: 0 } })
  const { admin, pool, placement } = server
  const bytes = way === WAYS[0] ? await photo(64) : await way.bytes()
  const name = way === WAYS[0] ? 'a.jpg' : 'film.mp4'
  const upload = await ask(admin, bytes, name)
  if (left === 'all' || inSnapshot === 'received') {
    await way.first(server, upload, bytes)
    await way.since(server, upload, bytes)
  }
  if (inSnapshot === 'received') await confirm(admin, upload.id)
  const { rows } = await pool.query<{ id: string }>('select object_id as id from direct_upload')
  const objectId = rows[0]!.id
  const { object } = (await loadObject(server.db, objectId))!
  const key = freshKey(object)
  await placement.local.backend.put(key, bodyOf(found?.(bytes) ?? bytes), {})
  await server.db.transaction().execute(async (tx) => {
    const proof = { method: 'read-back' as const }
    await adoptBytes(
      tx,
      { objectId, locationId: placement.local.id, key },
      { level: 4, proof, actor: 'test' },
    )
  })
  if (left === 'nothing') for (const held of await heldKeys(server)) await server.bucket.stored.vanish(held)
  const assertBack = async () => {
    await server.runJobs()
    const { state, reason, assetId } = await show(admin, upload.id)
    assert.deepEqual([state, reason], ['done', null])
    assert.equal(await admin.sha256OfOriginal(assetId!), hashOf('sha256', bytes))
  }
  return { server, upload, bytes, name, objectId, assertBack }
}

const expire = ({ pool }: DirectServer) =>
  pool.query(`
    update direct_upload set expires_at = now() - interval '1 day';
    update replica set writable_until = null, lease_expires_at = now() - interval '1 day' where state = 'writing'`)

for (const way of WAYS.slice(0, 2)) {
  test(`A1: an open direct upload that was found at another location becomes its photo when its time is over: ${way.name}`, async (t) => {
    const { server, objectId, assertBack } = await movedHomeSince(t, { inSnapshot: 'open', way })
    await expire(server)
    await sweepPlacement(server.placement)
    await sweepUploads(server)
    const { object } = (await loadObject(server.db, objectId))!
    assert.equal(object.state, 'live')
    await assertBack()
    await sweepPlacement(server.placement)
    await assertBack()
  })

  for (const request of ['announced', 'confirmed'] as const)
    test(`A1: ${request} again, an open direct upload that was found at another location comes back, and nothing is sent twice: ${way.name}`, async (t) => {
      const { server, upload, bytes, name, assertBack } = await movedHomeSince(t, { inSnapshot: 'open', way })
      const { state } =
        request === 'announced'
          ? await ask(server.admin, bytes, name)
          : (await confirm(server.admin, upload.id)).body
      assert.equal(state, 'received')
      await assertBack()
    })
}

test('A1: what was found of a direct upload and is wrong by now is no reason to fail it where its write is right', async (t) => {
  const flip = (bytes: Buffer) => Buffer.from(bytes.map((byte, at) => (at === 100 ? byte ^ 255 : byte)))
  const { server, objectId, assertBack } = await movedHomeSince(t, { left: 'all', found: flip })
  await assertBack()
  const { replicas } = (await loadObject(server.db, objectId))!
  const states = Object.fromEntries(replicas.map(({ locationId, state }) => [locationId, state]))
  assert.equal(states.s3, 'verified')
  assert.notEqual(states[server.placement.local.id], 'verified')
})

test('A1: a received direct upload that was found at another location becomes its photo', async (t) => {
  const { server, upload, bytes } = await movedHomeSince(t)
  await server.runJobs()
  const { state, assetId } = await show(server.admin, upload.id)
  assert.equal(state, 'done')
  const response = await server.admin.call(`/assets/${assetId}/original`)
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes)
})

test('A1: given up by its owner, what an adoption has found of it is not removed unseen', async (t) => {
  const { server, upload, objectId } = await movedHomeSince(t)
  const given = await server.admin.call(`/storage/uploads/${upload.id}`, { method: 'DELETE' })
  assert.equal(given.status, 204)
  // The URL's end, which the purge waits for.
  await server.pool.query(`update replica set writable_until = now() - interval '1 day'`)
  await server.pool.query('update graphile_worker._private_jobs set run_at = now()')
  await server.runJobs()
  const { replicas } = (await loadObject(server.db, objectId))!
  assert.deepEqual(
    replicas.filter(({ state }) => state === 'verified').map(({ locationId }) => locationId),
    [server.placement.local.id],
  )
})

test('A1: a received upload that can not be proven for another ledger is not given up, and comes back', async (t) => {
  const server = await start(t, { settings: { counterGoodForMs: 3_600_000, removalWaitMs: 0 } })
  const { admin, pool, placement } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'a.jpg')
  await send(upload.put!, bytes)
  await confirm(admin, upload.id)
  const snapshot = await takeSnapshot(pool)
  await server.runJobs()
  const { state, assetId } = await show(admin, upload.id)
  assert.equal(state, 'done')
  await restoreSnapshot(pool, snapshot)
  await pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  forgetLooks(placement)
  // It stands among the failures of the storage page until somebody decides about the bucket.
  const given = await admin.call(`/storage/uploads/${upload.id}`, { method: 'DELETE' })
  assert.equal(given.status, 409)
  await beginAdoption(placement, 's3', 'test')
  await adoptLocation(placement, { locationId: 's3' })
  await pool.query(`update replica set writable_until = now() - interval '1 day'`)
  await sweepUploads(server)
  await server.runJobs()
  assert.equal((await show(admin, upload.id)).state, 'done')
  assert.equal(await admin.sha256OfOriginal(assetId!), hashOf('sha256', bytes))
})

for (const way of WAYS) {
  test(`P2: announced again before a sweep, such an upload comes back, and nothing is sent twice: ${way.name}`, async (t) => {
    const { server, bytes, name, snapshot, isBack } = await acknowledgedSince(t, way)
    await restoreOld(server, snapshot)
    const again = await ask(server.admin, bytes, name)
    assert.deepEqual([again.status, again.state, again.put], ['open', 'received', null])
    await isBack()
  })
}

for (const request of ['announced', 'confirmed'] as const) {
  test(`P2: ${request} again after an adoption has found its bytes elsewhere, an open upload comes back`, async (t) => {
    const { server, upload, assetId, bytes, held } = await movedSince(t, 'open')
    await server.pool.query(`update direct_upload set expires_at = now() + interval '1 hour'`)
    const { state } =
      request === 'announced'
        ? await ask(server.admin, bytes, 'a.jpg')
        : (await confirm(server.admin, upload.id)).body
    assert.equal(state, 'received')
    await server.runJobs()
    const now = await show(server.admin, upload.id)
    assert.deepEqual([now.state, now.assetId], ['done', assetId])
    assert.deepEqual(await heldKeys(server), held)
  })
}

const IN_PARTS = WAYS.slice(1)

/** The snapshot is put back while the upload still has time, as its client sees it. */
async function restoredWhileOpen(t: TestContext, way: Way) {
  const since = await acknowledgedSince(t, way)
  await restoreSnapshot(since.server.pool, since.snapshot)
  const { rows } = await since.server.pool.query<{ id: string }>('select id from direct_upload')
  return { ...since, uploadId: rows[0]!.id }
}

for (const way of IN_PARTS) {
  for (const request of ['announced', 'confirmed'] as const)
    test(`A1: ${request} again in time, an upload in parts that are an object by now comes back, and nothing is sent twice: ${way.name}`, async (t) => {
      const { server, bytes, name, uploadId, isBack } = await restoredWhileOpen(t, way)
      const { state } =
        request === 'announced'
          ? await ask(server.admin, bytes, name)
          : (await confirm(server.admin, uploadId)).body
      assert.equal(state, 'received')
      await isBack()
    })
}

for (const [sent, numbers, isLate] of [
  ['some of its parts again', [1, 2], true],
  ['all of its parts again, which became damaged', ALL_PARTS, false],
] as const)
  test(`A1: an acknowledged upload whose client sends ${sent} keeps its bytes`, async (t) => {
    const { server, bytes, uploadId, held, isBack } = await restoredWhileOpen(t, WAYS[2]!)
    // Its client asks for no more than URLs, as one that goes on by itself does.
    const upload = await show(server.admin, uploadId)
    await sendParts(server.admin, upload, randomBytes(bytes.length), [...numbers])
    if (isLate) await server.pool.query(`update direct_upload set expires_at = now() - interval '1 day'`)
    else await confirm(server.admin, uploadId)
    await sweepUploads(server)
    await isBack()
    await sweepPlacement(server.placement)
    await isBack()
    const { multipart } = server.placement.locations.get('s3')!.backend
    const left = await Array.fromAsync(multipart!.listUnfinished(''))
    assert.deepEqual(left, [], 'no parts are paid for')
    assert.deepEqual(await heldKeys(server), held)
  })

for (const way of IN_PARTS)
  test(`A1: given up by its client, the bytes of an acknowledged upload in parts are not removed unseen: ${way.name}`, async (t) => {
    const { server, uploadId, held } = await restoredWhileOpen(t, way)
    const given = await server.admin.call(`/storage/uploads/${uploadId}`, { method: 'DELETE' })
    assert.equal(given.status, 204)
    await server.runJobs()
    assert.deepEqual(await heldKeys(server), held)
  })

for (const inSnapshot of ['open', 'received'] as const)
  test(`A1: given up by its client after a restore, the bytes of an acknowledged single put are not removed unseen: ${inSnapshot} in the snapshot`, async (t) => {
    const server = await start(t, { settings: { counterGoodForMs: 3_600_000, removalWaitMs: 0 } })
    const { admin, pool, placement } = server
    const bytes = await photo()
    const upload = await ask(admin, bytes, 'a.jpg')
    await send(upload.put!, bytes)
    if (inSnapshot === 'received') await confirm(admin, upload.id)
    const snapshot = await takeSnapshot(pool)
    if (inSnapshot === 'open') await confirm(admin, upload.id)
    await server.runJobs()
    assert.equal((await show(admin, upload.id)).state, 'done')
    const held = await heldKeys(server)
    await restoreSnapshot(pool, snapshot)
    // As after the start that follows a restore.
    endOwning(placement, placement.locations.get('s3')!)
    await beginOwning(placement, placement.locations.get('s3')!)

    const given = await admin.call(`/storage/uploads/${upload.id}`, { method: 'DELETE' })
    assert.equal(given.status, 204)
    // The URL's end, which the purge waits for.
    await pool.query(`update replica set writable_until = now() - interval '1 day'`)
    await pool.query('update graphile_worker._private_jobs set run_at = now()')
    await server.runJobs()
    assert.deepEqual(await heldKeys(server), held)
  })
