import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { type Log, silentLog } from '../../src/log.ts'
import { enqueue } from '../../src/queue/enqueue.ts'
import { dismissFailures, failureGroups, openFailures, retryFailed } from '../../src/queue/failures.ts'
import { queueCounts } from '../../src/queue/queues.ts'
import { wakeJobs } from '../../src/queue/wake.ts'
import { type JobHandlers, startWorker } from '../../src/queue/worker/worker.ts'
import { until } from '../support/eventually.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { testHandlers } from './handlers.ts'

async function worker(database: TestDatabase, given: Partial<JobHandlers>, log: Log = silentLog) {
  const started = await startWorker({
    pool: database.pool,
    db: database.db,
    log,
    handlers: testHandlers(given),
    concurrency: { processing: 2, video: 1, storage: 2 },
    backOff: { quickTries: 2, quickDelayMs: 1 },
    pollMs: 50,
    recurring: [],
  })
  database.beforeDrop(() => started.stop(0))
  return started
}

/** As errors of other folders look to the queue: their fields say what they are. */
const errorWith = (message: string, fields: object) => Object.assign(new Error(message), fields)
const failedOf = async ({ db }: TestDatabase) => (await queueCounts(db)).replication.failed

test('what failed is counted once, by its cause and place, and is gone when it is done', async (t) => {
  const database = await testDatabase(t)
  let isDenied = true
  await worker(database, {
    'replicate-object': async ({ objectId }) => {
      if (!isDenied) return
      const [kind, message] =
        objectId === 'odd' ? ['corrupt', 'other bytes'] : ['denied', `no put of ${objectId}`]
      throw errorWith(message, { kind })
    },
  })
  for (const objectId of ['a', 'b', 'odd'])
    await enqueue(database.db, 'replicate-object', { objectId, to: 's3' })
  await until('each has failed three times', async () => {
    const { rows } = await sql`select from graphile_worker.jobs where attempts >= 3`.execute(database.db)
    return rows.length === 3
  })
  assert.equal(await failedOf(database), 3)
  const groups = await failureGroups(database.db)
  assert.deepEqual(
    groups
      .map(({ code, count, location, givenUp }) => ({ code, count, location, givenUp }))
      .sort((a, b) => b.count - a.count),
    [
      { code: 'denied', count: 2, location: 's3', givenUp: 0 },
      { code: 'corrupt', count: 1, location: 's3', givenUp: 0 },
    ],
  )
  const denied = groups.find(({ code }) => code === 'denied')!
  assert.deepEqual(denied.samples.map(({ objectId }) => objectId).sort(), ['a', 'b'])
  assert.equal(denied.attempt, 3)
  assert.ok(denied.nextAt !== null && denied.nextAt > denied.at && denied.firstAt < denied.at)

  isDenied = false
  assert.equal(await retryFailed(database.db, 'replication'), 3)
  await until('all is solved', async () => (await failedOf(database)) === 0)
  assert.deepEqual(await failureGroups(database.db), [])
})

test('work that was removed or replaced by other means is not told for ever', async (t) => {
  const database = await testDatabase(t)
  await worker(database, {
    'replicate-object': async () => {
      throw errorWith('no', { kind: 'denied' })
    },
  })
  await enqueue(database.db, 'replicate-object', { objectId: 'a', to: 's3' })
  await until('it failed', async () => (await failedOf(database)) === 1)
  // A failure is told while the worker still holds the job, which can't be removed then.
  await until('it is removed', async () => {
    await sql`select graphile_worker.complete_jobs(
      array(select id from graphile_worker.jobs where locked_at is null))`.execute(database.db)
    const { rows } = await sql`select from graphile_worker.jobs`.execute(database.db)
    return rows.length === 0
  })
  await until('it is gone', async () => (await failedOf(database)) === 0)
})

test('a recurring job is failing until it succeeds, is tried again when asked, and can be dismissed', async (t) => {
  const database = await testDatabase(t)
  let isBroken = true
  await worker(database, {
    'sweep-placement': async () => {
      if (isBroken) throw new Error('broken')
    },
  })
  const failing = async () => (await openFailures(database.db, { queue: 'maintenance' })).length
  await enqueue(database.db, 'sweep-placement', {})
  await until('it is failing', async () => (await failing()) === 1)
  await dismissFailures(database.db, 'maintenance')
  assert.equal(await failing(), 0)
  await enqueue(database.db, 'sweep-placement', {})
  await until('it is failing again', async () => (await failing()) === 1)
  isBroken = false
  assert.equal(await retryFailed(database.db, 'maintenance'), 1)
  await until('it succeeded', async () => (await failing()) === 0)
})

test('what waits for a place that is away is no failure, has no line in the log, and never uses up its attempts', async (t) => {
  const database = await testDatabase(t)
  const lines: string[] = []
  const note = (level: string) => (_: object, message: string) => void lines.push(`${level} ${message}`)
  const log = { debug() {}, info: note('info'), warn: note('warn'), error: note('error') }
  let isAway = true
  let isFirst = true
  let attempts = 0
  await worker(
    database,
    {
      'process-asset': async () => {
        attempts++
        if (!isAway) return
        // Before enough calls have failed, nobody says until when it is of no use to ask.
        const fields = isFirst ? {} : { retryAt: new Date(Date.now() + 10_000) }
        isFirst = false
        throw new Error("the original can't be read", {
          cause: errorWith('gone', { kind: 'unavailable', ...fields }),
        })
      },
    },
    log,
  )
  await enqueue(database.db, 'process-asset', { assetId: 'a' })
  await until('it has tried', () => attempts >= 3)
  for (let woken = 0; woken < 30; ) {
    woken += await wakeJobs(database.db, ['process-asset'])
    await sql`select pg_sleep(0.01)`.execute(database.db)
  }
  const before = attempts
  assert.ok(before > 25, `${before} attempts are more than it has`)
  const counts = (await queueCounts(database.db)).processing
  assert.deepEqual([counts.failed, counts.dead], [0, 0])
  isAway = false
  await until('it is done when the place is back', async () => {
    await wakeJobs(database.db, ['process-asset'])
    return (await queueCounts(database.db)).processing.delayed === 0 && attempts > before
  })
  assert.deepEqual(lines, [])
})
