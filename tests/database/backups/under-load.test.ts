/** A backup while others write, and one that is killed; a restore that is killed; memory. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadBackup } from '../../../src/database/backups/load-backup.ts'
import { checkBackup } from '../../../src/database/backups/read-backup.ts'
import { makeIdentity, seal, unseal } from '../../../src/database/backups/seal.ts'
import { writeBackup } from '../../../src/database/backups/write-backup.ts'
import { JOBS_SECTION } from '../../../src/queue/backup-jobs.ts'
import { eventually } from '../../support/eventually.ts'
import { emptyDatabase, testDatabase } from '../../support/postgres.ts'
import { fillDatabase } from './fill-database.ts'

const sections = [JOBS_SECTION]

async function* inOnePiece(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

test('a backup shows one moment, however much is written meanwhile', async (t) => {
  const { pool } = await testDatabase(t)
  await pool.query(
    "insert into location (id, kind, identity, marker) values ('a', 's3', 'a', gen_random_uuid())",
  )
  const stop = new AbortController()
  let written = 0
  /** In one transaction: an object, its replica (and so an event and a used key), and a job; and one goes. */
  const write = async () => {
    const client = await pool.connect()
    try {
      while (!stop.signal.aborted) {
        const id = randomUUID()
        await client.query('begin')
        await client.query(
          `insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension)
           values ($1, $1, 'original', 1, sha256($2), '', '')`,
          [id, id],
        )
        await client.query(
          `insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
           values ($1, 'a', $2, 'writing', 'x', now())`,
          [id, `users/${id}`],
        )
        await client.query(`select graphile_worker.add_job('purge-object', job_key => $1)`, [`purge:${id}`])
        await client.query('commit')
        written += 1
      }
    } finally {
      client.release()
    }
  }
  const writers = [write(), write(), write()]
  try {
    for (let round = 0; round < 4; round += 1) {
      const before = written
      let seenAtHeader = 0
      const slow = (async function* () {
        for await (const piece of writeBackup(pool, {
          version: '1.2.3',
          sections,
          onHeader: () => (seenAtHeader = written),
        })) {
          await sleep(5)
          yield piece
        }
      })()
      const bytes = await buffer(slow)
      assert.ok(written > seenAtHeader && seenAtHeader >= before, 'others wrote while the backup was made')
      const target = await emptyDatabase()
      await loadBackup(target.pool, inOnePiece(bytes), { sections })
      const { rows } = await target.pool.query<Record<string, number>>(`select
        (select count(*) from stored_object) as objects, (select count(*) from replica) as replicas,
        (select count(*) from placement_event) as events, (select count(*) from used_key) as keys,
        (select count(*) from graphile_worker._private_jobs) as jobs,
        (select count(*) from replica r where not exists (select from stored_object where id = r.object_id)) as orphans`)
      const { objects, orphans, ...others } = rows[0]!
      assert.equal(orphans, 0)
      for (const [name, count] of Object.entries(others)) assert.equal(count, objects, name)
      await target.drop()
    }
  } finally {
    stop.abort()
    await Promise.all(writers)
  }
})

test('a restore that is killed leaves an empty database, and can be made again', async (t) => {
  const source = await testDatabase(t)
  await fillDatabase(source.pool)
  await source.pool.query(`insert into used_key (location_id, key)
    select 'a', 'users/' || n || repeat('x', 300) from generate_series(1, 30000) n`)
  const folder = await mkdtemp(join(tmpdir(), 'glassine-restore-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'backup')
  await writeFile(file, await buffer(writeBackup(source.pool, { version: '1.2.3', sections })))
  const target = await emptyDatabase(t)
  for (const killAt of ['album', 'replica', 'used_key', 'version_history']) {
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'restore-process.ts'), file, target.url],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      output += piece
      if (output.split('\n').includes(killAt)) child.kill('SIGKILL')
    })
    await once(child, 'exit')
    assert.ok(!output.includes('done'), output)
    await eventually(async () => {
      const { rows } = await target.pool.query(
        "select from pg_stat_activity where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()",
      )
      assert.equal(rows.length, 0, 'PostgreSQL has noticed')
    }, 10_000)
    const { rows } = await target.pool.query(
      "select relname from pg_class where relnamespace = 'public'::regnamespace",
    )
    assert.deepEqual(rows, [], killAt)
  }
  await loadBackup(
    target.pool,
    inOnePiece(await buffer(writeBackup(source.pool, { version: '1.2.3', sections }))),
    {
      sections,
    },
  )
})

test('memory does not grow with the database', async (t) => {
  const { pool } = await testDatabase(t)
  // About 80 MB of text, which gzip makes half as small.
  await pool.query(`insert into used_key (location_id, key)
    select 'a', (select string_agg(md5(random()::text || n || m), '') from generate_series(1, 60) m)
    from generate_series(1, 40000) n`)
  const { identity, recipient } = await makeIdentity()
  // What is garbage at the moment counts as well, so the first third says how much that is.
  const most = { early: 0, late: 0 }
  let seen = 0
  const watched = async function* (source: AsyncIterable<Buffer>) {
    for await (const piece of source) {
      seen += piece.length
      const when = seen < 28_000_000 ? 'early' : 'late'
      most[when] = Math.max(most[when], process.memoryUsage().rss)
      yield piece
    }
  }
  const sealed = seal(writeBackup(pool, { version: '1.2.3', sections }), recipient)
  const { totals } = await checkBackup(watched(unseal(sealed, identity)))
  assert.ok(totals.bytes > 76_000_000, String(totals.bytes))
  const grown = (most.late - most.early) / 2 ** 20
  assert.ok(grown < 40, `${Math.round(grown)} MiB more`)
})
