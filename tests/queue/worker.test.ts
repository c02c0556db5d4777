import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { silentLog } from '../../src/log.ts'
import { enqueue } from '../../src/queue/enqueue.ts'
import { forgetOldFailures, retryFailed } from '../../src/queue/failures.ts'
import { JOB_RULES } from '../../src/queue/job-types.ts'
import { pauseQueue, queueCounts, recentFailures, resumeQueue } from '../../src/queue/queues.ts'
import { RetryLater } from '../../src/queue/retry-later.ts'
import { wakeJobs } from '../../src/queue/wake.ts'
import { type JobHandlers, startWorker, type WorkerOptions } from '../../src/queue/worker/worker.ts'
import { until } from '../support/eventually.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { testHandlers } from './handlers.ts'

async function worker(
  database: TestDatabase,
  given: Partial<JobHandlers>,
  options: Partial<WorkerOptions> = {},
) {
  const started = await startWorker({
    pool: database.pool,
    db: database.db,
    log: silentLog,
    handlers: testHandlers(given),
    concurrency: { processing: 2, video: 1, storage: 2 },
    backOff: { quickTries: 2, quickDelayMs: 1 },
    pollMs: 50,
    recurring: [],
    ...options,
  })
  database.beforeDrop(() => started.stop(0))
  return started
}

const countJobs = async ({ db }: TestDatabase) =>
  Number((await sql<{ count: number }>`select count(*) from graphile_worker.jobs`.execute(db)).rows[0]?.count)

test('a committed job runs once with its payload; a rolled back one never', async (t) => {
  const database = await testDatabase(t)
  const ran: string[] = []
  await worker(database, { 'process-asset': async ({ assetId }) => void ran.push(assetId) })
  await database.db
    .transaction()
    .execute(async (tx) => {
      await enqueue(tx, 'process-asset', { assetId: 'never' })
      throw new Error('roll back')
    })
    .catch(() => undefined)
  await database.db.transaction().execute((tx) => enqueue(tx, 'process-asset', { assetId: 'a' }))
  await until('the job is gone', async () => (await countJobs(database)) === 0)
  assert.deepEqual(ran, ['a'])
})

test('no more jobs of a lane run at a time than it allows, and a full lane does not hold up another', async (t) => {
  const database = await testDatabase(t)
  let now = 0
  let most = 0
  let done = 0
  const blocked = Promise.withResolvers<void>()
  await worker(database, {
    'process-asset': async () => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setTimeout(resolve, 10))
      now--
      done++
    },
    'replicate-object': () => blocked.promise,
    'check-locations': async () => blocked.resolve(),
  })
  for (let index = 0; index < 4; index++)
    await enqueue(database.db, 'replicate-object', { objectId: String(index), to: 's3' })
  for (let index = 0; index < 20; index++)
    await enqueue(database.db, 'process-asset', { assetId: String(index) })
  await until('20 jobs are done', () => done === 20)
  assert.equal(most, 2)
  await enqueue(database.db, 'check-locations', {})
  await blocked.promise
  await until('all are gone', async () => (await countJobs(database)) === 0)
})

test('finding out that a bucket is back waits for no sweep', async (t) => {
  const database = await testDatabase(t)
  const isBack = Promise.withResolvers<void>()
  let held = 0
  const hangs = async () => {
    held += 1
    await isBack.promise
  }
  const sweeps = ['sweep-placement', 'sweep-library', 'sweep-classes', 'check-restores'] as const
  await worker(database, {
    ...Object.fromEntries(sweeps.map((name) => [name, hangs])),
    'check-locations': async () => isBack.resolve(),
  })
  for (const name of sweeps) await enqueue(database.db, name, {})
  await until('they take all there is for them', () => held === 2)
  await enqueue(database.db, 'check-locations', {})
  await isBack.promise
  await until('all are gone', async () => (await countJobs(database)) === 0)
})

test('a job that throws is recorded, tried again, and dead when its attempts are used up; retryFailed revives it', async (t) => {
  const database = await testDatabase(t)
  const { maxAttempts } = JOB_RULES['process-asset']
  const attempts: number[] = []
  let isBroken = true
  await worker(
    database,
    {
      'process-asset': async (_, { attempt }) => {
        attempts.push(attempt)
        if (isBroken) throw new Error('broken', { cause: new Error('because of the lens') })
      },
    },
    { backOff: { quickTries: maxAttempts, quickDelayMs: 1 } },
  )
  await enqueue(database.db, 'process-asset', { assetId: 'a' })
  await until('it is dead', async () => (await queueCounts(database.db)).processing.dead === 1)
  assert.deepEqual(
    attempts,
    Array.from({ length: maxAttempts }, (_, index) => index + 1),
  )
  const failures = await recentFailures(database.db, { queue: 'processing' })
  assert.equal(failures.length, maxAttempts)
  assert.deepEqual(
    { ...failures[0], at: undefined },
    {
      job: 'process-asset',
      queue: 'processing',
      payload: { assetId: 'a' },
      attempt: maxAttempts,
      error: 'broken: because of the lens',
      isFinal: true,
      at: undefined,
    },
  )
  assert.equal((await queueCounts(database.db)).processing.failed, 1, 'one piece of work, however often')

  isBroken = false
  assert.equal(await retryFailed(database.db, 'processing'), 1)
  await until('it is done', async () => (await countJobs(database)) === 0)
  assert.equal(attempts.length, maxAttempts + 1)
  assert.equal((await queueCounts(database.db)).processing.failed, 0, 'and it is solved')
})

