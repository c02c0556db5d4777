import assert from 'node:assert/strict'
import test from 'node:test'
import { commandQueue, type ImmichQueue, listQueues } from '../../src/library/server/queue-control.ts'
import { JOB_RULES } from '../../src/queue/job-types.ts'
import { QUEUE_NAMES, QUEUES } from '../../src/queue/queue-names.ts'
import { queueCounts } from '../../src/queue/queues.ts'
import { testDatabase } from '../support/postgres.ts'

test('each queue is listed under the name of Immich that stands for it, and obeys both names', async (t) => {
  const { db } = await testDatabase(t)
  const admin = { email: 'admin@example.org' } as Parameters<typeof commandQueue>[1]
  const used = new Set(Object.values(JOB_RULES).map(({ queue }) => queue))
  assert.deepEqual([...QUEUE_NAMES].sort(), [...used].sort())
  for (const name of QUEUE_NAMES) {
    const immich = QUEUES[name].immich as ImmichQueue
    await commandQueue(db, admin, immich, 'pause', false)
    assert.equal((await queueCounts(db))[name].isPaused, true, name)
    assert.equal((await listQueues(db))[immich].queueStatus.isPaused, true, immich)
    await commandQueue(db, admin, name, 'resume', false)
    assert.equal((await listQueues(db))[immich].queueStatus.isPaused, false, immich)
  }
})
