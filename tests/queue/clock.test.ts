import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../src/log.ts'
import { enqueue } from '../../src/queue/enqueue.ts'
import { JOB_RULES, type JobName } from '../../src/queue/job-types.ts'
import { longestWaitMs, runWhatWaitsTooLong } from '../../src/queue/worker/longest-waits.ts'
import { startWorker, type WorkerOptions } from '../../src/queue/worker/worker.ts'
import { until } from '../support/eventually.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { testHandlers } from './handlers.ts'

const HOUR_MS = 3_600_000

async function workerThatNotes(database: TestDatabase, options: Partial<WorkerOptions> = {}) {
  const ran: string[] = []
  const worker = await startWorker({
    pool: database.pool,
    db: database.db,
    log: silentLog,
    handlers: testHandlers({
      'process-asset': async ({ assetId }) => void ran.push(assetId),
      'evict-replica': async ({ objectId }) => void ran.push(objectId),
      'sweep-library': async () => void ran.push('sweep'),
    }),
    concurrency: { processing: 1, video: 1, storage: 1 },
    backOff: { quickTries: 2, quickDelayMs: 1 },
    pollMs: 20,
    lookAtClockMs: 20,
    recurring: [],
    ...options,
  })
  database.beforeDrop(() => worker.stop(0))
  return ran
}

/** As if the clock had been three days ahead until now, and whoever ran then had noted it. */
const wasAhead = ({ pool }: TestDatabase) =>
  pool.query(`insert into clock_seen (seen_at) values (now() + interval '3 days')
    on conflict (only_row) do update set seen_at = excluded.seen_at`)
const putOff = ({ pool }: TestDatabase, interval: string) =>
  pool.query(`update graphile_worker._private_jobs set run_at = now() + $1::interval`, [interval])

test('A9: a job that a clock three days ahead has put off runs now, whoever killed the server meanwhile', async (t) => {
  const database = await testDatabase(t)
  await enqueue(database.db, 'process-asset', { assetId: 'a' })
  await putOff(database, '3 days')
  const ran = await workerThatNotes(database)
  await until('it ran', () => ran.includes('a'))
})

test('A9: a clock that goes back while the server runs is noticed, and what waits runs', async (t) => {
  const database = await testDatabase(t)
  const ran = await workerThatNotes(database)
  await enqueue(database.db, 'process-asset', { assetId: 'a' })
  await until('a worker runs', () => ran.includes('a'))
  await database.pool.query('update graphile_worker._private_jobs set run_at = now()')
  await enqueue(database.db, 'process-asset', { assetId: 'b' }, { runAt: new Date(Date.now() + 2 * HOUR_MS) })
  await wasAhead(database)
  await until('it ran', () => ran.includes('b'))
})

test('A9: what is due again and again is due, though a clock that was ahead has said when', async (t) => {
  const database = await testDatabase(t)
  await database.pool.query(`insert into job_schedule values ('sweep-library', now() + interval '3 days')`)
  const ran = await workerThatNotes(database, { recurring: [{ name: 'sweep-library', everyMs: HOUR_MS }] })
  await until('it ran', () => ran.includes('sweep'))
})

test('A9: a worker that died while the clock was ahead is missed', async (t) => {
  const database = await testDatabase(t)
  await enqueue(database.db, 'process-asset', { assetId: 'a' })
  await database.pool.query(`update graphile_worker._private_jobs
    set locked_by = 'elsewhere/1/1/x', locked_at = now() + interval '3 days'`)
  await database.pool.query(
    `insert into worker_heartbeat values ('elsewhere/1/1/x', now() + interval '3 days')`,
  )
  await wasAhead(database)
  const ran = await workerThatNotes(database, { heartbeat: { beatMs: 50, deadAfterMs: 100 } })
  await until('its job ran', () => ran.includes('a'))
})

test('A9: what is put off for as long as it ever is keeps its time', async (t) => {
  const database = await testDatabase(t)
  const waits = { holdMs: 90 * 24 * HOUR_MS, urlMs: 0 }
  await enqueue(database.db, 'evict-replica', { objectId: 'held', from: 'local' })
  await putOff(database, '90 days')
  assert.equal(await runWhatWaitsTooLong(database.db, waits), 0)
  await putOff(database, '91 days')
  assert.equal(await runWhatWaitsTooLong(database.db, waits), 1)
  await enqueue(database.db, 'process-asset', { assetId: 'a' })
  await database.pool.query(`update graphile_worker._private_jobs set run_at = now() + interval '6 hours'`)
  assert.equal(await runWhatWaitsTooLong(database.db, waits), 0)
  for (const name of Object.keys(JOB_RULES) as JobName[]) {
    assert.ok(longestWaitMs(name, waits) >= 6 * HOUR_MS, `${name} has a back-off of up to 6 hours`)
  }
})
