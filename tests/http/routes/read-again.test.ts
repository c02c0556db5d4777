import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { enqueueOutdated } from '../../../src/library/processing/outdated-readings.ts'
import { readAgain } from '../../../src/library/processing/read-again.ts'
import type { ReadingBudget } from '../../../src/library/processing/reading-budget.ts'
import type { ReadingStatus } from '../../../src/library/processing/reading-status.ts'
import { silentLog } from '../../../src/log.ts'
import { openMediaTools } from '../../../src/media/processes/tools.ts'
import { checkRestores } from '../../../src/placement/classes/check-restores.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { testMedia } from '../../support/files/media.ts'
import { startTestServer, type TestServer, type TestServerOptions } from '../../support/server.ts'
import { startClassBucket } from '../../support/storage/class-bucket.ts'

type Asset = Record<string, unknown> & { exifInfo: Record<string, unknown> }

const HOUR_MS = 3_600_000
const GIB = 2 ** 30

const json = (method: string, body: unknown) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const assetOf = (server: TestServer, id: string) => server.admin.json<Asset>(`/assets/${id}`)
const statusOf = (server: TestServer) => server.admin.json<ReadingStatus>('/storage/readings')

async function photoBy(make: string, extraBytes = 0): Promise<Buffer> {
  const jpeg = await sharp(randomBytes(60 * 40 * 3), { raw: { width: 60, height: 40, channels: 3 } })
    .jpeg()
    .withExif({ IFD0: { Make: make }, IFD2: { DateTimeOriginal: '2023:08:15 18:30:00' } })
    .toBuffer()
  return Buffer.concat([jpeg, Buffer.alloc(extraBytes, 1)])
}

/** A server with photos that are processed and, where it has a bucket, offloaded. */
async function serverWith(t: TestContext, photos: Buffer[], options: TestServerOptions = {}) {
  const server = await startTestServer(t, options)
  const ids: string[] = []
  for (const [index, bytes] of photos.entries()) {
    ids.push((await server.admin.upload(bytes, `${index}.jpg`)).id)
  }
  await server.runJobs()
  return { server, ids }
}

/** As if an older reader had read everything, and had found something else. */
async function forgetReadings(server: TestServer): Promise<void> {
  await server.pool.query(
    `update asset_reading set reader_version = 0, details = '{}', read_at = now() - interval '1 year'`,
  )
  await server.pool.query(`update asset_exif set make = 'Wrong', iso = 13`)
}

/** One sweep, and what it enqueues. */
async function readOnce(
  server: TestServer,
  budget: ReadingBudget = { dailyBytes: GIB, archivedDailyBytes: 0 },
) {
  const done = await enqueueOutdated({ db: server.db, placement: server.placement }, budget)
  await server.runJobs()
  return done
}

async function makesOf(server: TestServer, ids: string[]): Promise<unknown[]> {
  return Promise.all(ids.map(async (id) => (await assetOf(server, id)).exifInfo.make))
}

test('what an older reader has read is read again from the disk, and the pictures stay', async (t) => {
  const { server, ids } = await serverWith(t, [await photoBy('One'), await photoBy('Two')], {
    originals: ['local'],
    remotes: [],
    reading: { dailyBytes: 0, archivedDailyBytes: 0 },
  })
  assert.equal((await statusOf(server)).waiting.atHand.count, 0)
  await forgetReadings(server)
  const files = () =>
    server.pool.query(`select object_id from asset_file order by 1`).then(({ rows }) => rows)
  const before = await files()
  assert.equal((await statusOf(server)).waiting.atHand.count, 2)
  assert.deepEqual(await readOnce(server, { dailyBytes: 0, archivedDailyBytes: 0 }), {
    enqueued: 2,
    restores: 0,
  })
  assert.deepEqual(await makesOf(server, ids), ['One', 'Two'])
  assert.deepEqual(await files(), before)
  const { read, waiting, daysLeft } = await statusOf(server)
  assert.deepEqual([read, waiting.atHand.count, daysLeft], [2, 0, 0])
  assert.deepEqual(await readOnce(server), { enqueued: 0, restores: 0 }, 'once')
})

