import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pruneRemovals } from '../../../src/library/sync/prune.ts'
import { startTestServer } from '../../support/server.ts'
import { ackAll, acknowledge, readStream, sync } from '../../support/sync/sync-client.ts'
import { addAsset } from '../routes/asset-rows.ts'

test('removals are forgotten after 31 days, and who has not heard of them starts anew', async (t) => {
  const server = await startTestServer(t)
  const { pool, db } = server
  const me = await server.newUser('me')
  const removed = (days: number) =>
    pool.query(
      `insert into sync_removal (id, kind, scope_id, subject_id) values (
         sync_floor((extract(epoch from now() - $2 * interval '1 day') * 1e6)::bigint), 'asset', $1, gen_random_uuid())`,
      [me.userId, days],
    )
  for (const days of [40, 35, 30, 1]) await removed(days)

  // Nobody has seen these days pass: the clock has just jumped.
  await pool.query(`insert into clock_gap (from_at, until_at, noticed_at)
    values (now() - interval '39 days', now() - interval '1 hour', now())`)
  assert.equal(await pruneRemovals(db), 0)
  await pool.query('delete from clock_gap')
  assert.equal(await pruneRemovals(db), 2)
  assert.equal(await pruneRemovals(db), 0)
  assert.equal((await sync(me, 'AssetsV2')).length, 2)

  // Complete 20 days ago by this database's clock, but what came then is forgotten: it was ahead.
  const { rows } = await pool.query<{ id: string }>(
    "select sync_floor((extract(epoch from now() - interval '20 days') * 1e6)::bigint) as id",
  )
  await acknowledge(me, [`SyncCompleteV1|${rows[0]!.id}`])
  assert.equal((await sync(me, 'AssetsV2')).length, 2)
  await pool.query(
    "update sync_state set pruned_until = sync_floor((extract(epoch from now() - interval '1 day') * 1e6)::bigint)",
  )
  assert.deepEqual(await readStream(me, ['AssetsV2']), [
    { type: 'SyncResetV1', data: {}, ack: 'SyncResetV1|reset' },
  ])
})

test('a device that was never in step counts from its first acknowledgement', async (t) => {
  const server = await startTestServer(t)
  const me = await server.newUser('me')
  await addAsset(server.db, me.userId, { created_at: '2020-01-01' })
  await ackAll(me, await sync(me, 'AssetsV2'))
  assert.deepEqual(await sync(me, 'AssetsV2'), [])
  await server.pool.query('update sync_state set pruned_until = sync_id()')
  assert.deepEqual(
    (await readStream(me, ['AssetsV2'])).map(({ type }) => type),
    ['SyncResetV1'],
  )
  await acknowledge(me, ['SyncResetV1|reset'])
  assert.equal((await sync(me, 'AssetsV2')).length, 1)
})
