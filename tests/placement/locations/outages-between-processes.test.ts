/**
 * Two processes on one ledger: what one finds out about a place, and what a drill blocks, the other heeds.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { isAppError } from '../../../src/errors.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { currentDrills, startDrill, stopDrill } from '../../../src/placement/locations/drill.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { probeLocation, recordHealth } from '../../../src/placement/locations/locations.ts'
import { watchOutages } from '../../../src/placement/locations/outages.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { unreachableSentence } from '../../../src/placement/reads/unreachable.ts'
import { isStorageError, type StorageBackend, StorageError } from '../../../src/storage/backend.ts'
import { createBreaker, DEFAULT_BREAKER_RULES } from '../../../src/storage/guards/breaker.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { type MemoryBackend, openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { eventually } from '../../support/eventually.ts'
import { ingestBytes, locationOfBackend, testPlacement } from '../../support/placement.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'
import { faultyBackend } from '../../support/storage/faulty-backend.ts'

const RULES = { ...DEFAULT_BREAKER_RULES, failures: 2, coolDownMs: 60_000 }

/**
 * A process: a placement whose bucket, in memory and shared with others, stands behind a breaker of its own.
 */
async function openProcess(
  { db, beforeDrop }: TestDatabase,
  beside?: { memory: MemoryBackend; mediaLocation: string },
  { isCutOff = false } = {},
) {
  let lateMs = 0
  const memory = beside?.memory ?? openMemoryBackend()
  const bucket = faultyBackend(memory)
  let markersRead = 0
  const backend: StorageBackend = {
    ...bucket.backend,
    features: memory.features,
    async readMarker() {
      markersRead += 1
      if (isCutOff) throw new StorageError('unavailable', 'connection refused')
      return memory.readMarker()
    },
  }
  const breaker = createBreaker('bucket photos', RULES, () => performance.now() + lateMs)
  const location = {
    ...locationOfBackend('s3', 'memory', withBreaker(backend, breaker)),
    breaker,
  }
  const { placement, close, mediaLocation } = await testPlacement(db, {
    remotes: [],
    extra: [location],
    ...(beside && { mediaLocation: beside.mediaLocation }),
  })
  const watch = watchOutages(placement, { lookIntervalMs: 20 })
  beforeDrop(async () => {
    await watch.close()
    await close()
  })
  return {
    placement,
    mediaLocation,
    bucket,
    breaker,
    memory,
    markersRead: () => markersRead,
    leave: watch.close,
    coolDown: () => (lateMs += RULES.coolDownMs),
  }
}

const rowOf = ({ db }: TestDatabase) =>
  db.selectFrom('location').selectAll().where('id', '=', 's3').executeTakeFirstOrThrow()
const jobs = async ({ pool }: TestDatabase, name: string) =>
  (await pool.query('select run_at, attempts from graphile_worker.jobs where task_identifier = $1', [name]))
    .rows

