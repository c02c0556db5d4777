/**
 * A job that is superseded in the moment in which it ends: the transaction that enqueues its key again is
 * under way, and commits after the end has begun. And one that had ended for good before.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { silentLog } from '../../src/log.ts'
import { enqueue, enqueueMany } from '../../src/queue/enqueue.ts'
import { forgetOldFailures, retryFailed } from '../../src/queue/failures.ts'
import { queueCounts } from '../../src/queue/queues.ts'
import {
  awaitPlace,
  type ClaimedJob,
  claimJobs,
  completeJob,
  failJob,
  postponeJob,
  releaseAllJobs,
} from '../../src/queue/worker/claimed-job.ts'
import { startHeartbeat } from '../../src/queue/worker/heartbeat.ts'
import { untilLockIsAwaited } from '../support/database/lock-waits.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

const WORKER = 'a worker'
const ASKED = { objectId: 'o', to: 's3' }

type End = (database: TestDatabase, job: ClaimedJob) => Promise<unknown>

const ENDS: Record<string, End> = {
  'it is done': ({ db }, job) => completeJob(db, WORKER, job),
  'it fails': ({ db }, job) =>
    failJob(db, WORKER, job, {
      queue: 'replication',
      error: 'of a test',
      code: 'internal',
      delayMs: 0,
      isFinal: false,
    }),
  'its place is away': ({ db }, job) => awaitPlace(db, WORKER, job, { error: 'away', delayMs: 0 }),
  'it is postponed': ({ db }, job) => postponeJob(db, WORKER, job, 0),
  'its worker stops': ({ db }) => releaseAllJobs(db, WORKER),
  'its worker is found dead': async ({ db }) => {
    const times = { beatMs: 60_000, deadAfterMs: 0 }
    const heartbeat = await startHeartbeat(db, 'another', times, silentLog, async () => undefined)
    await heartbeat.stop()
  },
}

for (const [name, end] of Object.entries(ENDS))
  test(`superseded while ${name}: only the newer job is left`, async (t) => {
    const database = await testDatabase(t)
    await enqueue(database.db, 'replicate-object', ASKED)
    const [job] = await claimJobs(database.db, WORKER, [{ names: ['replicate-object'], jobs: 1, avoid: [] }])
    assert.ok(job)
    let ending: Promise<unknown> | undefined
    await database.db.transaction().execute(async (tx) => {
      await enqueue(tx, 'replicate-object', ASKED)
      ending = end(database, job)
      await untilLockIsAwaited(database.pool)
    })
    await ending
    const { rows } = await sql`
      select key is not null as "hasKey", attempts, locked_by from graphile_worker.jobs`.execute(database.db)
    assert.deepEqual(rows, [{ hasKey: true, attempts: 0, locked_by: null }])
  })

for (const [name, askAgain] of Object.entries({
  one: ({ db }: TestDatabase) => enqueue(db, 'replicate-object', ASKED),
  many: ({ db }: TestDatabase) => enqueueMany(db, 'replicate-object', [{ payload: ASKED }]),
}))
  test(`a dead job whose work is enqueued again, as ${name}: neither told as failed nor revived`, async (t) => {
    const database = await testDatabase(t)
    const { db } = database
    const rooms = [{ names: ['replicate-object'], jobs: 10, avoid: [] }] as const
    await enqueue(db, 'replicate-object', ASKED)
    await sql`update graphile_worker._private_jobs set attempts = max_attempts`.execute(db)
    assert.equal((await queueCounts(db)).replication.dead, 1)
    await askAgain(database)
    const { dead, waiting } = (await queueCounts(db)).replication
    assert.deepEqual({ dead, waiting }, { dead: 0, waiting: 1 })
    assert.equal(await retryFailed(db, 'replication'), 0)
    const [job, ...others] = await claimJobs(db, WORKER, rooms)
    assert.deepEqual(others, [], 'it runs once')
    assert.ok(job && (await completeJob(db, WORKER, job)))
    await forgetOldFailures(db)
    const { rows } = await sql`select from graphile_worker.jobs`.execute(db)
    assert.equal(rows.length, 0)
  })

test('what has replaced a failing job and waits for its time is run at once when asked', async (t) => {
  const { db } = await testDatabase(t)
  await enqueue(db, 'replicate-object', ASKED)
  const [job] = await claimJobs(db, WORKER, [{ names: ['replicate-object'], jobs: 1, avoid: [] }])
  await enqueue(db, 'replicate-object', ASKED, { runAt: new Date(Date.now() + 60_000) })
  await failJob(db, WORKER, job!, {
    queue: 'replication',
    error: 'of a test',
    code: 'internal',
    delayMs: 0,
    isFinal: false,
  })
  assert.equal((await queueCounts(db)).replication.delayed, 1)
  assert.equal(await retryFailed(db, 'replication'), 1)
  assert.equal((await queueCounts(db)).replication.waiting, 1)
})
