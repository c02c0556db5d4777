/** A database that was put back, or copied, is not the one that phones have synced with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadBackup } from '../../../src/database/backups/load-backup.ts'
import { writeBackup } from '../../../src/database/backups/write-backup.ts'
import { migrate } from '../../../src/database/migrate.ts'
import { buildHttpServer } from '../../../src/http/server.ts'
import { requireResetOfAll } from '../../../src/library/sync/checkpoints.ts'
import { silentLog } from '../../../src/log.ts'
import { JOBS_SECTION } from '../../../src/queue/backup-jobs.ts'
import { emptyDatabase } from '../../support/postgres.ts'
import { startTestServer } from '../../support/server.ts'
import { openPhone } from '../../support/sync/phone.ts'
import { ackAll, readStream, sync, typesOf } from '../../support/sync/sync-client.ts'
import { addAsset } from '../routes/asset-rows.ts'

const sections = [JOBS_SECTION]

test('after a restore a phone starts anew, and has what the database has', async (t) => {
  const server = await startTestServer(t)
  const me = await server.newUser('me')
  const kept = await addAsset(server.db, me.userId)
  const deletedLater = await addAsset(server.db, me.userId)
  const phone = openPhone()
  t.after(() => phone.close())
  await phone.sync(me)
  // As if the clock had been an hour ahead: what comes after the restore must still come after this.
  await server.pool.query(`select setval('sync_state_clock_seq',
    (extract(epoch from clock_timestamp() + interval '1 hour') * 1e6)::bigint)`)
  await server.pool.query('update asset set is_favorite = true where id = $1', [kept])

  const backup: Buffer[] = []
  for await (const piece of writeBackup(server.pool, { version: '1.2.3', sections })) backup.push(piece)
  // The phone hears of what the backup does not have.
  const late = await addAsset(server.db, me.userId)
  await server.pool.query('delete from asset where id = $1', [deletedLater])
  await phone.sync(me)
  const ids = () =>
    phone
      .rows<{ id: string }>('select id from remote_asset')
      .map(({ id }) => id)
      .toSorted()
  assert.deepEqual(ids(), [kept, late].toSorted())

  const restored = await emptyDatabase(t)
  await loadBackup(restored.pool, pieces(backup), { sections })
  await migrate(restored.pool, silentLog)
  const app = await buildHttpServer({
    config: { uploads: { maxBytes: 1e9 } },
    log: silentLog,
    db: restored.db,
    pool: restored.pool,
    placement: server.placement,
    mediaTools: null as never,
  })
  restored.beforeDrop(() => app.close())
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const call = (path: string, init: RequestInit = {}) =>
    fetch(`${url}/api${path}`, { ...init, headers: { authorization: `Bearer ${me.token}`, ...init.headers } })
  const sessions = (await (await call('/sessions')).json()) as { isPendingSyncReset: boolean }[]
  assert.ok(sessions.every(({ isPendingSyncReset }) => isPendingSyncReset))

  const types = await phone.sync({ call })
  assert.equal(types[0], 'SyncResetV1')
  assert.deepEqual(ids(), [kept, deletedLater].toSorted())
  await restored.pool.query('update asset set is_favorite = false where id = $1', [kept])
  await phone.sync({ call })
  assert.deepEqual(
    { ...phone.rows(`select isFavorite from remote_asset where id = '${kept}'`)[0]! },
    { isFavorite: 0 },
  )
  assert.equal((await phone.sync({ call })).length, 1, 'and then there is nothing more')
})

test('a database that finds another one at its bucket has every phone start anew', async (t) => {
  const server = await startTestServer(t)
  const me = await server.newUser('me')
  await addAsset(server.db, me.userId)
  await ackAll(me, await sync(me, 'AssetsV2'))
  await server.pool.query(`insert into location_counter (location_id, value, token, holder)
    select 'local', 1, gen_random_uuid(), 'test' on conflict (location_id) do nothing`)
  const find = (conflict: string | null) =>
    server.pool.query(
      "update location_counter set conflict = $1, conflict_since = case when $1::text is not null then now() end where location_id = 'local'",
      [conflict],
    )
  // The place is older: nothing is wrong with this database.
  await find('older-place')
  assert.deepEqual(await sync(me, 'AssetsV2'), [])
  await find(null)
  await find('another-ledger')
  assert.deepEqual(typesOf(await readStream(me, ['AssetsV2'])), ['SyncResetV1'])
})

async function* pieces(all: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* all
}

test('the command has every phone start anew, also where nothing tells that the machine was put back', async (t) => {
  const server = await startTestServer(t)
  const me = await server.newUser('me')
  await addAsset(server.db, me.userId)
  await ackAll(me, await sync(me, 'AssetsV2'))
  assert.deepEqual(await sync(me, 'AssetsV2'), [])
  await requireResetOfAll(server.db)
  assert.deepEqual(typesOf(await readStream(me, ['AssetsV2'])), ['SyncResetV1'])
})
