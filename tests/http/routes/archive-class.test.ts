import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { io } from 'socket.io-client'
import { checkRestores } from '../../../src/placement/classes/check-restores.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { withLocalFile } from '../../../src/placement/reads/recall.ts'
import { policyOf } from '../../support/placement.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'
import { photo } from '../../support/server-with-bucket.ts'
import { countOf, startClassBucket } from '../../support/storage/class-bucket.ts'

const HOUR_MS = 3_600_000
const GLACIER = { original: { class: 'GLACIER', rules: [] } }

/** A server whose originals go to GLACIER at once, and whose clock and the bucket's can be put forward. */
async function start(t: TestContext) {
  const bucket = await startClassBucket()
  let aheadMs = 0
  const server = await startTestServer(t, {
    remotes: [],
    originals: ['bucket'],
    extra: [{ ...bucket.location, provider: 'aws' }],
    classes: GLACIER,
    now: () => new Date(Date.now() + aheadMs),
  })
  t.after(() => bucket.close())
  return {
    server,
    bucket: bucket.server,
    pass(ms: number) {
      aheadMs += ms
      bucket.server.profile.archiveClockAheadMs = aheadMs
    },
  }
}

/** Larger than what stays in STANDARD. */
async function archivedPhoto(
  server: TestServer,
  client = server.admin,
): Promise<{ id: string; bytes: Buffer }> {
  const bytes = Buffer.concat([await photo(), randomBytes(200 * 1024)])
  const { id } = await client.upload(bytes, `${randomBytes(4).toString('hex')}.jpg`)
  await server.runJobs()
  return { id, bytes }
}

type Archive = {
  state: string
  storageClass: string | null
  expectedAt: string | null
  availableUntil: string | null
  options: { tier: string; expectedMinutes: number; price: { amount: number; currency: string } | null }[]
}

const archiveOf = (server: TestServer, id: string) => server.admin.json<Archive>(`/storage/archive/${id}`)
const restore = (server: TestServer, id: string, body: object) =>
  server.admin.call(`/storage/archive/${id}/restore`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

test('an archived original says so, is restored, served, and archived again', async (t) => {
  const { server, bucket, pass } = await start(t)
  const { admin } = server
  const { id, bytes } = await archivedPhoto(server)
  const gets = countOf(bucket, 'GetObject')

  const thumbnail = await admin.call(`/assets/${id}/thumbnail`)
  assert.equal(thumbnail.status, 200, 'browsing is as ever')
  const refused = await admin.call(`/assets/${id}/original`)
  assert.equal(refused.status, 409)
  const said = (await refused.json()) as { message: string; code: string; archive: Archive }
  assert.match(said.message, /archived/)
  assert.deepEqual(
    [said.code, said.archive.state, said.archive.storageClass],
    ['archived', 'archived', 'GLACIER'],
  )
  const head = await admin.call(`/assets/${id}/original`, { method: 'HEAD' })
  assert.deepEqual([head.status, Number(head.headers.get('content-length'))], [200, bytes.length])

  const before = await archiveOf(server, id)
  assert.deepEqual(
    before.options.map(({ tier, expectedMinutes }) => [tier, expectedMinutes]),
    [
      ['bulk', 720],
      ['standard', 300],
      ['expedited', 5],
    ],
  )
  const [bulk, standard, expedited] = before.options.map(({ price }) => price!.amount)
  assert.ok(bulk! < standard! && standard! < expedited!, JSON.stringify(before.options))

  assert.equal((await restore(server, id, { tier: 'slow', days: 3 })).status, 400)
  assert.equal((await restore(server, id, { tier: 'standard', days: 1000 })).status, 400)
  const restores = countOf(bucket, 'RestoreObject')
  const accepted = await restore(server, id, { tier: 'standard', days: 3 })
  assert.equal(accepted.status, 202)
  assert.equal(((await accepted.json()) as Archive).state, 'restoring')
  await restore(server, id, { tier: 'standard', days: 3 })
  await server.runJobs()
  assert.equal(restores.hits, 1)
  const waiting = (await (await admin.call(`/assets/${id}/original`)).json()) as typeof said
  assert.match(waiting.message, /being restored/)
  assert.ok(Date.parse(waiting.archive.expectedAt!) > Date.now() + 4 * HOUR_MS)
  assert.equal(gets.hits, 0, 'nobody asks the bucket for bytes that it will not give')

  const told = new Promise<{ assetId: string; availableUntil: string }>((resolve) => {
    const socket = io(server.url, {
      path: '/api/socket.io',
      transports: ['websocket'],
      extraHeaders: { authorization: `Bearer ${admin.token}` },
    })
    t.after(() => socket.disconnect())
    socket.on('on_archive_restore', resolve)
    socket.on('on_server_version', async () => {
      await checkRestores(server.placement)
      assert.equal((await archiveOf(server, id)).state, 'restoring')
      pass(6 * HOUR_MS)
      await checkRestores(server.placement)
    })
  })
  const event = await told
  assert.equal(event.assetId, id)
  const restored = await archiveOf(server, id)
  assert.deepEqual([restored.state, restored.availableUntil], ['restored', event.availableUntil])
  const got = await admin.call(`/assets/${id}/original`)
  assert.deepEqual(Buffer.from(await got.arrayBuffer()), bytes)

  pass(5 * 24 * HOUR_MS)
  assert.equal((await admin.call(`/assets/${id}/original`)).status, 409)
  await checkRestores(server.placement)
  assert.equal((await archiveOf(server, id)).availableUntil, null)
})

test('a restore that the bucket refuses is taken back, and the open page is told', async (t) => {
  const { server, bucket } = await start(t)
  const { admin } = server
  const { id } = await archivedPhoto(server)
  bucket.profile.denied = ['s3:RestoreObject']
  const socket = io(server.url, {
    path: '/api/socket.io',
    transports: ['websocket'],
    extraHeaders: { authorization: `Bearer ${admin.token}` },
  })
  t.after(() => socket.disconnect())
  await new Promise((resolve) => socket.on('on_server_version', resolve))
  const told = new Promise((resolve) => socket.on('on_archive_refuse', resolve))
  const asked = await admin.call('/storage/archive/restore', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ assetIds: [id], tier: 'bulk', days: 1, dryRun: false }),
  })
  assert.equal(asked.status, 202)
  assert.equal((await archiveOf(server, id)).state, 'restoring')
  await server.runJobs()
  assert.equal(await told, id)
  assert.equal((await archiveOf(server, id)).state, 'archived')

  const refused = await restore(server, id, { tier: 'bulk', days: 1 })
  assert.equal(refused.status, 403)
  assert.match(await refused.text(), /The bucket refused it: RestoreObject .* s3:RestoreObject/)
  const other = await server.newUser('other')
  const theirs = await archivedPhoto(server, other)
  const answer = await other.call(`/storage/archive/${theirs.id}/restore`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ tier: 'bulk', days: 1 }),
  })
  const said = await answer.text()
  assert.deepEqual([answer.status, /photos|s3:/.test(said)], [403, false], said)
})

