import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrate, readMigrations } from '../../src/database/migrate.ts'
import { silentLog } from '../../src/log.ts'
import { emptyDatabase } from '../support/postgres.ts'

const KEYS = 300

test('the objects of keys to clear are looked up by an index, not by reading all events for each', async (t) => {
  const { pool } = await emptyDatabase(t)
  const all = await readMigrations()
  // As databases of that version are: without what was added for the sake of the next.
  const before = all.filter(({ name }) => name <= '0008-keys-to-clear')
  assert.equal(before.at(-1)!.name, '0008-keys-to-clear')
  await migrate(pool, silentLog, before)
  await pool.query(`insert into location (id, kind, identity) values ('s3', 'memory', 'test')`)
  await pool.query(`insert into placement_event (object_id, location_id, key, from_state, to_state, actor)
    select gen_random_uuid(), 's3', 'users/' || n, null, 'writing', 'test' from generate_series(1, 5000) n`)
  await pool.query(`insert into key_to_clear (location_id, key, writable_until, clear_at)
    select location_id, key, now(), now() from placement_event where id % (5000 / ${KEYS}) = 0 limit ${KEYS}`)
  // The one of the migration, which tells its scans at once: the pool gives out the one that was used last.
  const scans = async () => {
    await pool.query('select pg_stat_force_next_flush()')
    const { rows } = await pool.query<{ count: number }>(
      `select seq_scan::int as count from pg_stat_user_tables where relname = 'placement_event'`,
    )
    return rows[0]!.count
  }
  const scansBefore = await scans()
  await migrate(pool, silentLog, all)
  const made = (await scans()) - scansBefore
  assert.ok(made < KEYS / 10, `${made} times all events were read for ${KEYS} keys`)

  const { rows } = await pool.query<{ right: number; all: number }>(
    `select count(*)::int as all, count(*) filter (where e.object_id = k.object_id)::int as right
     from key_to_clear k join placement_event e using (location_id, key)`,
  )
  assert.deepEqual(rows, [{ all: KEYS, right: KEYS }])
  const { rows: index } = await pool.query(`select to_regclass('placement_event_key') as name`)
  assert.deepEqual(index, [{ name: null }])
})

test('a database that is past that makes no such index', async (t) => {
  const { pool } = await emptyDatabase(t)
  const all = await readMigrations()
  const since = (name: string) => name.endsWith('event-keys')
  await migrate(
    pool,
    silentLog,
    all.filter(({ name }) => !since(name)),
  )
  await migrate(pool, silentLog, all)
  const { rows } = await pool.query(`select to_regclass('placement_event_key') as name`)
  assert.deepEqual(rows, [{ name: null }])
})
