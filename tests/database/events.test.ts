import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { type LibraryEvent, publish, subscribe } from '../../src/database/events.ts'
import { silentLog } from '../../src/log.ts'
import { eventually } from '../support/eventually.ts'
import { testDatabase } from '../support/postgres.ts'

/** Those of this database alone: other tests have theirs on the same server. */
const TERMINATE_LISTENERS = sql`select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and query like 'listen%' and pid <> pg_backend_pid()`

test('events arrive on commit, in order, and not at all after a rollback', async (t) => {
  const { db, pool } = await testDatabase(t)
  const events: LibraryEvent[] = []
  const subscription = await subscribe(pool, silentLog, (event) => events.push(event))
  await db
    .transaction()
    .execute(async (tx) => {
      await publish(tx, { type: 'restore-refused', assetId: 'none', userId: 'nobody' })
      throw new Error('roll back')
    })
    .catch(() => undefined)
  await db.transaction().execute(async (tx) => {
    await publish(tx, { type: 'restore-refused', assetId: '1', userId: '2' })
    await publish(tx, { type: 'storage-changed' })
    assert.deepEqual(events, [])
  })
  await eventually(() => assert.equal(events.length, 2))
  assert.deepEqual(events, [
    { type: 'restore-refused', assetId: '1', userId: '2' },
    { type: 'storage-changed' },
  ])
  await subscription.close()
})

test('a thousand ids go in several events, each below the limit of NOTIFY', async (t) => {
  const { db, pool } = await testDatabase(t)
  const events: LibraryEvent[] = []
  const subscription = await subscribe(pool, silentLog, (event) => events.push(event))
  const assetIds = Array.from({ length: 1_000 }, () => crypto.randomUUID())
  await publish(db, { type: 'assets-trashed', userId: crypto.randomUUID(), assetIds })
  const received = () => events.flatMap((event) => ('assetIds' in event ? event.assetIds : []))
  await eventually(() => assert.equal(received().length, 1_000))
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
  await TERMINATE_LISTENERS.execute(db)
  await eventually(() => assert.ok(pool.totalCount > 0))
  await eventually(async () => {
    await publish(db, { type: 'storage-changed' })
    assert.ok(events.length >= 2, 'no event after the connection was lost')
  })
  await subscription.close()
})

test('a connection that is lost as it begins to listen is given up once, and one other takes its place', async (t) => {
  const { db, pool } = await testDatabase(t)
  let losses = 2
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>
    client.query = (async (...args: unknown[]) => {
      if (losses === 0 || !String(args[0]).startsWith('listen')) return query(...args)
      losses -= 1
      const answer = await query(...args)
      client.emit('error', new Error('terminated'))
      if (losses === 0) throw new Error('terminated')
      return answer
    }) as typeof client.query
  })
  await assert.rejects(
    subscribe(pool, silentLog, () => undefined),
    /lost as it began/,
  )
  losses = 0
  const events: LibraryEvent[] = []
  const subscription = await subscribe(pool, silentLog, (event) => events.push(event))
  t.after(() => subscription.close())
  losses = 2
  await TERMINATE_LISTENERS.execute(db)
  await eventually(() => assert.equal(losses, 0))
  // One failed by its answer, one by a throw; the third listens, and it is the only one.
  await eventually(() => assert.equal(pool.totalCount - pool.idleCount, 1))
  await eventually(async () => {
    await publish(db, { type: 'storage-changed' })
    assert.ok(events.length > 0, 'no event after the connection was lost')
  })
  // Longer than the longest wait between two tries that were due: a second listener would be there by now.
  await new Promise((resolve) => setTimeout(resolve, 400))
  assert.equal(pool.totalCount - pool.idleCount, 1)
  await subscription.close()
  assert.equal(pool.totalCount - pool.idleCount, 0)
})
