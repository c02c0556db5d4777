import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../src/log.ts'
import { enqueue, enqueueMany } from '../../src/queue/enqueue.ts'
import { recentFailures } from '../../src/queue/queues.ts'
import { type JobHandlers, startWorker } from '../../src/queue/worker/worker.ts'
import { until } from '../support/eventually.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { testHandlers } from './handlers.ts'

async function slowWorker(database: TestDatabase, process: JobHandlers['process-asset']) {
  const worker = await startWorker({
    pool: database.pool,
    db: database.db,
    log: silentLog,
    handlers: testHandlers({ 'process-asset': process }),
    concurrency: { processing: 1, video: 1, storage: 1 },
    backOff: { quickTries: 2, quickDelayMs: 1 },
    pollMs: 50,
    slowAfterMs: 50,
    recurring: [],
  })
  database.beforeDrop(() => worker.stop(0))
}

test("B5: one person's slow jobs in a full lane hold up nobody else's", async (t) => {
  const database = await testDatabase(t)
  const jobs = ['a1', 'a2', 'a3'].map((assetId) => ({ payload: { assetId }, owner: 'a' }))
  await enqueueMany(database.db, 'process-asset', jobs)
  for (const assetId of ['b1', 'b2']) await enqueue(database.db, 'process-asset', { assetId }, { owner: 'b' })
  const begun: string[] = []
  const hung = Promise.withResolvers<void>()
  await slowWorker(database, async ({ assetId }) => {
    begun.push(assetId)
    if (assetId.startsWith('a')) await hung.promise
  })
  await until('both jobs of the other run', () => begun.includes('b1') && begun.includes('b2'))
  assert.deepEqual(begun, ['a1', 'b1', 'b2'], 'and no more of the first')
  hung.resolve()
  await until('the rest runs', () => begun.length === 5)
})

test('a job with an owner is still one of its queue', async (t) => {
  const database = await testDatabase(t)
  await enqueue(database.db, 'process-asset', { assetId: 'a' }, { owner: 'a' })
  await slowWorker(database, async () => {
    throw new Error('planned')
  })
  await until('it failed', async () => (await recentFailures(database.db)).length > 0)
  assert.equal((await recentFailures(database.db))[0]!.queue, 'processing')
})
