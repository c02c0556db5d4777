import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { dumpSchema } from '../support/database/dump-schema.ts'
import { testDatabase } from '../support/postgres.ts'

const FILE = new URL('../schema.dump.sql', import.meta.url)
const HEADER =
  '-- What all migrations together make of an empty database. Written by UPDATE_SCHEMA_DUMP=1 node --test\n' +
  '-- tests/database/schema-dump.test.ts; the same test fails while it differs.\n\n'

test('tests/schema.dump.sql shows what the migrations make', async (t) => {
  const { pool } = await testDatabase(t)
  const found = HEADER + (await dumpSchema(pool))
  if (process.env.UPDATE_SCHEMA_DUMP === '1') await writeFile(FILE, found)
  assert.equal(
    found,
    await readFile(FILE, 'utf8').catch(() => ''),
    'run it with UPDATE_SCHEMA_DUMP=1 and review the difference',
  )
})

test("the queue's tables have what our claims use", async (t) => {
  const { pool } = await testDatabase(t)
  const { rows } = await pool.query<{ column: string }>(`
    select table_name || '.' || column_name as column from information_schema.columns
    where table_schema = 'graphile_worker' and table_name in ('_private_jobs', '_private_tasks')`)
  const columns = rows.map((row) => row.column)
  for (const column of [
    'id',
    'task_id',
    'payload',
    'priority',
    'run_at',
    'attempts',
    'max_attempts',
    'last_error',
    'key',
    'locked_at',
    'locked_by',
    'flags',
    'is_available',
  ]) {
    assert.ok(columns.includes(`_private_jobs.${column}`), column)
  }
  for (const column of ['id', 'identifier']) assert.ok(columns.includes(`_private_tasks.${column}`), column)
})
