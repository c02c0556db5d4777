/** kill -9 in the middle of the catalogue's writing, and of bringing back what it says. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { cloneAssets } from '../support/clone-assets.ts'
import { eventually } from '../support/eventually.ts'
import { beginCli, installationOf } from '../support/run-cli.ts'
import {
  drained,
  photo,
  probed,
  type ServerWithBucket,
  staged,
  startServerWithBucket,
} from '../support/server-with-bucket.ts'

const LIMIT_MS = 120_000
let site: ServerWithBucket

before(async () => {
  site = await startServerWithBucket({})
  await probed(site.client)
})
after(() => site?.close())

// Its own group: the launcher and the Node that it starts.
const begin = (...args: string[]) =>
  beginCli(args, { cwd: site.folder, env: installationOf(site), stdio: 'ignore', detached: true })

async function kill9(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  process.kill(-child.pid!, 'SIGKILL')
  await ended
}

async function finished(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'exit')) as [number | null]
  return code
}

const counted = async (table: 'catalogue_batch' | 'catalogue_change') => {
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count from ${sql.table(table)}`.execute(site.database!.db)
  return rows[0]!.count
}

test('a killed batch counts for nothing, and what it would have said is written by the next one', {
  timeout: 400_000,
}, async () => {
  const { id } = await site.client.upload(await photo(), 'photo.jpg')
  await drained(site.client, LIMIT_MS)
  await site.server.stop()
  const copies = await cloneAssets(site.database!.pool, id, { months: 2, perMonth: 10_000 })
  const changes = await counted('catalogue_change')
  assert.ok(changes >= copies)
  const leftBefore = (await staged(site.mediaLocation)).length
  const child = begin('catalogue', 'now')
  await eventually(async () => {
    if ((await staged(site.mediaLocation)).length === leftBefore) throw new Error('not begun')
  }, LIMIT_MS)
  await kill9(child)
  assert.deepEqual([await counted('catalogue_batch'), await counted('catalogue_change')], [0, changes])
  assert.equal(await finished(begin('catalogue', 'now')), 0)
  assert.deepEqual([await counted('catalogue_batch'), await counted('catalogue_change')], [1, 0])
  const { rows } = await site.database!.pool.query('select entries from catalogue_batch')
  assert.equal(rows[0].entries >= copies + 2, true)
})

test('a killed adoption goes on where it was, and brings each photo back once', {
  timeout: 400_000,
}, async () => {
  const { pool } = site.database!
  await pool.query(
    `delete from asset_file where asset_id in (select id from asset where original_file_name like 'copy-%')`,
  )
  await pool.query(`delete from asset where original_file_name like 'copy-%'`)
  await site.start()
  const ids: string[] = []
  for (let count = 0; count < 12; count += 1)
    ids.push((await site.client.upload(await photo(), `late ${count}.jpg`)).id)
  await drained(site.client, LIMIT_MS)
  await site.server.stop()
  assert.equal(await finished(begin('catalogue', 'now')), 0)
  // As a database from before these uploads: it knows neither them nor the batches.
  await pool.query(`begin; set local session_replication_role = replica;
    create temporary table late as select id, original_object_id as object_id from asset where original_file_name like 'late%'
      union select asset_id, object_id from asset_file where asset_id in (select id from asset where original_file_name like 'late%');
    delete from asset_file where asset_id in (select id from late); delete from asset_exif where asset_id in (select id from late);
    delete from asset_reading where asset_id in (select id from late); delete from asset where id in (select id from late);
    delete from used_key where key in (select key from replica where object_id in (select object_id from late));
    delete from replica where object_id in (select object_id from late);
    delete from stored_object where id in (select object_id from late);
    delete from catalogue_change; delete from catalogue_batch; update catalogue_state set heads = '{}';
    drop table late; commit`)
  const { faults } = site.bucket
  const slow = faults.add({
    match: { operation: 'GetObject', key: /^users\/.*original/ },
    fault: { kind: 'delay', ms: 300 },
  })
  const child = begin('catalogue', 'adopt', '--yes')
  await eventually(async () => {
    const { rows } = await pool.query(`select from asset where original_file_name like 'late%'`)
    if (rows.length < 2) throw new Error('not begun')
  }, LIMIT_MS)
  await kill9(child)
  assert.ok(slow.hits < ids.length)
  const between = await pool.query(`select from asset where original_file_name like 'late%'`)
  assert.ok(between.rows.length < ids.length)
  await site.start()
  await eventually(async () => {
    const { rows } = await pool.query('select adoption from catalogue_state')
    if (rows[0].adoption?.state !== 'done') throw new Error(JSON.stringify(rows[0].adoption))
  }, LIMIT_MS)
  const { rows } = await pool.query<{ id: string; verified: number }>(
    `select a.id, (select count(*)::float8 from replica r where r.object_id = a.original_object_id
        and r.state = 'verified' and r.location_id = 's3') as verified
     from asset a where original_file_name like 'late%'`,
  )
  assert.deepEqual(rows.map(({ id }) => id).sort(), [...ids].sort())
  assert.ok(rows.every(({ verified }) => verified === 1))
})