test('work that needs an archived original fails at once, once, and clearly', async (t) => {
  const { server, bucket } = await start(t)
  const { id } = await archivedPhoto(server)
  const objectId = await originalOf(server, id)
  const gets = countOf(bucket, 'GetObject')
  await assert.rejects(
    withLocalFile(server.placement, objectId, 'test', async () => undefined),
    {
      code: 'archived',
    },
  )
  await server.admin.call('/assets/jobs', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'regenerate-thumbnail', assetIds: [id] }),
  })
  await server.runJobs()
  const { processing } = await server.admin.json<{ processing: { state: string } }>(`/storage/receipts/${id}`)
  assert.equal(processing.state, 'done', 'what was made before stays')
  // Elsewhere from now on: nothing can be copied yet, and nothing is tried in vain.
  server.placement.policy = policyOf(['local'])
  await replicateObject(server.placement, { objectId, to: 'local' })
  const { rowCount } = await server.pool.query('select from job_failure')
  assert.deepEqual([rowCount, gets.hits], [0, 0])
})

test('an original that the bucket archived by itself is learnt at the first read, and a restore brings it where it belongs', async (t) => {
  const { server, bucket, pass } = await start(t)
  server.placement.classes = {}
  const { id, bytes } = await archivedPhoto(server)
  const objectId = await originalOf(server, id)
  const key = (await loadObject(server.db, objectId))!.replicas[0]!.key
  await bucket.stored.reclass(key, 'DEEP_ARCHIVE')
  const first = await server.admin.call(`/assets/${id}/original`)
  assert.equal(first.status, 409)
  assert.equal(((await first.json()) as { archive: Archive }).archive.storageClass, 'DEEP_ARCHIVE')
  assert.match(
    await (await restore(server, id, { tier: 'expedited', days: 1 })).text(),
    /write standard or bulk/,
  )
  assert.equal((await restore(server, id, { tier: 'bulk', days: 1 })).status, 202)
  server.placement.policy = policyOf(['local'])
  pass(49 * HOUR_MS)
  await checkRestores(server.placement)
  await server.runJobs()
  const { replicas } = (await loadObject(server.db, objectId))!
  assert.deepEqual(
    replicas.map(({ locationId, state }) => [locationId, state]),
    [['local', 'verified']],
  )
  pass(10 * 24 * HOUR_MS)
  assert.deepEqual(
    Buffer.from(await (await server.admin.call(`/assets/${id}/original`)).arrayBuffer()),
    bytes,
  )
})

