import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LibraryEvent, publish, subscribe } from '../../src/database/events.ts'
import { silentLog } from '../../src/log.ts'
import { testDatabase } from '../support/postgres.ts'

async function until(check: () => boolean): Promise<void> {
  const endsAt = performance.now() + 5_000
  while (!check()) {
    assert.ok(performance.now() < endsAt, 'not within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('events arrive on commit, in order, and not at all after a rollback', async (t) => {
  const { db, pool } = await testDatabase(t)
  const events: LibraryEvent[] = []
  const subscription = await subscribe(pool, silentLog, (event) => events.push(event))
  await db
    .transaction()
    .execute(async (tx) => {
      await publish(tx, { type: 'user-deleted', userId: 'nobody' })
      throw new Error('roll back')
    })
    .catch(() => undefined)
  await db.transaction().execute(async (tx) => {
    await publish(tx, { type: 'session-deleted', sessionId: '1' })
    await publish(tx, { type: 'storage-changed' })
    assert.deepEqual(events, [])
  })
  await until(() => events.length === 2)
  assert.deepEqual(events, [{ type: 'session-deleted', sessionId: '1' }, { type: 'storage-changed' }])
  await subscription.close()
})

test('a thousand ids go in several events, each below the limit of NOTIFY', async (t) => {
  const { db, pool } = await testDatabase(t)
  const events: LibraryEvent[] = []
  const subscription = await subscribe(pool, silentLog, (event) => events.push(event))
  const assetIds = Array.from({ length: 1_000 }, () => crypto.randomUUID())
  await publish(db, { type: 'assets-trashed', userId: crypto.randomUUID(), assetIds })
  const received = () => events.flatMap((event) => ('assetIds' in event ? event.assetIds : []))
  await until(() => received().length === 1_000)
  assert.deepEqual(received(), assetIds)
  await subscription.close()
})

test('the subscription survives the loss of its connection and a handler that throws', async (t) => {
  const { db, pool } = await testDatabase(t)
  const events: LibraryEvent[] = []
  const subscription = await subscribe(pool, silentLog, (event) => {
    events.push(event)
    throw new Error('the handler is broken')
  })
  await pool.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where query like $1 and pid <> pg_backend_pid()',
    ['listen%'],
  )
  await until(() => pool.totalCount > 0)
  for (let tries = 0; events.length < 2; tries++) {
    assert.ok(tries < 100, 'no event after the connection was lost')
    await publish(db, { type: 'storage-changed' }).catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await subscription.close()
})
