/** A backup of a database with every table filled, put into an empty one, is the same database. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { buffer, text } from 'node:stream/consumers'
import { test } from 'node:test'
import type pg from 'pg'
import type { BackupHeader } from '../../../src/database/backups/format.ts'
import { loadBackup } from '../../../src/database/backups/load-backup.ts'
import { checkBackup } from '../../../src/database/backups/read-backup.ts'
import { makeIdentity, seal, unseal } from '../../../src/database/backups/seal.ts'
import { backedUpTables, NOT_BACKED_UP, QUEUE_TABLES } from '../../../src/database/backups/tables.ts'
import { writeBackup } from '../../../src/database/backups/write-backup.ts'
import { connectDatabase } from '../../../src/database/connect.ts'
import { migrate, readMigrations } from '../../../src/database/migrate.ts'
import { silentLog } from '../../../src/log.ts'
import { JOBS_SECTION } from '../../../src/queue/backup-jobs.ts'
import { enqueue } from '../../../src/queue/enqueue.ts'
import { dumpSchema } from '../../support/database/dump-schema.ts'
import { emptyDatabase, testDatabase } from '../../support/postgres.ts'
import { fillDatabase } from './fill-database.ts'

const sections = [JOBS_SECTION]

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** All rows of a table in one order, as text. */
async function rowsOf(pool: pg.Pool, table: string): Promise<string[]> {
  const { rows } = await pool.query<{ row: string }>(`select t::text as row from ${table} t order by 1`)
  return rows.map(({ row }) => row)
}

const JOBS = `select identifier, payload::text, priority, max_attempts, attempts, last_error, run_at::text, key,
  flags::text, revision, locked_at, locked_by, is_available
  from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id order by j.id`

test('every table is in a backup, or is named with the reason why not', async (t) => {
  const { pool } = await testDatabase(t)
  const { rows } = await pool.query<{ schema: string; name: string }>(
    `select relnamespace::regnamespace::text as schema, relname as name from pg_class
     where relkind in ('r', 'p', 'm', 'f') and relnamespace::regnamespace::text <> all('{pg_catalog,information_schema,pg_toast}')
     order by 1, 2`,
  )
  const named = new Map([
    ['public', [...backedUpTables(), ...Object.keys(NOT_BACKED_UP)]],
    ['graphile_worker', Object.keys(QUEUE_TABLES)],
  ])
  for (const [schema, found] of Map.groupBy(rows, (row) => row.schema))
    assert.deepEqual(found.map(({ name }) => name).sort(), named.get(schema)?.sort(), schema)
  for (const reason of [...Object.values(NOT_BACKED_UP), ...Object.values(QUEUE_TABLES)])
    assert.ok(reason.length > 10)
})

test('what is restored is the same, row by row, and goes on', async (t) => {
  const source = await testDatabase(t)
  await fillDatabase(source.pool)
  for (const table of backedUpTables()) assert.notEqual((await rowsOf(source.pool, table)).length, 0, table)
  await enqueue(source.db, 'purge-object', { objectId: randomUUID() }, { owner: randomUUID() })
  await enqueue(source.db, 'check-locations', {})
  await enqueue(source.db, 'process-asset', { assetId: randomUUID() }, { runAt: new Date('2031-01-01') })
  await source.pool.query("update graphile_worker._private_jobs set attempts = 3, last_error = 'x' || E'\\n'")
  // One that runs, and one that was superseded while it ran.
  await source.pool.query(
    "update graphile_worker._private_jobs set locked_at = now(), locked_by = 'me' where key like 'purge%'",
  )
  const before = (await source.pool.query(JOBS)).rows
  await enqueue(source.db, 'process-asset', { assetId: randomUUID() })
  await source.pool.query(`update graphile_worker._private_jobs set key = null, locked_at = now(), locked_by = 'me'
    where id = (select max(id) from graphile_worker._private_jobs)`)

  let header: BackupHeader | undefined
  const plain = await buffer(
    writeBackup(source.pool, { version: '1.2.3', sections, onHeader: (told) => (header = told) }),
  )
  const { identity, recipient } = await makeIdentity()
  const sealed = await buffer(seal(pieces(plain, 10_000), recipient))
  assert.ok(!sealed.includes('album'), 'nothing of it can be read')

  // However the bytes arrive.
  for (const size of [1, 3, 1_000]) {
    const checked = await checkBackup(pieces(plain, size))
    assert.deepEqual(checked.header, header)
  }
  const target = await emptyDatabase(t)
  assert.deepEqual(await loadBackup(target.pool, unseal(pieces(sealed, 777), identity), { sections }), header)
  for (const table of backedUpTables())
    assert.deepEqual(await rowsOf(target.pool, table), await rowsOf(source.pool, table), table)
  const after = (await target.pool.query(JOBS)).rows
  const asRestored = before.map((job) =>
    job.locked_at === null
      ? job
      : { ...job, attempts: 2, locked_at: null, locked_by: null, is_available: true },
  )
  assert.deepEqual(after, asRestored)

  // The schema is complete again, with its triggers and constraints.
  assert.equal(await dumpSchema(target.pool), await dumpSchema(source.pool))
  const { rows: off } = await target.pool.query("select tgname from pg_trigger where tgenabled <> 'O'")
  assert.deepEqual(off, [])
  await migrate(target.pool, silentLog)
  await assert.rejects(target.pool.query('delete from placement_event'), /append-only/)
  // Sequences go on behind what is there.
  const next = async (pool: pg.Pool) =>
    (
      await pool.query<{ id: string }>(
        `insert into placement_event (object_id, location_id, key, actor) values (gen_random_uuid(), 'x', 'x', 'x')
         returning id::text`,
      )
    ).rows[0]!.id
  assert.equal(await next(target.pool), await next(source.pool))
  await enqueue(target.db, 'check-locations', {})
  const keyed = (await target.pool.query<{ key: string | null }>(JOBS)).rows.filter(({ key }) => key !== null)
  assert.equal(keyed.length, 3, 'one that is enqueued again takes the place of the restored one')
})

