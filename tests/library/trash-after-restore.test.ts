/**
 * An older database believes things of the trash that may be long over: somebody has taken photos out of it
 * since.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { sweepLibrary } from '../../src/library/server/sweep.ts'
import { silentLog } from '../../src/log.ts'
import { startTestServer } from '../support/server.ts'
import { advanceAsAnother } from '../support/storage/foreign-counter.ts'

test('A1: the trash of a database that was put back is emptied by nobody before the decision, nor right after it', async (t) => {
  const server = await startTestServer(t)
  const { admin, pool, placement } = server
  const { id } = await admin.upload(randomBytes(1_000), 'photo.jpg')
  await server.runJobs()
  // In this older state it lies in the trash for long; in the newer one it was taken out again.
  await pool.query(`update asset set deleted_at = now() - interval '31 days' where id = $1`, [id])
  await advanceAsAnother(server.remotes.get('s3')!.inner)

  const sweep = () => sweepLibrary({ db: server.db, placement, log: silentLog })
  // The sweep looks itself: no check has noticed yet.
  assert.equal((await sweep()).purgedFromTrash, 0)
  assert.equal((await admin.call(`/assets/${id}/original`)).status, 200)
  assert.equal((await admin.call('/storage/locations/s3/adoption', { method: 'POST' })).status, 202)
  assert.equal((await sweep()).purgedFromTrash, 0)
  await server.runJobs()
  assert.equal((await sweep()).purgedFromTrash, 0, 'its time has begun anew')

  await pool.query(`update asset set deleted_at = now() - interval '31 days' where id = $1`, [id])
  assert.equal((await sweep()).purgedFromTrash, 1)
})
