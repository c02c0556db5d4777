/** What is answered with "created" is committed for good, whatever the settings of the PostgreSQL are. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { connectDatabase } from '../../src/database/connect.ts'
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded.ts'
import { silentLog } from '../../src/log.ts'
import { eventually } from '../support/eventually.ts'

test('a commit outlives a crash of a PostgreSQL that commits later by its configuration', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'glassine-commits-'))
  const postgres = await startEmbeddedPostgres({ dataDir, log: silentLog })
  const setUp = connectDatabase(postgres.url, silentLog)
  await sql`create table kept (id int)`.execute(setUp.db)
  await sql`alter system set synchronous_commit = off`.execute(setUp.db)
  // Longer than the test takes from the commit to the crash.
  await sql`alter system set wal_writer_delay = '10s'`.execute(setUp.db)
  await sql`select pg_reload_conf()`.execute(setUp.db)
  await setUp.pool.end()

  const { db, pool } = connectDatabase(postgres.url, silentLog)
  t.after(async () => {
    await pool.end()
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true })
  })
  await eventually(async () => {
    const { rows } = await sql<{
      delay: string
    }>`select current_setting('wal_writer_delay') as delay`.execute(db)
    assert.equal(rows[0]!.delay, '10s')
  })
  await sql`insert into kept values (1)`.execute(db)
  process.kill(postgres.pid, 'SIGQUIT')
  const { rows } = await eventually(() => sql<{ id: number }>`select id from kept`.execute(db), 30_000)
  assert.deepEqual(rows, [{ id: 1 }])
})
