import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { connectDatabase } from '../../src/database/connect.ts'
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded.ts'
import { migrate } from '../../src/database/migrate.ts'
import { silentLog } from '../../src/log.ts'
import { enqueue } from '../../src/queue/enqueue.ts'
import { recentFailures } from '../../src/queue/queues.ts'
import { startWorker } from '../../src/queue/worker/worker.ts'
import { until } from '../support/eventually.ts'
import { testHandlers } from './handlers.ts'

const JOBS = 400
const RESTARTS = 3

test('PostgreSQL is restarted under load: every job runs, none is lost, and the worker goes on by itself', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'glassine-restarted-'))
  const postgres = await startEmbeddedPostgres({ dataDir, log: silentLog })
  const { pool, db } = connectDatabase(postgres.url, silentLog)
  await migrate(pool, silentLog)
  const runs = new Map<string, number>()
  const worker = await startWorker({
    pool,
    db,
    log: silentLog,
    concurrency: { processing: 8, video: 1, storage: 2 },
    backOff: { quickTries: 100, quickDelayMs: 10 },
    heartbeat: { beatMs: 200, deadAfterMs: 2_000 },
    pollMs: 100,
    recurring: [],
    handlers: testHandlers({
      'process-asset': async ({ assetId }) => {
        await new Promise((resolve) => setTimeout(resolve, 25))
        runs.set(assetId, (runs.get(assetId) ?? 0) + 1)
      },
    }),
  })
  t.after(async () => {
    await worker.stop(0)
    await pool.end()
    await postgres.stop()
    await rm(dataDir, { recursive: true })
  })

  await db.transaction().execute(async (tx) => {
    for (let index = 0; index < JOBS; index++) await enqueue(tx, 'process-asset', { assetId: String(index) })
  })
  for (let restart = 1; restart <= RESTARTS; restart++) {
    const before = runs.size
    await until('jobs run', () => runs.size > before + 20, 20_000)
    assert.ok(runs.size < JOBS, 'the restart meets work under way')
    const pid = postgres.pid
    // A fast shutdown ends every session in the middle; the second one is a crash.
    process.kill(pid, restart === 2 ? 'SIGKILL' : 'SIGINT')
    await until('PostgreSQL runs again', () => postgres.pid !== pid, 20_000)
  }
  const left = async () => {
    const counted = await sql<{ count: number }>`select count(*) from graphile_worker.jobs`
      .execute(db)
      .catch(() => null)
    return Number(counted?.rows[0]?.count ?? JOBS)
  }
  await until('no job is left', async () => (await left()) === 0, 60_000)
  assert.equal(runs.size, JOBS)
  assert.deepEqual(await recentFailures(db), [], 'an outage of the database is no failure of a job')
  const twice = [...runs.values()].filter((count) => count > 1).length
  assert.ok(twice <= 8 * RESTARTS, `${twice} jobs ran twice; more than were running at the restarts`)
})