test('a job for the only copy never dies, and waking it cuts its back-off short', async (t) => {
  const database = await testDatabase(t)
  const thrownAt: string[] = []
  await worker(
    database,
    {
      'replicate-object': async () => {
        const { rows } = await sql<{ now: string }>`select clock_timestamp()::text as now`.execute(
          database.db,
        )
        thrownAt.push(rows[0]!.now)
        // Else it may have run again before somebody looks.
        if (thrownAt.length === 3) await pauseQueue(database.db, 'replication', 'a test')
        throw new Error('the bucket is away')
      },
    },
    { backOff: { quickTries: 2, quickDelayMs: 1 } },
  )
  await enqueue(database.db, 'replicate-object', { objectId: 'o', to: 's3' })
  await until(
    'the quick tries and the first slow one are over',
    async () => (await recentFailures(database.db)).length === 3,
  )
  // The back-off counts from a moment after the throw and before the record of it.
  const { rows } = await sql<{ atLeast: number; atMost: number }>`
    select extract(epoch from run_at - ${thrownAt[2]}::timestamptz)::float8 as "atMost",
      extract(epoch from run_at - failure.at)::float8 as "atLeast"
    from graphile_worker.jobs join job_failure as failure on failure.attempt = 3`.execute(database.db)
  assert.equal(rows.length, 1)
  const { atLeast, atMost } = rows[0]!
  assert.ok(atMost >= 4 && atLeast <= 6, `waits ${atLeast} to ${atMost} s`)
  await sql`update graphile_worker._private_jobs
    set attempts = 1000, run_at = now() + interval '1 hour'`.execute(database.db)
  await resumeQueue(database.db, 'replication')
  assert.equal(await wakeJobs(database.db, ['replicate-object']), 1)
  await until('it ran again', () => thrownAt.length === 4)
  await until('it still waits', async () => (await queueCounts(database.db)).replication.delayed === 1)
})

test('waking leaves alone what waits for its first attempt', async (t) => {
  const database = await testDatabase(t)
  await enqueue(
    database.db,
    'evict-replica',
    { objectId: 'o', from: 'local' },
    { runAt: new Date(Date.now() + 60_000) },
  )
  assert.equal(await wakeJobs(database.db, ['evict-replica']), 0)
})

test('RetryLater is no failure and counts no attempt', async (t) => {
  const database = await testDatabase(t)
  const attempts: number[] = []
  await worker(database, {
    'evict-replica': async (_, { attempt }) => {
      attempts.push(attempt)
      if (attempts.length < 4) throw new RetryLater('the hold is not over', 1)
    },
  })
  await enqueue(database.db, 'evict-replica', { objectId: 'o', from: 'local' })
  await until('it is done', async () => (await countJobs(database)) === 0)
  assert.deepEqual(attempts, [1, 1, 1, 1])
  assert.deepEqual(await recentFailures(database.db), [])
})

test('one key: one job while it waits; enqueued again while it runs, it runs once more, even where the first fails', async (t) => {
  const database = await testDatabase(t)
  let runs = 0
  const go = Promise.withResolvers<void>()
  const ask = () => enqueue(database.db, 'process-asset', { assetId: 'a' })
  await ask()
  await ask()
  await worker(database, {
    'process-asset': async () => {
      runs += 1
      if (runs > 1) return
      await go.promise
      throw new Error('superseded, so that this is not repeated')
    },
  })
  await until('the job runs', () => runs === 1)
  await ask()
  await until('the second runs', () => runs === 2)
  go.resolve()
  await until('all are gone', async () => (await countJobs(database)) === 0)
  assert.equal(runs, 2)
})

test('a paused queue claims nothing until it is resumed; the others go on', async (t) => {
  const database = await testDatabase(t)
  const ran: string[] = []
  await worker(database, {
    'replicate-object': async () => void ran.push('replicate'),
    'evict-replica': async ({ objectId }) => void ran.push(`evict ${objectId}`),
  })
  await pauseQueue(database.db, 'replication', 'a test')
  await enqueue(database.db, 'replicate-object', { objectId: 'o', to: 's3' })
  // Each of these is claimed by one more look at all that is due, while the lane has room for two.
  const others = ['1', '2', '3', '4', '5']
  for (const objectId of others) {
    await enqueue(database.db, 'evict-replica', { objectId, from: 'local' })
    await until('the other queue ran', () => ran.includes(`evict ${objectId}`))
  }
  assert.deepEqual(
    ran,
    others.map((objectId) => `evict ${objectId}`),
  )
  const counts = await queueCounts(database.db)
  assert.equal(counts.replication.isPaused, true)
  assert.equal(counts.replication.waiting, 1)
  await resumeQueue(database.db, 'replication')
  await until('it ran', () => ran.includes('replicate'))
})

