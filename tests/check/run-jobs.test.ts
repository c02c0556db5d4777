/** What other tests rely on when they run the jobs of their server. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { enqueue } from '../../src/queue/enqueue.ts'
import { until } from '../support/eventually.ts'
import { startTestServer } from '../support/server.ts'

test('a job that runs is waited for also when another of its key was enqueued meanwhile', async (t) => {
  const server = await startTestServer(t)
  const { backend } = server.remotes.get('s3')!
  const put = backend.put
  const letGo = Promise.withResolvers<void>()
  let isPutting = false
  backend.put = async (...args) => {
    isPutting = true
    await letGo.promise
    return put.apply(backend, args)
  }
  const { id } = await server.admin.upload(randomBytes(100), 'a.jpg')
  const running = server.runJobs()
  await until('the original is on its way', () => isPutting)
  const { rows } = await server.pool.query<{ id: string }>('select original_object_id as id from asset')
  const payload = { objectId: rows[0]!.id, to: 's3' }
  await enqueue(server.db, 'replicate-object', payload)
  // The second one can't run beside the first, and looks again in seconds.
  await until('only the one that runs is left to wait for', async () => {
    const { rowCount } = await server.pool.query(
      `select from graphile_worker.jobs where run_at < now() + interval '3 seconds' and attempts < max_attempts`,
    )
    return rowCount === 0
  })
  letGo.resolve()
  await running
  const places = await server.pool.query(
    'select location_id from replica r join asset a on a.original_object_id = r.object_id where a.id = $1',
    [id],
  )
  assert.deepEqual(places.rows, [{ location_id: 's3' }])
})
