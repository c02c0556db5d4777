import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { silentLog } from '../../src/log.ts'
import { enqueue } from '../../src/queue/enqueue.ts'
import { recentFailures } from '../../src/queue/queues.ts'
import { startWorker } from '../../src/queue/worker/worker.ts'
import { eventually, until } from '../support/eventually.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { testHandlers } from './handlers.ts'

/** Starts a worker process, waits until it runs a job, and kills it. */
async function killInTheMiddle(t: TestContext, database: TestDatabase): Promise<void> {
  await enqueue(database.db, 'process-asset', { assetId: 'a' })
  const child = spawn(
    process.execPath,
    [new URL('./worker-process.ts', import.meta.url).pathname, database.url],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const { rows } = await sql`select from graphile_worker.jobs where locked_by is not null`.execute(
    database.db,
  )
  assert.equal(rows.length, 1, 'the killed worker holds its job')
}

async function survivor(
  database: TestDatabase,
  times: { beatMs: number; deadAfterMs: number },
  onRun: () => void = () => undefined,
) {
  const ran: { assetId: string; attempt: number }[] = []
  const worker = await startWorker({
    pool: database.pool,
    db: database.db,
    log: silentLog,
    concurrency: { processing: 2, video: 1, storage: 2 },
    backOff: { quickTries: 3, quickDelayMs: 1 },
    pollMs: 50,
    recurring: [],
    heartbeat: times,
    handlers: testHandlers({
      'process-asset': async ({ assetId }, { attempt }) => {
        ran.push({ assetId, attempt })
        onRun()
      },
    }),
  })
  database.beforeDrop(() => worker.stop(0))
  return ran
}

test("a killed worker's job runs again at once where the new worker sees that its process is gone", async (t) => {
  const database = await testDatabase(t)
  await killInTheMiddle(t, database)
  // Its heartbeat is far from old: only the missing process can tell.
  const ran = await survivor(database, { beatMs: 60_000, deadAfterMs: 180_000 })
  await until('it ran', () => ran.length > 0, 5_000)
  assert.deepEqual(ran, [{ assetId: 'a', attempt: 2 }])
  const [failure] = await recentFailures(database.db)
  assert.equal(failure?.error, 'its worker died while it ran')
  assert.equal(failure?.isFinal, false)
})

test("a killed worker's job runs again when its heartbeat is old, from whatever machine it was", async (t) => {
  const database = await testDatabase(t)
  await killInTheMiddle(t, database)
  const elsewhere = 'another-machine/4711/12345/abc'
  await sql`update worker_heartbeat set worker_id = ${elsewhere}`.execute(database.db)
  await sql`update graphile_worker._private_jobs set locked_by = ${elsewhere}`.execute(database.db)
  const beganAt = performance.now()
  let ranAt = 0
  // A beat that comes a second late begins its time anew.
  const ran = await survivor(database, { beatMs: 500, deadAfterMs: 1_500 }, () => {
    ranAt = performance.now()
  })
  await until('it ran', () => ran.length > 0, 60_000)
  assert.deepEqual(ran, [{ assetId: 'a', attempt: 2 }])
  assert.ok(ranAt - beganAt >= 1_500, `a worker that may live keeps its job: ${ranAt - beganAt} ms`)
})

test('a living worker is not buried, even right after an outage made every heartbeat old', async (t) => {
  const database = await testDatabase(t)
  const elsewhere = 'another-machine/4711/12345/abc'
  await sql`insert into worker_heartbeat values (${elsewhere}, now() - interval '1 hour')`.execute(
    database.db,
  )
  const beats = async () => {
    const rows = sql<{
      at: Date
    }>`select beaten_at as at from worker_heartbeat where worker_id <> ${elsewhere}`
    return (await rows.execute(database.db)).rows.map(({ at }) => at.getTime())
  }
  await survivor(database, { beatMs: 50, deadAfterMs: 1_000 })
  const [first] = await beats()
  await eventually(async () => assert.notEqual((await beats())[0], first))
  // The newcomer has looked more than once. The other one beats again before it may judge.
  const beating = setInterval(
    () => void sql`update worker_heartbeat set beaten_at = now()`.execute(database.db),
    50,
  )
  database.beforeDrop(async () => clearInterval(beating))
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  const rows = await database.db.selectFrom('worker_heartbeat').select('worker_id').execute()
  assert.ok(rows.some((row) => row.worker_id === elsewhere))
})