test('from the bucket no more is read in a day than the budget has', async (t) => {
  const photos = await Promise.all([1, 2, 3].map((n) => photoBy(`Maker ${n}`, 200_000)))
  const size = photos[0]!.length
  const { server, ids } = await serverWith(t, photos, {
    reading: { dailyBytes: 2 * size + 10_000, archivedDailyBytes: 0 },
  })
  const budget = { dailyBytes: 2 * size + 10_000, archivedDailyBytes: 0 }
  await forgetReadings(server)
  const { inner } = server.remotes.get('s3')!
  const get = inner.get
  let read = 0
  inner.get = (...args) => {
    read += 1
    return get.apply(inner, args)
  }
  assert.equal((await statusOf(server)).waiting.inBucket.count, 3)
  assert.equal((await statusOf(server)).daysLeft, 2)
  assert.equal((await readOnce(server, budget)).enqueued, 2)
  assert.equal((await readOnce(server, budget)).enqueued, 0, 'nothing is left of today')
  assert.equal(read, 2)
  assert.equal((await makesOf(server, ids)).filter((make) => make !== 'Wrong').length, 2)
  const status = await statusOf(server)
  assert.deepEqual([status.read, status.waiting.inBucket.count], [2, 1])
  assert.ok(status.budget.spentToday.bucketBytes <= budget.dailyBytes)

  // A job that comes too late for its day spends nothing.
  const tools = openMediaTools({ log: silentLog, threads: 1 })
  t.after(() => tools.close())
  const left = await server.pool.query(`select asset_id from asset_reading where reader_version = 0`)
  const parts = { db: server.db, placement: server.placement, mediaTools: tools }
  await readAgain(parts, { assetId: left.rows[0].asset_id }, { budget })
  assert.equal(read, 2)

  // The next day.
  await server.pool.query(`update reading_day set day = day - 1`)
  assert.equal((await readOnce(server, budget)).enqueued, 1)
  assert.deepEqual((await makesOf(server, ids)).toSorted(), ['Maker 1', 'Maker 2', 'Maker 3'])
  const none = await readOnce(server, { dailyBytes: 0, archivedDailyBytes: 0 })
  assert.equal(none.enqueued, 0)
})

test('what is larger than the budget of a day waits, and is told', async (t) => {
  const { server } = await serverWith(t, [await photoBy('Large', 300_000)], {
    reading: { dailyBytes: 100_000, archivedDailyBytes: 0 },
  })
  await forgetReadings(server)
  assert.equal((await readOnce(server, { dailyBytes: 100_000, archivedDailyBytes: 0 })).enqueued, 0)
  const { waiting } = await statusOf(server)
  assert.deepEqual([waiting.tooLarge.count, waiting.inBucket.count], [1, 0])
})

test('what the user set is never overwritten', async (t) => {
  const { server, ids } = await serverWith(t, [await photoBy('One')])
  const id = ids[0]!
  const wish = {
    description: 'mine',
    rating: 4,
    dateTimeOriginal: '2020-02-03T04:05:06.000+05:30',
    latitude: 1,
    longitude: 2,
  }
  await server.admin.json(`/assets/${id}`, json('PUT', wish))
  await forgetReadings(server)
  await readOnce(server)
  const asset = await assetOf(server, id)
  const { make, description, rating, latitude, longitude, timeZone } = asset.exifInfo
  assert.deepEqual([make, description, rating, latitude, longitude], ['One', 'mine', 4, 1, 2])
  assert.deepEqual([asset.localDateTime, timeZone], ['2020-02-03T04:05:06.000Z', 'UTC+05:30'])
})

test('nothing is announced of what has not changed', async (t) => {
  const { server, ids } = await serverWith(t, [await photoBy('One'), await photoBy('Two')])
  await server.pool.query(`update asset_reading set reader_version = 0`)
  await server.pool.query(`update asset_exif set make = 'Wrong' where asset_id = $1`, [ids[0]])
  const updatedAt = async () => Promise.all(ids.map(async (id) => (await assetOf(server, id)).updatedAt))
  const before = await updatedAt()
  await readOnce(server)
  const after = await updatedAt()
  assert.notEqual(after[0], before[0])
  assert.equal(after[1], before[1])
})

test('a file that a newer reader sees otherwise gets new pictures', async (t) => {
  const heic = testMedia(t, 'exif-samples/heic/mobile/iphone_13_pro_max.HEIC')
  if (heic === null) return
  const { server, ids } = await serverWith(t, [await readFile(heic), await photoBy('One')])
  await server.pool.query(`update asset_reading set reader_version = 0`)
  // An older reader took one for a film, and did not know the other.
  await server.pool.query(`update asset set type = 'VIDEO', thumbhash = null where id = $1`, [ids[0]])
  await server.pool.query(
    `update asset set processing = 'failed', processing_error = 'unknown', thumbhash = null where id = $1`,
    [ids[1]],
  )
  await readOnce(server)
  for (const id of ids) {
    const asset = await assetOf(server, id)
    assert.equal(asset.type, 'IMAGE')
    assert.equal(asset.processingError, null)
    assert.ok(asset.thumbhash !== null)
  }
})