test('an archived replica is proof enough to give up the local one, and none may be given up for a missing one', async (t) => {
  const { server, bucket } = await start(t)
  const { id } = await archivedPhoto(server)
  const objectId = await originalOf(server, id)
  const places = async () =>
    (await loadObject(server.db, objectId))!.replicas.map(({ locationId, state }) => `${locationId} ${state}`)
  assert.deepEqual(await places(), ['bucket verified'], 'HEAD proved it')

  const second = await server.admin.upload(
    Buffer.concat([await photo(), randomBytes(200 * 1024)]),
    'second.jpg',
  )
  const other = await originalOf(server, second.id)
  await replicateObject(server.placement, { objectId: other, to: 'bucket' })
  await server.pool.query('delete from local_lease')
  const replica = (await loadObject(server.db, other))!.replicas.find((one) => one.locationId === 'bucket')!
  assert.equal(replica.storageClass, 'GLACIER')
  await bucket.stored.vanish(replica.key)
  await evictReplica(server.placement, { objectId: other, from: 'local' })
  const states = (await loadObject(server.db, other))!.replicas.map((one) => `${one.locationId} ${one.state}`)
  assert.deepEqual(states.sort(), ['bucket suspect', 'local verified'])
})

test('many are restored with their price seen first; an archive for download names what it lacks', async (t) => {
  const { server, bucket, pass } = await start(t)
  const mine = [await archivedPhoto(server), await archivedPhoto(server)]
  const stranger = await server.newUser('stranger')
  const theirs = await archivedPhoto(server, stranger)
  const post = (client: typeof server.admin, path: string, body: object) =>
    client.call(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const zip = await post(server.admin, '/download/archive', { assetIds: mine.map(({ id }) => id) })
  assert.equal(zip.status, 409)
  const complaint = (await zip.json()) as { message: string; archived: string[] }
  assert.match(complaint.message, /2 of 2 originals are archived/)
  assert.equal(complaint.archived.length, 2)

  const album = (await (
    await post(server.admin, '/albums', {
      albumName: 'a',
      assetIds: mine.map(({ id }) => id),
    })
  ).json()) as { id: string }
  const restores = countOf(bucket, 'RestoreObject')
  const wish = { albumId: album.id, tier: 'standard', days: 2 }
  const dry = await post(server.admin, '/storage/archive/restore', wish)
  assert.equal(dry.status, 200)
  const plan = (await dry.json()) as Record<string, unknown> & { price: { amount: number } }
  assert.deepEqual(
    [plan.isDryRun, plan.count, plan.bytes, plan.restoring, plan.expectedMinutes],
    [true, 2, mine[0]!.bytes.length + mine[1]!.bytes.length, 0, 300],
  )
  assert.ok(plan.price.amount > 0)
  assert.deepEqual([plan.total, plan.restored, plan.availableUntil, plan.expectedAt], [2, 0, null, null])
  const options = plan.options as { tier: string; count: number; expectedMinutes: number; price: object }[]
  assert.deepEqual(
    options.map(({ tier, count, expectedMinutes }) => [tier, count, expectedMinutes]),
    [
      ['bulk', 2, 720],
      ['standard', 2, 300],
      ['expedited', 2, 5],
    ],
  )
  assert.deepEqual(options[1]!.price, plan.price, 'the same for the tier that was asked for')
  await server.runJobs()
  assert.equal(restores.hits, 0, 'a dry run asks for nothing')

  const done = await post(server.admin, '/storage/archive/restore', { ...wish, dryRun: false })
  assert.equal(done.status, 202)
  await server.runJobs()
  assert.equal(restores.hits, 2)
  const again = (await (await post(server.admin, '/storage/archive/restore', wish)).json()) as typeof plan
  assert.deepEqual([again.count, again.restoring, again.options], [0, 2, []])
  assert.ok(Date.parse(again.expectedAt as string) > Date.now() + 4 * HOUR_MS)
  pass(6 * HOUR_MS)
  await checkRestores(server.placement)
  const there = (await (await post(server.admin, '/storage/archive/restore', wish)).json()) as typeof plan
  assert.deepEqual([there.count, there.restoring, there.restored, there.expectedAt], [0, 0, 2, null])
  assert.ok(Date.parse(there.availableUntil as string) > Date.now() + 24 * HOUR_MS)
  assert.equal(
    (await post(server.admin, '/download/archive', { assetIds: mine.map(({ id }) => id) })).status,
    200,
  )

  // What is somebody else's is nobody's to see or to pay for.
  for (const [method, path] of [
    ['GET', `/storage/archive/${mine[0]!.id}`],
    ['POST', `/storage/archive/${mine[0]!.id}/restore`],
  ] as const) {
    const answer =
      method === 'GET' ? await stranger.call(path) : await post(stranger, path, { tier: 'bulk', days: 1 })
    assert.equal(answer.status, 400, path)
  }
  const listed = await post(stranger, '/storage/archive/restore', { assetIds: [mine[0]!.id], tier: 'bulk' })
  assert.equal(listed.status, 400)
  assert.equal(
    (await post(stranger, '/storage/archive/restore', { assetIds: [theirs.id], tier: 'bulk' })).status,
    200,
  )
})

test('a restore that no bucket ever accepted is asked for again, and taken back when its time is long over', async (t) => {
  const { server, bucket, pass } = await start(t)
  const { id } = await archivedPhoto(server)
  const down = bucket.faults.add({
    match: { operation: 'RestoreObject' },
    fault: { kind: 'status', status: 500, code: 'InternalError' },
  })
  await restore(server, id, { tier: 'bulk', days: 2 })
  // The job used up its attempts while the bucket was away.
  await server.pool.query(
    "update graphile_worker._private_jobs set attempts = max_attempts where key like 'restore:%'",
  )
  assert.equal((await archiveOf(server, id)).state, 'restoring')
  await checkRestores(server.placement)
  const jobs = await server.pool.query(
    "select attempts from graphile_worker._private_jobs where key like 'restore:%'",
  )
  assert.deepEqual(jobs.rows, [{ attempts: 0 }])
  await checkRestores(server.placement)
  down.remove()
  const restores = countOf(bucket, 'RestoreObject')
  await server.runJobs()
  assert.equal(restores.hits, 1, 'and then it is accepted')
  pass(49 * HOUR_MS)
  assert.equal(await checkRestores(server.placement), 1)
  assert.equal((await archiveOf(server, id)).state, 'restored')

  pass(5 * 24 * HOUR_MS)
  await checkRestores(server.placement)
  bucket.faults.add({
    match: { operation: 'RestoreObject' },
    fault: { kind: 'status', status: 500, code: 'InternalError' },
  })
  await restore(server, id, { tier: 'bulk', days: 2 })
  pass(3 * 24 * HOUR_MS)
  assert.equal(await checkRestores(server.placement), 0)
  assert.equal((await archiveOf(server, id)).state, 'restoring')
  pass(2 * 24 * HOUR_MS)
  assert.equal(await checkRestores(server.placement), 1)
  assert.equal((await archiveOf(server, id)).state, 'archived', 'it can be asked for anew')
})

test('an archived original that is missing when its restore is looked at is suspect; of another place nothing is believed', async (t) => {
  const { server, bucket } = await start(t)
  const { id } = await archivedPhoto(server)
  const objectId = await originalOf(server, id)
  await restore(server, id, { tier: 'bulk', days: 2 })
  const { key } = (await loadObject(server.db, objectId))!.replicas[0]!
  const state = async () => (await loadObject(server.db, objectId))!.replicas.map((one) => one.state)

  await bucket.stored.vanish(key)
  // Another bucket under the same name: what it lacks says nothing.
  forgetLooks(server.placement)
  const marker = await bucket.stored.bytes('.glassine-location')
  await bucket.stored.vanish('.glassine-location')
  assert.equal(await checkRestores(server.placement), 0)
  assert.deepEqual(await state(), ['verified'])

  await server.placement.locations.get('bucket')!.backend.writeMarker(marker.toString().trim())
  await server.pool.query(`update replica_restore set check_at = now() - interval '1 second'`)
  assert.equal(await checkRestores(server.placement), 1)
  assert.deepEqual(await state(), ['suspect'])
  const { rowCount } = await server.pool.query('select from replica_restore')
  assert.equal(rowCount, 0, 'nobody asks every five minutes')
})

async function originalOf(server: TestServer, assetId: string): Promise<string> {
  const { rows } = await server.pool.query<{ id: string }>(
    'select original_object_id as id from asset where id = $1',
    [assetId],
  )
  return rows[0]!.id
}
