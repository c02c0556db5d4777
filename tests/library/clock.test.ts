import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { isClockInDoubt, observeClock } from '../../src/database/clock.ts'
import { restartTrashTime } from '../../src/library/assets/trash.ts'
import { LIBRARY_CLOCK_REPAIRS } from '../../src/library/server/clock-repairs.ts'
import { sweepLibrary } from '../../src/library/server/sweep.ts'
import { deleteUser, restartDeleteDelay } from '../../src/library/users/deletion.ts'
import { silentLog } from '../../src/log.ts'
import { placementClockRepairs } from '../../src/placement/ledger/clock-repairs.ts'
import { checkListing } from '../../src/placement/listing/check-listing.ts'
import { startWorker } from '../../src/queue/worker/worker.ts'
import { testHandlers } from '../queue/handlers.ts'
import { until } from '../support/eventually.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

const jpeg = () => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(1_000)])

/**
 * PostgreSQL's clock can't be set in a test; what it wrote can. That its clock jumps by so much is the same
 * as all that was written before lying so much further back.
 */
async function jump({ pool }: TestServer, interval: string): Promise<void> {
  await pool.query(`update clock_seen set seen_at = seen_at - $1::interval`, [interval])
  await pool.query(
    `update clock_gap set from_at = from_at - $1::interval, until_at = until_at - $1::interval`,
    [interval],
  )
  await pool.query(`update asset set deleted_at = deleted_at - $1::interval`, [interval])
  await pool.query(`update session set expires_at = expires_at - $1::interval`, [interval])
}
const look = (server: TestServer) =>
  observeClock(server.db, silentLog, [...placementClockRepairs(server.placement), ...LIBRARY_CLOCK_REPAIRS])
const sweep = ({ db, placement }: TestServer) => sweepLibrary({ db, placement, log: silentLog })

const intoTrash = (server: TestServer, id: string) =>
  server.admin.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [id] }),
  })

async function withTrash(t: TestContext) {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(jpeg(), 'x.jpg')
  await intoTrash(server, id)
  await look(server)
  return { server, id }
}

test('A9: a clock that is 40 days ahead does not empty the trash, and what was lived through counts', async (t) => {
  const { server } = await withTrash(t)
  await server.pool.query(`update asset set deleted_at = now() - interval '29 days'`)
  await jump(server, '40 days')
  assert.equal(await look(server), 'gap')
  assert.equal((await sweep(server)).purgedFromTrash, 0)
  // The last day and a half, minute by minute: here as one, that somebody has seen pass.
  await jump(server, '36 hours')
  await server.pool.query('update clock_seen set seen_at = now()')
  assert.equal(await look(server), 'steady')
  assert.equal((await sweep(server)).purgedFromTrash, 1)
})

/** A look comes once a minute, a sweep that is overdue by the jump at once. */
test('A9: what nobody has seen pass counts for no removal before anybody has looked at the clock', async (t) => {
  const { server } = await withTrash(t)
  const { pool } = server
  const user = await server.newUser('deleted')
  await pool.query(`update asset set deleted_at = now() - interval '1 day'`)
  await pool.query(`update app_user set deleted_at = now() - interval '1 day' where id = $1`, [user.userId])
  await jump(server, '40 days')
  await pool.query(`update app_user set deleted_at = deleted_at - interval '40 days'`)
  assert.equal(await isClockInDoubt(server.db), true)
  const { purgedFromTrash, removedUsers } = await sweep(server)
  assert.deepEqual({ purgedFromTrash, removedUsers }, { purgedFromTrash: 0, removedUsers: 0 })
  assert.equal(await look(server), 'gap')
  assert.equal((await sweep(server)).purgedFromTrash, 0, 'nor afterwards')
})

test('A9: the sweep that a jump makes due at once leaves the trash alone', async (t) => {
  const { server } = await withTrash(t)
  const { pool, db } = server
  await server.runJobs()
  const purged: number[] = []
  const sweepOnce = async () => void purged.push((await sweep(server)).purgedFromTrash)
  const worker = await startWorker({
    pool,
    db,
    handlers: testHandlers({ 'sweep-library': sweepOnce }),
    concurrency: { processing: 1, video: 1, storage: 1 },
    backOff: { quickTries: 0, quickDelayMs: 50 },
    log: silentLog,
    pollMs: 100,
    recurring: [{ name: 'sweep-library', everyMs: 3_600_000 }],
  })
  try {
    await until('the first sweep', () => purged.length === 1)
    await jump(server, '40 days')
    await pool.query(`update job_schedule set next_at = next_at - interval '40 days'`)
    await until('the sweep that is overdue', () => purged.length === 2)
  } finally {
    await worker.stop(10_000)
  }
  assert.deepEqual(purged, [0, 0])
})

