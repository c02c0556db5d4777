import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import sharp from 'sharp'
import type { StorageFailures } from '../../../src/library/server/storage-failures.ts'
import { recordHealth } from '../../../src/placement/locations/locations.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

/** No two are alike. */
const photo = () =>
  sharp(randomBytes(64 * 48 * 3), { raw: { width: 64, height: 48, channels: 3 } })
    .jpeg()
    .toBuffer()
const failuresOf = (server: TestServer) => server.admin.json<StorageFailures>('/storage/failures')
const failedOf = async (server: TestServer, queue: string) => {
  const jobs = await server.admin.json<Record<string, { jobCounts: { failed: number } }>>('/jobs')
  return jobs[queue]!.jobCounts.failed
}
const retry = (server: TestServer, queue: string) =>
  server.admin.json(`/jobs/${queue}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ command: 'start' }),
  })

test('what fails is told once for each file, by its cause, with the files, and is gone when it is done', async (t) => {
  const server = await startTestServer(t)
  assert.deepEqual(await failuresOf(server), {
    total: 0,
    failures: [],
    unreadable: { total: 0, groups: [] },
    outages: [],
  })
  const s3 = server.remotes.get('s3')!
  for (let put = 0; put < 100; put++)
    s3.plan({ call: 'put', when: 'before', error: new StorageError('denied', `put ${put} failed: 403`) })
  const uploads = []
  for (const name of ['one.jpg', 'two.jpg']) uploads.push(await server.admin.upload(await photo(), name))
  await server.runJobs()

  const { total, failures, outages } = await failuresOf(server)
  assert.equal(total, 2)
  assert.equal(await failedOf(server, 'migration'), 2)
  assert.equal(failures.length, 1, JSON.stringify(failures))
  const [failure] = failures
  assert.deepEqual(
    [failure!.queue, failure!.job, failure!.location, failure!.code, failure!.count, failure!.givenUp],
    ['replication', 'replicate-object', 's3', 'denied', 2, 0],
  )
  assert.equal(failure!.isFinal, false)
  assert.match(failure!.error, /403/)
  assert.ok(failure!.firstAt <= failure!.at && failure!.at < failure!.nextAt!)
  assert.deepEqual(failure!.examples.map(({ assetId }) => assetId).sort(), uploads.map(({ id }) => id).sort())
  assert.deepEqual(failure!.examples.map(({ fileName }) => fileName).sort(), ['one.jpg', 'two.jpg'])
  // A place that refuses to be written is in trouble, whatever answers there.
  assert.deepEqual(
    outages.map(({ location, endedAt, isDrill }) => ({ location, endedAt, isDrill })),
    [{ location: 's3', endedAt: null, isDrill: false }],
  )

  s3.clear()
  await retry(server, 'migration')
  await recordHealth(server.placement, 's3', null)
  await server.runJobs()
  const after = await failuresOf(server)
  assert.deepEqual([after.total, after.failures], [0, []])
  assert.equal(await failedOf(server, 'migration'), 0)
  const [outage] = after.outages
  assert.ok(outage!.endedAt !== null && outage!.endedAt >= outage!.startedAt)
  assert.match(outage!.cause, /403/)
})

test('files that can not be read are no failures; they are told by themselves, with what is wrong', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(randomBytes(4_000), 'broken.jpg')
  await server.runJobs()
  const { total, unreadable } = await failuresOf(server)
  assert.equal(total, 0)
  assert.equal(unreadable.total, 1)
  assert.deepEqual(unreadable.groups[0]!.examples, [{ assetId: id, fileName: 'broken.jpg' }])
  assert.match(unreadable.groups[0]!.error, /[a-z]{3}/)
  await server.admin.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [id] }),
  })
  assert.equal((await failuresOf(server)).unreadable.total, 0, 'nobody needs it any more')
})

test('only administrators are told', async (t) => {
  const server = await startTestServer(t)
  const other = await server.newUser('other')
  assert.equal((await other.call('/storage/failures')).status, 403)
})
