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
  await sql`select pg_reload_conf()`.execute(setUp.db)
  const { rows: writers } = await sql<{ pid: number }>`
    select pid from pg_stat_activity where backend_type = 'walwriter'`.execute(setUp.db)
  await setUp.pool.end()
  const walWriter = writers[0]!.pid

  const { db, pool } = connectDatabase(postgres.url, silentLog)
  t.after(async () => {
    await pool.end()
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true })
  })
  await eventually(async () => {
    const { rows } = await sql<{ as: string }>`select reset_val as "as" from pg_settings
      where name = 'synchronous_commit'`.execute(db)
    assert.equal(rows[0]!.as, 'off')
  })
  // It would write what was committed later, at any moment before the crash.
  process.kill(walWriter, 'SIGSTOP')
  await sql`insert into kept values (1)`.execute(db)
  process.kill(postgres.pid, 'SIGQUIT')
  process.kill(walWriter, 'SIGKILL')
  const { rows } = await eventually(() => sql<{ id: number }>`select id from kept`.execute(db), 30_000)
  assert.deepEqual(rows, [{ id: 1 }])
})
