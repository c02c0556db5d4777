import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrate, readMigrations } from '../../src/database/migrate.ts'
import { silentLog } from '../../src/log.ts'
import { emptyDatabase } from '../support/postgres.ts'

const NAME = '0061-sync-partners-stacks-memories'

test('phones hear again of what they were told without stacks and defaults, and of nothing else', async (t) => {
  const { pool } = await emptyDatabase(t)
  const all = await readMigrations()
  const before = all.filter(({ name }) => name < NAME)
  await migrate(pool, silentLog, before)
  const [stacked, single, user, other] = [1, 2, 3, 4].map((at) => `00000000-0000-4000-8000-00000000000${at}`)
  for (const id of [user, other])
    await pool.query(
      'insert into app_user (id, email, name, password_hash) values ($1::uuid, $1::text, $1::text, $1::text)',
      [id],
    )
  for (const id of [stacked, single]) {
    await pool.query(
      `insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension)
       values ($1::uuid, $2, 'original', 1, sha256($1::uuid::text::bytea), 'image/jpeg', 'jpg')`,
      [id, user],
    )
    await pool.query(
      `insert into asset (id, owner_id, type, checksum, original_object_id, original_file_name, original_mime_type,
         file_size, file_created_at, file_modified_at, local_date_time)
       values ($1::uuid, $2, 'IMAGE', substring(sha256($1::uuid::text::bytea) for 20), $1::uuid, 'a.jpg', 'image/jpeg',
         1, now(), now(), now())`,
      [id, user],
    )
  }
  await pool.query('insert into stack (id, owner_id, primary_asset_id) values ($1, $2, $1)', [stacked, user])
  await pool.query('update asset set stack_id = id where id = $1', [stacked])
  await pool.query('insert into partner (shared_by_id, shared_with_id) values ($1, $2)', [user, other])
  await pool.query(`insert into asset_metadata (asset_id, key, value) values ($1, 'mobile-app', '{}')`, [
    single,
  ])
  const { rows } = await pool.query<{ now: string }>('select sync_id() as now')
  const reached = rows[0]!.now

  await migrate(pool, silentLog, [...before, ...all.filter(({ name }) => name === NAME)])
  const isNew = async (from: string) =>
    (await pool.query<{ is: boolean }>(`select update_id > $1 as is from ${from}`, [reached])).rows.map(
      ({ is }) => is,
    )
  assert.deepEqual(await isNew('asset order by id'), [true, false])
  assert.deepEqual(await isNew('app_user order by id'), [false, false])
  for (const table of ['stack', 'partner', 'asset_metadata']) assert.deepEqual(await isNew(table), [true])
  const preferences = await pool.query('select from app_user where preferences_update_id > $1', [reached])
  assert.equal(preferences.rowCount, 2)
  const kept = await pool.query('select owner_id from asset_metadata')
  assert.deepEqual(kept.rows, [{ owner_id: user }])
})
