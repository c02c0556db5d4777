/**
 * A location that another ledger has used: what is shown of it, to whom, and how an administrator takes it
 * over.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { USERS_PREFIX } from '../../../src/placement/keys.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { forgetSeen } from '../../../src/placement/locations/counter/moved-installation.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import type { AdoptionReport } from '../../../src/placement/takeover/adoption.ts'
import type { LedgerStatus } from '../../../src/placement/takeover/ledger-status.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import type { Client } from '../../support/client.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'
import { advanceAsAnother } from '../../support/storage/foreign-counter.ts'

type Line = { state: string; report: AdoptionReport; message?: string }
type Status = {
  kept: { count: number; bytes: number }
  locations: { id: string; health: string; ledger: LedgerStatus }[]
}
type Health = {
  isDegraded: boolean
  message: string
  works: string[]
  waits: string[]
  places: { conflict: string | null; isBeingAdopted: boolean }[]
}

const PLAN = '/storage/locations/s3/adoption/plan'
const ADOPT = '/storage/locations/s3/adoption'
const post = (client: Client, path: string, signal?: AbortSignal) =>
  client.call(path, { method: 'POST', ...(signal && { signal }) })
const ledgerOf = async ({ admin }: TestServer, id = 's3') =>
  (await admin.json<Status>('/storage/status')).locations.find((one) => one.id === id)!.ledger
const linesOf = async (answer: Response): Promise<Line[]> =>
  (await answer.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

/** Three offloaded originals; then another ledger advances the counter, and the minute's check notices. */
async function inConflict(t: TestContext, options: Parameters<typeof startTestServer>[1] = {}) {
  const server = await startTestServer(t, options)
  const uploads = new Map<string, string>()
  for (let count = 0; count < 3; count += 1) {
    const bytes = randomBytes(2_000)
    const { id } = await server.admin.upload(bytes, `photo-${count}.jpg`)
    uploads.set(id, createHash('sha256').update(bytes).digest('hex'))
  }
  await server.runJobs()
  const s3 = server.remotes.get('s3')!
  await advanceAsAnother(s3.inner)
  await checkLocations(server.placement)
  return { server, s3, uploads }
}

test('A2: a location in conflict is told to everybody in plain words, and in detail to administrators alone', async (t) => {
  const server = await startTestServer(t)
  const user = await server.newUser('somebody')
  await checkLocations(server.placement)
  assert.deepEqual(await ledgerOf(server), { conflict: null, since: null, waiting: null, adoption: null })

  await advanceAsAnother(server.remotes.get('s3')!.inner)
  await checkLocations(server.placement)
  const ledger = await ledgerOf(server)
  assert.equal(ledger.conflict, 'another-ledger')
  assert.ok(Date.parse(ledger.since!) <= Date.now())
  assert.equal(ledger.adoption, null)

  const told = await user.json<Health>('/storage/health')
  assert.equal(told.isDegraded, true)
  assert.match(told.message, /older backup was put back, or a copy of this server is in use/)
  assert.match(told.message, /Looking at photos and uploading go on/)
  assert.deepEqual(told.works, ['browsing', 'uploading', 'opening and downloading originals'])
  assert.ok(told.waits.includes('removing files for good'))
  assert.equal('places' in told, false)
  assert.doesNotMatch(JSON.stringify(told), /s3|ledger|glassine/)
  const { places } = await server.admin.json<Health>('/storage/health')
  assert.deepEqual(
    places.map(({ conflict, isBeingAdopted }) => [conflict, isBeingAdopted]),
    [['another-ledger', false]],
  )
})

test('A2: with the media volume in conflict, the words say that uploads are refused, and they are', async (t) => {
  const server = await startTestServer(t, { settings: { counterGoodForMs: 0 } })
  const { id } = await server.admin.upload(randomBytes(1_000), 'before.jpg')
  await advanceAsAnother(server.disk.inner)
  await checkLocations(server.placement)
  const { message, works, waits } = await server.admin.json<Health>('/storage/health')
  assert.match(message, /Looking at photos goes on; uploads are refused until then/)
  assert.ok(!works.includes('uploading'))
  assert.ok(waits.includes('uploading, which is refused until then'))
  await assert.rejects(server.admin.upload(randomBytes(1_000), 'refused.jpg'), /answered 503/)
  assert.equal((await server.admin.call(`/assets/${id}/original`)).status, 200)
})

test('A2: planning and taking over are for administrators alone, by keys that may begin jobs', async (t) => {
  const { server } = await inConflict(t)
  const user = await server.newUser('somebody')
  for (const path of [PLAN, ADOPT]) {
    assert.equal((await fetch(`${server.url}/api${path}`, { method: 'POST' })).status, 401, path)
    assert.equal((await post(user, path)).status, 403, path)
    for (const [permissions, status] of [
      [['server.storage'], 403],
      [['job.create'], path === PLAN ? 200 : 202],
    ] as const) {
      const made = await server.admin.json<{ secret: string }>('/api-keys', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'key', permissions }),
      })
      const answer = await fetch(`${server.url}/api${path}`, {
        method: 'POST',
        headers: { 'x-api-key': made.secret },
      })
      assert.equal(answer.status, status, `${path} with ${permissions.join()}`)
      await answer.body?.cancel()
    }
    assert.equal((await post(server.admin, path.replace('/s3/', '/nowhere/'))).status, 404, path)
  }
})