describe('a place that is away', { timeout: 60_000 }, () => {
  test('one process finds out, the other knows; both try again, and a probe makes it healthy', async (t) => {
    const database = await testDatabase(t)
    const one = await openProcess(database)
    const two = await openProcess(database, one)
    await checkLocations(one.placement)
    assert.equal((await rowOf(database)).is_healthy, true)

    for (const { bucket } of [one, two])
      for (let n = 0; n < 50; n += 1) bucket.plan({ call: 'get', when: 'before' })
    const objectId = await ingestBytes(one.placement, randomBytes(1_000))
    await replicateObject(one.placement, { objectId, to: 's3' })
    await evictReplica(one.placement, { objectId, from: 'local' })
    const file = await findServable(one.placement, objectId)
    while (one.breaker.state === 'closed')
      await assert.rejects(file.open(), (error) => isAppError(error, 'unavailable'))
    await eventually(async () => assert.equal((await rowOf(database)).is_healthy, false))
    assert.match((await rowOf(database)).health_error ?? '', /^it can't be reached: planned fault at get$/)
    assert.ok((await rowOf(database)).away_since)

    await eventually(() => assert.equal(two.breaker.state, 'open'))
    assert.equal(two.bucket.calls.get, 0, 'nobody waited there')
    await assert.rejects((await findServable(two.placement, objectId)).open(), (error) => {
      assert.ok(isAppError(error, 'unavailable'))
      assert.match(
        error.message,
        /^This photo's original is in the bucket, which can't be reached now; it is not lost/,
      )
      assert.ok(isStorageError(error.cause) && error.cause.retryAt)
      return true
    })
    // What is heard is not told on: else two processes would tell each other for ever.
    const { away_since: awaySince } = await rowOf(database)
    await sleep(100)
    assert.deepEqual((await rowOf(database)).away_since, awaySince)

    for (const { bucket, coolDown } of [one, two]) {
      bucket.clear()
      coolDown()
    }
    await eventually(() => assert.deepEqual([one.breaker.state, two.breaker.state], ['closed', 'closed']))
    await eventually(async () => assert.equal((await jobs(database, 'check-locations')).length, 1))
    await checkLocations(one.placement)
    const row = await rowOf(database)
    assert.deepEqual([row.is_healthy, row.health_error, row.away_since], [true, null, null])
    for await (const _ of await file.open());
  })

  test('a process that starts in the middle of an outage finds out before its first caller, and that it is over, too', async (t) => {
    const database = await testDatabase(t)
    const one = await openProcess(database)
    await checkLocations(one.placement)
    await one.leave()
    const away = { is_healthy: false, health_error: 'gone', away_since: new Date(Date.now() - 300_000) }
    await database.db.updateTable('location').set(away).where('id', '=', 's3').execute()

    const two = await openProcess(database, one, { isCutOff: true })
    await eventually(() => assert.equal(two.breaker.state, 'open'))
    assert.equal(two.bucket.calls.get + two.bucket.calls.head, 0)
    const { away_since: awaySince } = await rowOf(database)
    assert.deepEqual(awaySince, away.away_since, 'nothing new to tell')
    await two.leave()

    const three = await openProcess(database, one)
    // Once when it opened, once for the news.
    await eventually(() => assert.ok(three.markersRead() >= 2))
    await sleep(50)
    assert.equal(three.breaker.state, 'closed')
  })

  test('a probe that fails because it is away does not make it a place that answers', async (t) => {
    const database = await testDatabase(t)
    const { placement, breaker } = await openProcess(database)
    await checkLocations(placement)
    breaker.open('gone')
    await eventually(async () => assert.notEqual((await rowOf(database)).away_since, null))
    const { features } = placement.locations.get('s3')!.backend
    const finding = { check: 'put', ok: false, critical: true, detail: 'connection refused' }
    Object.assign(placement.locations.get('s3')!, {
      probe: async () => ({ at: new Date(), ok: false, latencyMs: 0, features, findings: [finding] }),
    })
    await probeLocation(placement, 's3')
    const row = await rowOf(database)
    assert.deepEqual([row.is_healthy, row.health_error], [false, 'connection refused'])
    assert.ok(row.away_since)
  })

  test('what was found of it before it went away, and is written down after, does not undo that it is away', async (t) => {
    const database = await testDatabase(t)
    const { placement, breaker, leave } = await openProcess(database)
    await checkLocations(placement)
    await leave()
    // Begun while all was well; the breaker opens before it is written.
    const recording = recordHealth(placement, 's3', 'a probe could not put')
    breaker.open('connection refused')
    await recording
    const { is_healthy, away_since } = await rowOf(database)
    assert.equal(is_healthy, false)
    assert.notEqual(away_since, null)
    assert.equal(await recordHealth(placement, 's3', null), false)
    assert.deepEqual((await rowOf(database)).away_since, away_since)
    assert.equal((await rowOf(database)).is_healthy, false)
    breaker.close()
    assert.equal(await recordHealth(placement, 's3', null), true)
    assert.equal((await rowOf(database)).away_since, null)
  })

  test('no intent is written that could be neither carried out nor taken back', async (t) => {
    const database = await testDatabase(t)
    const { placement, breaker } = await openProcess(database)
    const objectId = await ingestBytes(placement, randomBytes(1_000))
    await replicateObject(placement, { objectId: await ingestBytes(placement, randomBytes(10)), to: 's3' })
    breaker.open('gone')
    const before = await database.db.selectFrom('placement_event').select('id').execute()
    await assert.rejects(replicateObject(placement, { objectId, to: 's3' }), (error) =>
      isStorageError(error, 'unavailable'),
    )
    assert.equal(
      (await database.db.selectFrom('placement_event').select('id').execute()).length,
      before.length,
    )
  })

  test('a failed write that could not be taken back does not make the next attempt wait for its lease', async (t) => {
    const database = await testDatabase(t)
    const { placement, bucket } = await openProcess(database)
    const objectId = await ingestBytes(placement, randomBytes(1_000))
    bucket.plan({ call: 'put', when: 'after' })
    bucket.plan({ call: 'head', when: 'before', error: new StorageError('denied', 'not now') })
    await assert.rejects(replicateObject(placement, { objectId, to: 's3' }))
    await replicateObject(placement, { objectId, to: 's3' })
    const replicas = await database.db
      .selectFrom('replica')
      .select(['location_id', 'state'])
      .orderBy('location_id')
      .execute()
    assert.deepEqual(
      replicas.map((row) => `${row.location_id} ${row.state}`),
      ['local verified', 's3 verified'],
    )
  })
})

describe('a drill', { timeout: 60_000 }, () => {
  test('blocks every process, also one that starts meanwhile, and is over when its time is, whoever is alive', async (t) => {
    const database = await testDatabase(t)
    const one = await openProcess(database)
    const two = await openProcess(database, one)
    await checkLocations(one.placement)
    const drill = await startDrill(one.placement, { locationId: 's3', minutes: 1, actor: 'cli' })
    assert.ok(drill.leftMs > 50_000 && drill.leftMs <= 60_000)
    assert.equal(one.breaker.blockedFor, 'a simulated outage')
    const row = await rowOf(database)
    assert.deepEqual([row.is_healthy, row.health_error], [false, one.breaker.blockedFor])
    await eventually(() => assert.notEqual(two.breaker.blockedFor, null))
    await checkLocations(two.placement)
    assert.equal((await rowOf(database)).is_healthy, false, 'no check finds it well meanwhile')

    await one.leave()
    await two.leave()
    const three = await openProcess(database, one)
    assert.notEqual(three.breaker.blockedFor, null, 'before it asks the place anything')
    // The time passes.
    await database.pool.query(
      "update drill set started_at = started_at - interval '1 minute', ends_at = ends_at - interval '1 minute'",
    )
    await eventually(() => assert.equal(three.breaker.blockedFor, null))
    assert.deepEqual(await currentDrills(database.db), [])
    await eventually(async () => assert.equal((await jobs(database, 'check-locations')).length, 1))
    await checkLocations(three.placement)
    assert.equal((await rowOf(database)).is_healthy, true)
  })

  test('cuts what is under way, touches no bytes, and can be ended early', async (t) => {
    const database = await testDatabase(t)
    const { placement, memory, breaker } = await openProcess(database)
    const bytes = randomBytes(3_000_000)
    const objectId = await ingestBytes(placement, bytes)
    await replicateObject(placement, { objectId, to: 's3' })
    await evictReplica(placement, { objectId, from: 'local' })
    const stream = await (await findServable(placement, objectId)).open()
    // Under way, with most of it still to come.
    const pieces = stream[Symbol.asyncIterator]()
    assert.equal((await pieces.next()).done, false)
    await startDrill(placement, { locationId: 's3', minutes: 60, actor: 'cli' })
    await assert.rejects(async () => {
      while (!(await pieces.next()).done);
    }, /a simulated outage/)
    assert.deepEqual(await stopDrill(placement, 's3'), ['s3'])
    assert.deepEqual(await stopDrill(placement, null), [])
    assert.equal(breaker.blockedFor, null)
    const { key } = await database.db.selectFrom('replica').select('key').executeTakeFirstOrThrow()
    assert.equal((await memory.head(key as never))?.size, bytes.length)
  })

  test('is refused for the media volume, for what is not configured, and for other lengths', async (t) => {
    const database = await testDatabase(t)
    const { placement } = await openProcess(database)
    for (const [locationId, message] of [
      ['local', /"local" can't be blocked\. Available: s3$/],
      ['nowhere', /^unknown location "nowhere"\. Available: local, s3$/],
    ] as const) {
      const drill = startDrill(placement, { locationId, minutes: 5, actor: 'cli' })
      await assert.rejects(drill, { code: 'invalid', message })
    }
    for (const minutes of [0, 61, 1.5, Number.NaN]) {
      await assert.rejects(startDrill(placement, { locationId: 's3', minutes, actor: 'cli' }), /from 1 to 60/)
    }
    assert.deepEqual(await currentDrills(database.db), [])
  })
})

test('what people are told about bytes that cannot be had is true', () => {
  const bucket = { id: 's3', kind: 's3', isDemonstration: false } as const
  const disk = { id: 'local', kind: 'disk', isDemonstration: false } as const
  fc.assert(
    fc.property(
      fc.subarray([bucket, disk]),
      fc.constantFrom('image/jpeg', 'video/mp4'),
      (at, contentType) => {
        const sentence = unreachableSentence({ kind: 'original', contentType }, at, disk.id)
        assert.equal(sentence.includes('video'), contentType === 'video/mp4')
        assert.equal(
          sentence.includes('not lost'),
          at.length > 0,
          'only what has a verified copy is not lost',
        )
        assert.equal(sentence.includes('bucket'), (at as unknown[]).includes(bucket))
      },
    ),
  )
})
