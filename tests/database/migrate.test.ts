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

test('the recorded schema of the queue is that of the package that is installed', async () => {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  assert.equal(`graphile-worker ${JSON.parse(text).dependencies['graphile-worker']}`, QUEUE_SCHEMA)
})
