/** What a photo needs is committed with it, and no row stands for bytes that are not there. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { startTestServer } from '../../support/server.ts'
import { photo } from '../../support/server-with-bucket.ts'

test('a photo is committed together with the job that processes it, or not at all', async (t) => {
  const { admin, pool } = await startTestServer(t)
  const jobsOf = async (assetId: string) =>
    (await pool.query(`select from graphile_worker.jobs where key like '%' || $1 || '%'`, [assetId])).rowCount
  const bytes = await photo()
  // So that the queue knows the name of the job.
  await admin.upload(await photo(), 'first.jpg')
  await pool.query(`
    create function refuse() returns trigger language plpgsql as $$ begin
      if (select identifier from graphile_worker._private_tasks where id = new.task_id) = 'process-asset' then
        raise exception 'no processing now';
      end if;
      return new;
    end $$;
    create trigger refuse before insert on graphile_worker._private_jobs for each row execute function refuse()`)
  await assert.rejects(admin.upload(bytes, 'a.jpg'), /answered 500/)
  assert.equal((await pool.query('select from asset')).rowCount, 1)
  await pool.query('drop trigger refuse on graphile_worker._private_jobs')
  const { id, status } = await admin.upload(bytes, 'a.jpg')
  assert.equal(status, 'created')
  assert.notEqual(await jobsOf(id), 0)
  assert.equal(await admin.sha256OfOriginal(id), createHash('sha256').update(bytes).digest('hex'))
})

test('a description of a photo without a sidecar makes no row without bytes', async (t) => {
  const { admin, pool, placement, runJobs } = await startTestServer(t)
  const { id } = await admin.upload(await photo(), 'a.jpg')
  await runJobs()
  const rows = async () => (await pool.query('select kind from stored_object order by kind')).rows
  const before = await rows()
  await admin.json(`/assets/${id}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ description: 'a summer' }),
  })
  await runJobs()
  assert.deepEqual(await rows(), before)
  const replicas = await pool.query<{ location_id: string; key: string }>(
    'select location_id, key from replica',
  )
  for (const { location_id: at, key } of replicas.rows)
    assert.notEqual(await placement.locations.get(at)!.backend.head(key as never), null, `${at} ${key}`)
  assert.deepEqual((await pool.query('select job from job_failure')).rows, [])
  const { exifInfo } = await admin.json<{ exifInfo: { description: string } }>(`/assets/${id}`)
  assert.equal(exifInfo.description, 'a summer')
})

test('a folder of the user is never taken over as a library, and nothing in it is moved or deleted', async (t) => {
  const { admin, placement, runJobs } = await startTestServer(t)
  const folder = await mkdtemp(join(tmpdir(), 'glassine-own-'))
  t.after(() => rm(folder, { recursive: true }))
  const own = join(folder, 'own.jpg')
  const bytes = await photo()
  await writeFile(own, bytes)
  const made = await admin.call('/libraries', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ownerId: crypto.randomUUID(), importPaths: [folder] }),
  })
  assert.ok([404, 501].includes(made.status), `it answered ${made.status}`)
  const { id } = await admin.upload(bytes, 'own.jpg')
  await runJobs()
  await admin.json('/trash/empty', { method: 'POST' })
  await admin.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [id], force: true }),
  })
  await runJobs()
  await sweepPlacement(placement)
  assert.deepEqual(await readFile(own), bytes)
})