test('A9: a clock that was ahead and is right again costs the trash no day, in either direction', async (t) => {
  const { server, id } = await withTrash(t)
  await jump(server, '40 days')
  await look(server)
  const late = (await server.admin.upload(jpeg(), 'late.jpg')).id
  await server.pool.query('update asset set deleted_at = now() where id = $1', [late])
  await jump(server, '-40 days')
  assert.equal(await look(server), 'went-back')
  const gaps = await server.pool.query(`select from clock_gap where until_at - from_at > interval '1 hour'`)
  assert.equal(gaps.rowCount, 0, 'the jump is taken back')
  const { rows } = await server.pool.query(
    `select id, deleted_at <= now() as "isPast" from asset order by id`,
  )
  assert.deepEqual(
    rows,
    [id, late].sort().map((each) => ({ id: each, isPast: true })),
  )
  await server.pool.query(`update asset set deleted_at = now() - interval '31 days'`)
  assert.equal((await sweep(server)).purgedFromTrash, 2)
})

test('A9: a clock that was ahead for a while logs nobody out for good', async (t) => {
  const { server } = await withTrash(t)
  const user = await server.newUser('away')
  await server.pool.query(`update session set expires_at = now() + interval '1 day' where user_id = $1`, [
    user.userId,
  ])
  await jump(server, '40 days')
  await look(server)
  assert.equal((await sweep(server)).endedSessions, 0)
  await jump(server, '-40 days')
  await look(server)
  assert.equal((await user.call('/users/me')).status, 200)
})

test('A9: after a jump nothing goes by its age alone for two days', async (t) => {
  const { server } = await withTrash(t)
  assert.equal(await isClockInDoubt(server.db), false)
  await jump(server, '2 hours')
  assert.equal(await look(server), 'gap')
  assert.equal(await isClockInDoubt(server.db), false, 'a night without power is no wrong clock')
  await jump(server, '40 days')
  assert.equal(await look(server), 'gap')
  assert.equal(await isClockInDoubt(server.db), true)
})

test('A9: leases, drills and bytes to clear that a clock ahead has dated hold nobody up when it is right again', async (t) => {
  const { server, id } = await withTrash(t)
  const { pool } = server
  await server.runJobs()
  const { rows } = await pool.query('select original_object_id as id from asset where id = $1', [id])
  await pool.query(`insert into local_lease (id, object_id, purpose, expires_at)
    select gen_random_uuid(), id, 'test', now() + interval '40 days' from stored_object limit 1`)
  await pool.query(`insert into drill (location_id, started_at, ends_at, actor)
    values ('s3', now() + interval '40 days', now() + interval '40 days 10 minutes', 'test')`)
  await pool.query(
    `insert into replica (object_id, location_id, key, state, lease_expires_at, actor)
    values ($1, 'local', 'x/y/z', 'writing', now() + interval '40 days', 'test')`,
    [rows[0].id],
  )
  await jump(server, '-40 days')
  assert.equal(await look(server), 'went-back')
  const later = async (table: string, column: string, than: string) =>
    (await pool.query(`select from ${table} where ${column} > now() + $1::interval`, [than])).rowCount
  assert.equal(await later('local_lease', 'expires_at', '7 days'), 0)
  assert.equal(await later('drill', 'ends_at', '0'), 0)
  assert.equal(await later('replica', 'lease_expires_at', '41 seconds'), 0)
})

test('nothing that a clock ahead has dated is still to come when it is right again', async (t) => {
  const { server } = await withTrash(t)
  const { pool } = server
  await server.runJobs()
  await checkListing(server.placement, 's3', { isNow: true })
  await pool.query(`insert into location_listing (location_id, holder, lease_expires_at)
    values ('local', gen_random_uuid(), now())`)
  await pool.query(`insert into class_refusal (object_id, location_id, to_class, reason, refused_until)
    select original_object_id, 's3', 'GLACIER', 'test', now() + interval '30 days' from asset`)
  await pool.query(`insert into browser_probe (id, location_id, key, origin, expires_at)
    values (gen_random_uuid(), 's3', '.glassine-probe/x', 'https://photos.example', now())`)
  await pool.query(`insert into stray (location_id, key, kind, size, last_modified, first_seen_at, last_seen_at, sightings)
    values ('s3', 'x', 'original', 1, now(), now(), now(), 1)`)
  await pool.query(`insert into stray_sighting (location_id, key, kind, size, last_modified, seen_at)
    values ('s3', 'x', 'original', 1, now(), now())`)
  await pool.query('update stored_object set kept_since = now()')
  // By the column: the longest that it lies ahead when the clock is right.
  const longest = {
    'location_listing.begun_at': '0',
    'location_listing.finished_at': '0',
    'location_listing.lease_expires_at': '5 minutes',
    'stray.first_seen_at': '0',
    'stray.last_seen_at': '0',
    'stray_sighting.seen_at': '0',
    'replica.class_since': '0',
    'class_refusal.refused_until': '180 days',
    'browser_probe.expires_at': '10 minutes',
    'stored_object.kept_since': '0',
    'asset.created_at': '0',
    'session.updated_at': '0',
  }
  for (const name of Object.keys(longest)) {
    const [table, column] = name.split('.')
    const dated = await pool.query(`update ${table} set ${column} = ${column} + interval '300 days'
      where ${column} is not null`)
    assert.ok(dated.rowCount! > 0, `${name}: there is one`)
  }
  await jump(server, '-300 days')
  assert.equal(await look(server), 'went-back')
  for (const [name, than] of Object.entries(longest)) {
    const [table, column] = name.split('.')
    const late = await pool.query(`select from ${table} where ${column} > now() + $1::interval`, [than])
    assert.equal(late.rowCount, 0, name)
  }
})

