import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { type Migration, migrate, QUEUE_SCHEMA, readMigrations } from '../../src/database/migrate.ts'
import { silentLog } from '../../src/log.ts'
import { emptyDatabase, testDatabase } from '../support/postgres.ts'

const file = (name: string, text: string): Migration => ({ name, text, sha256: text })

test('several processes migrate at once: each file is applied once', async (t) => {
  const { pool } = await emptyDatabase(t)
  await Promise.all(Array.from({ length: 4 }, () => migrate(pool, silentLog)))
  const { rows } = await pool.query('select name from schema_migration order by name')
  assert.deepEqual(
    rows.map((row) => row.name),
    [...(await readMigrations()).map((migration) => migration.name), QUEUE_SCHEMA],
  )
  await migrate(pool, silentLog)
})

test('a file that fails leaves nothing of itself, and the ones before it stay', async (t) => {
  const { pool } = await emptyDatabase(t)
  const good = file('0001-good', 'create table good ()')
  const bad = file('0002-bad', 'create table half (); select 1/0')
  await assert.rejects(migrate(pool, silentLog, [good, bad]), /0002-bad: division by zero/)
  const { rows } = await pool.query("select to_regclass('good') as good, to_regclass('half') as half")
  assert.deepEqual(rows, [{ good: 'good', half: null }])
  await migrate(pool, silentLog, [good, file('0002-bad', 'create table half ()')])
})

test('a database that is newer than the code is refused', async (t) => {
  const { pool } = await testDatabase(t)
  await pool.query("insert into schema_migration (name, sha256) values ('9999-from-the-future', '')")
  await assert.rejects(migrate(pool, silentLog), /newer than this Glassine.*9999-from-the-future/)
})

test('a migration whose text changed after it was applied is refused', async (t) => {
  const { pool } = await testDatabase(t)
  await pool.query("update schema_migration set sha256 = 'other' where name = '0001-first-schema'")
  await assert.rejects(migrate(pool, silentLog), /another text of the migration/)
})

test('assets of an older installation wait to be read again, those that wait for their processing do not', async (t) => {
  const { pool } = await emptyDatabase(t)
  const all = await readMigrations()
  await migrate(
    pool,
    silentLog,
    all.filter(({ name }) => name < '0017'),
  )
  const owner = await pool.query(
    `insert into app_user (email, name, password_hash) values ('a@example.org', 'A', '') returning id`,
  )
  for (const processing of ['done', 'failed', 'pending']) {
    await pool.query(
      `with made as (
        insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension)
        values (gen_random_uuid(), $1, 'original', 1, sha256($2::text::bytea), 'image/jpeg', 'jpg') returning id)
      insert into asset (id, owner_id, type, checksum, original_object_id, original_file_name, original_mime_type,
        file_size, file_created_at, file_modified_at, local_date_time, processing)
      select gen_random_uuid(), $1, 'IMAGE', substr(sha256($2::text::bytea), 1, 20), id, $2, 'image/jpeg', 1, now(), now(),
        now(), $2 from made`,
      [owner.rows[0].id, processing],
    )
  }
  await migrate(pool, silentLog)
  const { rows } = await pool.query(
    'select original_file_name as name, reader_version from asset_reading join asset on id = asset_id order by 1',
  )
  assert.deepEqual(rows, [
    { name: 'done', reader_version: 0 },
    { name: 'failed', reader_version: 0 },
  ])
})

test('the recorded schema of the queue is that of the package that is installed', async () => {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  assert.equal(`graphile-worker ${JSON.parse(text).dependencies['graphile-worker']}`, QUEUE_SCHEMA)
})
