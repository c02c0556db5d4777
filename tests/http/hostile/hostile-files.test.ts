import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { reasonToGiveUp } from '../../../src/library/processing/processing.ts'
import { MediaError } from '../../../src/media/media-error.ts'
import { writeHugePng } from '../../support/files/hostile-pictures.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const stateOf = async (server: TestServer, id: string) => {
  const { processing } = await server.admin.json<{
    processing: { state: string; error: string | null }
  }>(`/storage/receipts/${id}`)
  return processing
}
const attemptsAt = async ({ pool }: TestServer) =>
  (await pool.query("select from job_failure where job = 'process-asset'")).rowCount

test('B5: a file that takes all memory twice is given up, its original stays, its owner may try again', async (t) => {
  const server = await startTestServer(t, { decoderMemoryBytes: 128 * 2 ** 20 })
  const folder = await mkdtemp(join(tmpdir(), 'glassine-hostile-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeHugePng(join(folder, 'huge.png'), 8_000)
  const bytes = await readFile(join(folder, 'huge.png'))
  const { id } = await server.admin.upload(bytes, 'huge.png')
  await server.runJobs()
  // The first failure; the second attempt is seconds away.
  await server.pool.query(
    "update graphile_worker._private_jobs set run_at = now() where key like 'process:%'",
  )
  await server.runJobs()

  const given = await stateOf(server, id)
  assert.equal(given.state, 'failed')
  assert.match(given.error!, /GiB of memory/)
  assert.equal(await attemptsAt(server), 1, 'one failed attempt, and the one that gave it up')
  const original = await server.admin.call(`/assets/${id}/original`)
  assert.deepEqual(Buffer.from(await original.arrayBuffer()), bytes)

  const asked = await server.admin.call('/assets/jobs', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ assetIds: [id], name: 'regenerate-thumbnail' }),
  })
  assert.equal(asked.status, 204)
  assert.deepEqual(await stateOf(server, id), { state: 'pending', error: null })
  await server.runJobs()
  await server.pool.query(
    "update graphile_worker._private_jobs set run_at = now() where key like 'process:%'",
  )
  await server.runJobs()
  assert.equal(await attemptsAt(server), 2, 'it had two attempts again')
  assert.equal((await stateOf(server, id)).state, 'failed')
})

test('B5: only what a file did to its decoder counts, not the end of the server', async (t) => {
  const { db, admin } = await startTestServer(t)
  const { id } = await admin.upload(
    await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer(),
    'red.png',
  )
  const reason = (fault: 'interrupted' | 'exhausted' | 'file') =>
    reasonToGiveUp(db, id, new MediaError(fault, { fault }))
  for (let time = 0; time < 5; time++) assert.equal(await reason('interrupted'), null)
  assert.equal(await reason('exhausted'), null)
  assert.equal(await reason('interrupted'), null)
  assert.equal(await reason('exhausted'), 'exhausted')
  assert.equal(await reason('file'), 'file')
})

test("B5: the processing of few photos comes before that of somebody's large import", async (t) => {
  const server = await startTestServer(t)
  const friend = await server.newUser('friend')
  for (let index = 0; index < 12; index++)
    await server.admin.upload(Buffer.from(`a ${index}`), `${index}.jpg`)
  const { id } = await friend.upload(Buffer.from('b'), 'b.jpg')
  const { rows } = await server.pool.query(`
    select payload ->> 'assetId' as id from graphile_worker._private_jobs
    where key like 'process:%' order by priority, run_at`)
  const at = rows.findIndex((row) => row.id === id)
  assert.ok(at < 11, `it is number ${at + 1}`)
})