test('a decision that a clock ahead has dated is held for its time when the clock is right again', async (t) => {
  const { server } = await withTrash(t)
  await server.pool.query(`insert into collection
      (id, location_id, actor, plan_id, files, uploads, bytes, decided_at, collect_after)
    values (gen_random_uuid(), 's3', 'test', 'x', 0, 0, 0, now() + interval '90 days', now() + interval '97 days')`)
  await jump(server, '-90 days')
  assert.equal(await look(server), 'went-back')
  const { rows } = await server.pool.query(`select decided_at <= now() as is_decided,
    round(extract(epoch from collect_after - now()) / 86400)::int as days from collection`)
  assert.deepEqual(rows, [{ is_decided: true, days: 7 }])
})

test('a clock that was two years ahead for a while does not forget that nothing ran for 40 days', async (t) => {
  const { server } = await withTrash(t)
  // In the trash for a day when the machine was switched off; on again since yesterday.
  await server.pool.query(`update asset set deleted_at = now() - interval '1 day'`)
  await jump(server, '40 days')
  assert.equal(await look(server), 'gap')
  assert.equal((await sweep(server)).purgedFromTrash, 0)
  await jump(server, '800 days')
  assert.equal(await look(server), 'gap')
  // For some minutes, in which it is looked at.
  assert.equal(await look(server), 'steady')
  await jump(server, '-800 days')
  assert.equal(await look(server), 'went-back')
  assert.equal((await sweep(server)).purgedFromTrash, 0, 'it was there for one day on which Glassine ran')
})

test('a clock that was two years behind until it was set right is not forgotten by one that is ahead later', async (t) => {
  const { server } = await withTrash(t)
  // A board without a battery, that gets its time from the network.
  await jump(server, '800 days')
  assert.equal(await look(server), 'gap')
  assert.equal((await sweep(server)).purgedFromTrash, 0)
  await jump(server, '500 days')
  assert.equal(await look(server), 'gap')
  assert.equal(await look(server), 'steady')
  await jump(server, '-500 days')
  assert.equal(await look(server), 'went-back')
  assert.equal((await sweep(server)).purgedFromTrash, 0)
})

test('gaps are forgotten when Glassine has run for longer since than anything is kept', async (t) => {
  const { server } = await withTrash(t)
  const gap = (from: string, until: string) =>
    server.pool.query(
      'insert into clock_gap (from_at, until_at) values (now() - $1::interval, now() - $2::interval)',
      [from, until],
    )
  await gap('900 days', '880 days')
  // Of the 450 days since the second one it has not run for 60.
  await gap('500 days', '450 days')
  await gap('100 days', '40 days')
  assert.equal(await look(server), 'steady')
  const left = await server.pool.query(
    `select extract(day from now() - from_at)::int as "daysAgo" from clock_gap order by from_at`,
  )
  assert.deepEqual(left.rows, [{ daysAgo: 500 }, { daysAgo: 100 }])
})

test('what comes into the trash while the clock is behind for some seconds stays there for 30 days', async (t) => {
  const { server } = await withTrash(t)
  const { id } = await server.admin.upload(jpeg(), 'y.jpg')
  await jump(server, '-60 days')
  await intoTrash(server, id)
  await jump(server, '60 days')
  await look(server)
  assert.equal((await sweep(server)).purgedFromTrash, 0, 'it came into the trash a minute ago')
})

test('who is deleted while the clock is behind for some seconds can be restored for seven days', async (t) => {
  const { server } = await withTrash(t)
  const user = await server.newUser('deleted')
  const jumpWithUsers = async (interval: string) => {
    await jump(server, interval)
    await server.pool.query('update app_user set deleted_at = deleted_at - $1::interval', [interval])
  }
  await jumpWithUsers('-60 days')
  await deleteUser(server.db, user.userId)
  await jumpWithUsers('60 days')
  await look(server)
  assert.equal((await sweep(server)).removedUsers, 0)
})

test('after a restore, trash and deleted users count from what was seen, not from a clock that is behind', async (t) => {
  const { server } = await withTrash(t)
  const user = await server.newUser('deleted')
  await deleteUser(server.db, user.userId)
  await jump(server, '-60 days')
  await restartTrashTime(server.db)
  await restartDeleteDelay(server.db)
  await jump(server, '60 days')
  await server.pool.query(`update app_user set deleted_at = deleted_at - interval '60 days'`)
  const { purgedFromTrash, removedUsers } = await sweep(server)
  assert.deepEqual({ purgedFromTrash, removedUsers }, { purgedFromTrash: 0, removedUsers: 0 })
})