test('A1: a plan tells in numbers what would be taken over, and writes nothing', async (t) => {
  const { server, s3 } = await inConflict(t)
  const [gone, other] = [...s3.inner.held.keys()]
  s3.inner.held.delete(gone!)
  const stray = `users/${randomUUID()}/${randomUUID()}/original.0123456789abcdef.jpg` as ObjectKey
  s3.inner.held.set(stray, { ...s3.inner.held.get(other!)! })
  const { rows: before } = await server.pool.query('select * from replica order by key')

  const answer = await post(server.admin, PLAN)
  assert.match(answer.headers.get('content-type') ?? '', /^application\/x-ndjson/)
  const lines = await linesOf(answer)
  assert.equal(lines[0]!.state, 'counting')
  assert.deepEqual(
    lines.filter(({ state }) => state !== 'counting').map(({ state }) => state),
    ['done'],
  )
  const { report } = lines.at(-1)!
  assert.deepEqual(
    [report.held, report.confirmed, report.missing, report.unknown].map(({ count }) => count),
    [3, 2, 1, 1],
  )
  assert.equal(report.held.bytes, 6_000)
  assert.deepEqual((await server.pool.query('select * from replica order by key')).rows, before)
  assert.equal((await ledgerOf(server)).adoption, null)
})

test('A1: a plan that fails half-way says so in its last line', async (t) => {
  const { server, s3 } = await inConflict(t)
  s3.backend.list = () => {
    throw new Error('users/secret-key can not be listed')
  }
  const last = (await linesOf(await post(server.admin, PLAN))).at(-1)!
  assert.deepEqual(last, { state: 'failed', message: 'Internal server error' })
})

test('A1: a plan ends when its reader leaves', async (t) => {
  const { server, s3 } = await inConflict(t)
  const list = s3.backend.list
  const isListing = Promise.withResolvers<void>()
  const hasEnded = Promise.withResolvers<void>()
  s3.backend.list = async function* (prefix, options) {
    isListing.resolve()
    await new Promise<void>((resolve) => options!.signal!.addEventListener('abort', () => resolve()))
    hasEnded.resolve()
    yield* list(prefix, options)
  }
  const reader = new AbortController()
  const answer = await post(server.admin, PLAN, reader.signal)
  await isListing.promise
  reader.abort()
  await assert.rejects(answer.text())
  await hasEnded.promise
})

test('A1: what is there is taken over by a job, once however often it is asked for, and shown to its end', async (t) => {
  const { server, s3, uploads } = await inConflict(t)
  assert.match(JSON.stringify(await ledgerOf(server)), /another-ledger/)
  for (let times = 0; times < 2; times += 1) assert.equal((await post(server.admin, ADOPT)).status, 202)
  const running = await ledgerOf(server)
  assert.deepEqual([running.conflict, running.adoption?.state], ['another-ledger', 'running'])
  const { message, places } = await server.admin.json<Health>('/storage/health')
  assert.equal(places[0]!.isBeingAdopted, true)
  assert.match(message, /An administrator has decided/)

  // Asked for once more while it runs: no second one begins beside it.
  const list = s3.backend.list
  let listings = 0
  s3.backend.list = async function* (prefix, options) {
    // It lists backups of the database by a prefix of their own.
    if (prefix === USERS_PREFIX) listings += 1
    assert.equal((await post(server.admin, ADOPT)).status, 202)
    yield* list(prefix, options)
  }
  await server.runJobs()
  assert.equal(listings, 1)
  const done = await ledgerOf(server)
  assert.deepEqual([done.conflict, done.since, done.adoption?.state], [null, null, 'done'])
  assert.equal(done.adoption!.report.confirmed.count, 3)
  assert.ok(Date.parse(done.adoption!.finishedAt!) >= Date.parse(done.adoption!.startedAt))
  assert.equal((await server.admin.json<Health>('/storage/health')).isDegraded, false)
  for (const [id, sha256] of uploads) assert.equal(await server.admin.sha256OfOriginal(id), sha256)

  const again = await post(server.admin, ADOPT)
  assert.equal(again.status, 409, 'there is nothing to take over any more')
  await again.body?.cancel()
})

test('A2: an installation that was moved says until when it waits, and that nothing is to be done', async (t) => {
  const bucket = openMemoryBackend()
  const server = await startTestServer(t, { remotes: [], extra: [locationOfBackend('s3', 'memory', bucket)] })
  await checkLocations(server.placement)
  // The disk is another one than that of whoever advanced the counter.
  await server.pool.query(`update location_counter set holder = 'another disk' where location_id = 's3'`)
  // And this a process that has just started: what the ledger itself advances while one looks on is no
  // copy's.
  forgetLooks(server.placement)
  forgetSeen(server.placement)
  await checkLocations(server.placement)
  const { conflict, waiting } = await ledgerOf(server)
  assert.equal(conflict, null)
  assert.ok(Date.parse(waiting!.until) > Date.now())
  assert.match((await server.admin.json<Health>('/storage/health')).message, /was moved or copied/)
})

test('A1: files that belong to no photo and are kept are counted', async (t) => {
  const server = await startTestServer(t)
  await server.admin.upload(randomBytes(3_000), 'photo.jpg')
  assert.deepEqual((await server.admin.json<Status>('/storage/status')).kept, { count: 0, bytes: 0 })
  await server.pool.query(`with kept as (
      insert into stored_object (id, kind, owner_id, size, sha256, content_type, extension, kept_since)
      values (gen_random_uuid(), 'original', gen_random_uuid(), 5000, decode(repeat('ab', 32), 'hex'), 'image/jpeg', 'jpg', now())
      returning id)
    insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
    select id, 'local', 'users/kept', 'writing', 'test', now() from kept`)
  assert.deepEqual((await server.admin.json<Status>('/storage/status')).kept, { count: 1, bytes: 5_000 })
})