test('the check of the locations is not paused: nobody else would notice another installation', async (t) => {
  const database = await testDatabase(t)
  const ran: string[] = []
  await worker(database, {
    'check-locations': async () => void ran.push('check-locations'),
    'check-listings': async () => void ran.push('check-listings'),
  })
  await pauseQueue(database.db, 'maintenance', 'a test')
  await enqueue(database.db, 'check-listings', {})
  await enqueue(database.db, 'check-locations', {})
  await until('it ran', () => ran.length > 0)
  assert.deepEqual(ran, ['check-locations'])
})

test('stop waits for running jobs, aborts those that take too long, and gives back those that ignore it', async (t) => {
  const database = await testDatabase(t)
  const began: string[] = []
  let isShortDone = false
  const started = await worker(database, {
    'process-asset': async ({ assetId }, { signal }) => {
      began.push(assetId)
      if (assetId === 'short') {
        await new Promise((resolve) => setTimeout(resolve, 150))
        isShortDone = true
      } else {
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      }
    },
    'replicate-object': () => {
      began.push('deaf')
      return new Promise(() => undefined)
    },
  })
  await enqueue(database.db, 'process-asset', { assetId: 'short' })
  await enqueue(database.db, 'process-asset', { assetId: 'long' })
  await enqueue(database.db, 'replicate-object', { objectId: 'deaf', to: 's3' })
  await until('all run', () => began.length === 3)
  const beganAt = performance.now()
  await started.stop(400)
  assert.ok(performance.now() - beganAt < 2_500)
  assert.ok(isShortDone)
  const { rows } = await sql<{ task_identifier: string; attempts: number; locked_by: string | null }>`
    select task_identifier, attempts, locked_by from graphile_worker.jobs order by 1`.execute(database.db)
  assert.deepEqual(rows, [
    { task_identifier: 'process-asset', attempts: 0, locked_by: null },
    { task_identifier: 'replicate-object', attempts: 0, locked_by: null },
  ])
  assert.deepEqual(await database.db.selectFrom('worker_heartbeat').selectAll().execute(), [])
  assert.deepEqual(await recentFailures(database.db), [])
})

test('a job that is claimed while the worker is told to stop is not begun, and is given back', async (t) => {
  // A claim of each lane waits with a connection of its own, and this test looks on.
  const database = await testDatabase(t, { maxConnections: 20 })
  await enqueue(database.db, 'process-asset', { assetId: 'a' })
  const waitingClaims = sql`select 1 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like '%locked_by%'`
  let begun = 0
  let stopping: Promise<void> | undefined
  await database.db.transaction().execute(async (tx) => {
    // Holds the first claim up between its question and its answer.
    await sql`lock table paused_queue in access exclusive mode`.execute(tx)
    const started = await worker(database, { 'process-asset': async () => void begun++ })
    await until('a claim waits', async () => (await waitingClaims.execute(database.db)).rows.length > 0)
    stopping = started.stop(10_000)
  })
  await stopping
  const { pool } = database
  await until('all statements are answered', () => pool.idleCount === pool.totalCount)
  assert.equal(begun, 0)
  const { rows } = await sql`select attempts, locked_by from graphile_worker.jobs`.execute(database.db)
  assert.deepEqual(rows, [{ attempts: 0, locked_by: null }])
})

test('recurring jobs are enqueued once per interval, however many workers there are', async (t) => {
  const database = await testDatabase(t)
  let runs = 0
  const recurring = [{ name: 'check-locations', everyMs: 60_000 } as const]
  const handlers = { 'check-locations': async () => void runs++ }
  await worker(database, handlers, { recurring })
  await worker(database, handlers, { recurring })
  await until('it ran', () => runs > 0)
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(runs, 1)
  await sql`update job_schedule set next_at = now()`.execute(database.db)
  await until('it ran again', () => runs === 2)
})

test('failures and dead jobs are forgotten after 30 days, and not before', async (t) => {
  const database = await testDatabase(t)
  await enqueue(database.db, 'process-asset', { assetId: 'old' })
  await enqueue(database.db, 'process-asset', { assetId: 'new' })
  await sql`update graphile_worker._private_jobs set attempts = max_attempts,
    updated_at = now() - case when payload->>'assetId' = 'old' then interval '31 days' else interval '29 days' end`.execute(
    database.db,
  )
  await sql`insert into job_failure (job, queue, payload, attempt, error, is_final, at)
    select 'process-asset', 'processing', '{}', 1, days::text, true, now() - days * interval '1 day'
    from unnest(array[29, 31]) as days`.execute(database.db)
  await forgetOldFailures(database.db)
  assert.deepEqual(
    (await recentFailures(database.db)).map((failure) => failure.error),
    ['29'],
  )
  assert.equal((await queueCounts(database.db)).processing.dead, 1)
})
