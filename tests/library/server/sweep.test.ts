import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { sweepLibrary } from '../../../src/library/server/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import { ingestBytes } from '../../support/placement.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const jpeg = () => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(1_000)])
const sweep = ({ db, placement }: TestServer) => sweepLibrary({ db, placement, log: silentLog })
const NOTHING = {
  purgedFromTrash: 0,
  endedSessions: 0,
  processedAgain: 0,
  givenUp: 0,
  unreferencedObjects: 0,
  directUploads: 0,
  removedUsers: 0,
  prunedRemovals: 0,
}

test('the sweep finds what fell through, and nothing else', async (t) => {
  const server = await startTestServer(t)
  const { admin, pool } = server
  const upload = async () => (await admin.upload(jpeg(), 'x.jpg')).id

  await t.test('a library in order is left alone', async () => {
    const id = await upload()
    await server.runJobs()
    await upload()
    assert.deepEqual(await sweep(server), NOTHING)
    await admin.call('/assets', {
      method: 'DELETE',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ids: [id] }),
    })
    assert.deepEqual(await sweep(server), NOTHING)
  })

  await t.test('what was in the trash for 30 days goes, a day less stays', async () => {
    const [old, young] = [await upload(), await upload()]
    await pool.query(`update asset set deleted_at = now() - interval '31 days' where id = $1`, [old])
    await pool.query(`update asset set deleted_at = now() - interval '29 days' where id = $1`, [young])
    assert.deepEqual(await sweep(server), { ...NOTHING, purgedFromTrash: 1 })
    assert.equal((await admin.call(`/assets/${old}`)).status, 400)
    assert.equal((await admin.call(`/assets/${young}`)).status, 200)
  })

  await t.test('sessions that are over for a day end', async () => {
    const user = await server.newUser('gone')
    await pool.query(`update session set expires_at = now() - interval '25 hours' where user_id = $1`, [
      user.userId,
    ])
    assert.deepEqual(await sweep(server), { ...NOTHING, endedSessions: 1 })
  })

  await t.test('an asset that lost its job gets one', async () => {
    const id = await upload()
    await pool.query(`delete from graphile_worker._private_jobs where key = $1`, [`process:${id}`])
    assert.deepEqual(await sweep(server), NOTHING, 'it may be in flight')
    await pool.query(`update asset set created_at = now() - interval '2 hours' where id = $1`, [id])
    assert.deepEqual(await sweep(server), { ...NOTHING, processedAgain: 1 })
    assert.deepEqual(await sweep(server), NOTHING)
  })

  await t.test('an asset whose attempts are used up says why, and its local copy may go', async () => {
    const id = await upload()
    await pool.query(
      `update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'the decoder hung' where key = $1`,
      [`process:${id}`],
    )
    assert.deepEqual(await sweep(server), { ...NOTHING, givenUp: 1 })
    await server.runJobs()
    const receipt = await admin.json<{ processing: unknown; replicas: { location: string }[] }>(
      `/storage/receipts/${id}`,
    )
    assert.deepEqual(receipt.processing, {
      state: 'failed',
      error: 'Processing failed every time: the decoder hung',
    })
    assert.deepEqual(
      receipt.replicas.map((replica) => replica.location),
      ['s3'],
    )
  })

  await t.test('what somebody uploaded stays, also without an asset: a sidecar, an original', async () => {
    const sidecar = await ingestBytes(server.placement, Buffer.from('<x/>'), {
      kind: 'sidecar',
      ownerId: randomUUID(),
    })
    const original = await ingestBytes(server.placement, jpeg(), { ownerId: randomUUID() })
    assert.deepEqual(await sweep(server), NOTHING)
    await pool.query(`update stored_object set created_at = now() - interval '2 days'`)
    assert.deepEqual(await sweep(server), NOTHING)
    await server.runJobs()
    const left = await pool.query('select id from stored_object where id = any($1)', [[sidecar, original]])
    assert.equal(left.rows.length, 2)
    assert.deepEqual(await sweep(server), NOTHING)
  })
})