test('a broken file is tried once for each reader, an outage again and again', async (t) => {
  const { server, ids } = await serverWith(t, [randomBytes(4_000), await photoBy('One')])
  await forgetReadings(server)
  const { inner } = server.remotes.get('s3')!
  const get = inner.get
  let refused = 0
  inner.get = (...args) => {
    refused += 1
    if (refused <= 2) return Promise.reject(new StorageError('unavailable', 'a planned outage'))
    return get.apply(inner, args)
  }
  await readOnce(server)
  assert.ok(refused > 2)
  assert.equal((await makesOf(server, ids))[1], 'One')
  assert.deepEqual(await readOnce(server), { enqueued: 0, restores: 0 })
  const { rows } = await server.pool.query(`select reader_version from asset_reading where asset_id = $1`, [
    ids[0],
  ])
  assert.deepEqual(rows, [{ reader_version: 1 }])
})

test('a reading that is interrupted leaves all as it was, and is done the next time', async (t) => {
  const { server, ids } = await serverWith(t, [await photoBy('One')], { originals: ['local'], remotes: [] })
  await forgetReadings(server)
  const parts = { db: server.db, placement: server.placement }
  const budget = { dailyBytes: 0, archivedDailyBytes: 0 }
  const tools = openMediaTools({ log: silentLog, threads: 1 })
  const stop = new AbortController()
  const reading = readAgain(
    { ...parts, mediaTools: tools },
    { assetId: ids[0]! },
    { budget, signal: stop.signal },
  )
  stop.abort(new Error('the worker stops'))
  await assert.rejects(reading)
  await tools.close()
  const left = await server.pool.query(`select reader_version from asset_reading`)
  assert.deepEqual(left.rows, [{ reader_version: 0 }])
  assert.deepEqual(await makesOf(server, ids), ['Wrong'])
  assert.equal((await readOnce(server, budget)).enqueued, 1)
  assert.deepEqual(await makesOf(server, ids), ['One'])
})

test('a sweep goes on where the last one stopped, and comes back to the start', async (t) => {
  const { server, ids } = await serverWith(t, [
    await photoBy('One'),
    await photoBy('Two'),
    await photoBy('Three'),
  ])
  await forgetReadings(server)
  const first = ids.toSorted()[0]!
  await server.pool.query(`insert into reading_sweep (after_version, after_asset) values (0, $1)`, [first])
  assert.equal((await readOnce(server)).enqueued, 2, 'those behind it')
  assert.equal((await readOnce(server)).enqueued, 1, 'and then the first')
  assert.deepEqual(await makesOf(server, ids), ['One', 'Two', 'Three'])
})

test('archived originals are restored only within a budget of their own, by the cheapest tier', async (t) => {
  const bucket = await startClassBucket()
  t.after(() => bucket.close())
  let aheadMs = 0
  const budget = { dailyBytes: GIB, archivedDailyBytes: GIB }
  const { server, ids } = await serverWith(
    t,
    [await photoBy('One', 200_000), await photoBy('Two', 200_000)],
    {
      remotes: [],
      originals: ['bucket'],
      extra: [{ ...bucket.location, provider: 'aws' }],
      classes: { original: { class: 'GLACIER', rules: [] } },
      now: () => new Date(Date.now() + aheadMs),
      reading: budget,
    },
  )
  await forgetReadings(server)
  assert.equal((await statusOf(server)).waiting.archived.count, 2)
  assert.deepEqual(await readOnce(server), { enqueued: 0, restores: 0 }, 'not unless it is asked for')
  assert.deepEqual(await makesOf(server, ids), ['Wrong', 'Wrong'])

  const one = { dailyBytes: GIB, archivedDailyBytes: 300_000 }
  assert.deepEqual(await readOnce(server, one), { enqueued: 0, restores: 1 })
  const tiers = await server.pool.query(`select tier, days, requested_by from replica_restore`)
  assert.deepEqual(tiers.rows, [{ tier: 'bulk', days: 7, requested_by: null }])
  const { waiting, budget: shown } = await statusOf(server)
  assert.deepEqual([waiting.archived.count, waiting.restoring.count], [1, 1])
  assert.ok(shown.spentToday.archivedBytes > 200_000 && shown.spentToday.archivedBytes <= 300_000)
  assert.deepEqual(await readOnce(server, one), { enqueued: 0, restores: 0 }, 'nothing is left of today')

  aheadMs = 13 * HOUR_MS
  bucket.server.profile.archiveClockAheadMs = aheadMs
  assert.equal(await checkRestores(server.placement), 1)
  assert.deepEqual(await readOnce(server, one), { enqueued: 1, restores: 0 })
  const makes = await makesOf(server, ids)
  assert.equal(makes.filter((make) => make !== 'Wrong').length, 1)
})

test('only administrators are told how far it is', async (t) => {
  const { server } = await serverWith(t, [])
  const user = await server.newUser('somebody')
  assert.equal((await user.call('/storage/readings')).status, 403)
})