test('a backup is text that psql could run', async (t) => {
  const { pool } = await testDatabase(t)
  const plain = await text(writeBackup(pool, { version: '1.2.3', sections }))
  assert.match(plain, /^-- Glassine database backup \{"format":1,"takenAt":"/)
  assert.match(plain, /\ncopy "album" \("id","name",.*\) from stdin;\n\\\.\n/)
  assert.match(plain, /\n-- end \{"bytes":\d+,"sha256":"[0-9a-f]{64}","rows":\d+\}\n$/)
})

test('who owns the database, and is no superuser, can back it up and restore it', async (t) => {
  const source = await testDatabase(t)
  await fillDatabase(source.pool)
  const plain = await buffer(writeBackup(source.pool, { version: '1.2.3', sections }))
  const target = await emptyDatabase(t)
  const role = `owner_${randomUUID().slice(0, 8)}`
  await target.pool.query(`create role ${role} login password 'of-a-test'`)
  const { rows } = await target.pool.query<{ name: string }>('select current_database() as name')
  await target.pool.query(
    `alter database ${rows[0]!.name} owner to ${role}; alter schema public owner to ${role}`,
  )
  const url = new URL(target.url)
  url.username = role
  url.password = 'of-a-test'
  const { pool } = connectDatabase(url.href, silentLog)
  try {
    await loadBackup(pool, pieces(plain, 50_000), { sections })
    await migrate(pool, silentLog)
    assert.equal((await buffer(writeBackup(pool, { version: '1.2.3', sections }))).length, plain.length)
  } finally {
    await pool.end()
    await target.drop()
    await source.pool.query(`drop role ${role}`)
  }
})

test('an older backup is restored as it was, and later migrations run on it', async (t) => {
  const source = await testDatabase(t)
  await fillDatabase(source.pool)
  const plain = await buffer(writeBackup(source.pool, { version: '1.2.3', sections }))
  const { pool } = await emptyDatabase(t)
  await loadBackup(pool, pieces(plain, 50_000), { sections })
  const text = "alter table album add column later text not null default 'from a later version'"
  const later = { name: '9999-later', text, sha256: '00' }
  await migrate(pool, silentLog, [...(await readMigrations()), later])
  const { rows } = await pool.query<{ later: string }>('select later from album')
  assert.deepEqual(
    rows.map((row) => row.later),
    ['from a later version', 'from a later version'],
  )
  // And the version that made it refuses what the later one has made of it.
  await pool.query("insert into system_metadata values ('x', '{}')")
  const newer = await buffer(writeBackup(pool, { version: '1.3.0', sections }))
  const other = await emptyDatabase(t)
  await assert.rejects(
    loadBackup(other.pool, pieces(newer, 50_000), { sections }),
    /made by a newer Glassine \(1\.3\.0\)/,
  )
})
