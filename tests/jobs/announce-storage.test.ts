import assert from 'node:assert/strict'
import { test } from 'node:test'
import { publish, subscribe } from '../../src/database/events.ts'
import { createStorageAnnouncer } from '../../src/jobs/announce-storage.ts'
import { silentLog } from '../../src/log.ts'
import { eventually } from '../support/eventually.ts'
import { testDatabase } from '../support/postgres.ts'

test('a change within the interval is told when the process closes, and nothing after that', async (t) => {
  const { db, pool } = await testDatabase(t)
  const heard: string[] = []
  const subscription = await subscribe(pool, silentLog, ({ type }) => heard.push(type))

  const announcer = createStorageAnnouncer(db, silentLog)
  await announcer.announce()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await announcer.announce()
  await announcer.announce()
  await announcer.close()
  await announcer.close()
  t.mock.timers.tick(60_000)
  t.mock.timers.reset()

  await publish(db, { type: 'restore-refused', assetId: 'the', userId: 'last' })
  await eventually(() => assert.equal(heard.at(-1), 'restore-refused'))
  assert.deepEqual(heard, ['storage-changed', 'storage-changed', 'restore-refused'])
  await subscription.close()
})
