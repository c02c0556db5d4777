/**
 * Files that belong to nothing: who may see them, and how an administrator gives them up and takes that back.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { type CliContext, EXIT } from '../../../src/cli/context.ts'
import { reconcileFromCli } from '../../../src/cli/storage/reconcile.ts'
import { styleFor } from '../../../src/cli/text.ts'
import type { ReconcileReport } from '../../../src/library/server/reconcile.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { enqueue } from '../../../src/queue/enqueue.ts'
import { startTestServer } from '../../support/server.ts'
import { bytesBody, passDays, strayKey } from '../../support/storage/strays.ts'

async function withStrays(t: Parameters<typeof startTestServer>[0]) {
  const server = await startTestServer(t)
  const { placement, db } = server
  placement.settings.collectAgeMs = 0
  await server.admin.upload(randomBytes(2_000), 'photo.jpg')
  await server.runJobs()
  const backend = placement.locations.get('s3')!.backend
  for (let n = 0; n < 2; n += 1) await backend.put(strayKey(), bytesBody(randomBytes(300)))
  for (let n = 0; n < 2; n += 1) {
    await passDays(db, 1)
    await checkListing(placement, 's3', { isNow: true })
  }
  const report = () => server.admin.json<ReconcileReport>('/storage/reconcile?location=s3')
  const decide = (body: object) =>
    server.admin.call('/storage/locations/s3/collections', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  return { server, report, decide }
}

test('an administrator sees the plan, decides by its numbers, and undoes it', async (t) => {
  const { server, report, decide } = await withStrays(t)
  const { locations, holdDays } = await report()
  const { collect } = locations[0]!
  assert.deepEqual([locations.length, holdDays, collect!.files, collect!.isStrong], [1, 7, 2, true])
  const { planId, confirm } = collect!
  assert.equal((await decide({ planId, confirm: 'collect 2 files' })).status, 400)
  assert.equal((await decide({ planId: '0'.repeat(16), confirm })).status, 409)
  const answer = await decide({ planId, confirm })
  assert.equal(answer.status, 201)
  const { id } = (await answer.json()) as { id: string }
  const [held] = (await report()).collections
  assert.deepEqual([held!.id, held!.state, held!.waiting], [id, 'held', 2])
  assert.equal((await report()).locations[0]!.collect, null)
  const undone = await server.admin.call(`/storage/collections/${id}`, { method: 'DELETE' })
  assert.deepEqual(await undone.json(), { id, kept: 2 })
  assert.equal((await report()).collections[0]!.state, 'undone')
  assert.equal((await server.admin.call(`/storage/collections/${id}`, { method: 'DELETE' })).status, 409)
  const unknown = `/storage/collections/${randomUUID()}`
  assert.equal((await server.admin.call(unknown, { method: 'DELETE' })).status, 404)
})

test('the job removes what was decided when its time has come', async (t) => {
  const { server, report, decide } = await withStrays(t)
  const { planId, confirm } = (await report()).locations[0]!.collect!
  await decide({ planId, confirm })
  await passDays(server.db, 8)
  await enqueue(server.db, 'collect-strays', {})
  await server.runJobs()
  const [done] = (await report()).collections
  assert.deepEqual([done!.state, done!.removed], ['done', 2])
})

test('nobody but an administrator sees or decides anything of it', async (t) => {
  const { server } = await withStrays(t)
  const user = await server.newUser('somebody')
  assert.equal((await user.call('/storage/reconcile')).status, 403)
  const body = JSON.stringify({ planId: 'a'.repeat(16), confirm: 'collect 2 files' })
  const headers = { 'content-type': 'application/json' }
  const decided = await user.call('/storage/locations/s3/collections', { method: 'POST', headers, body })
  assert.equal(decided.status, 403)
})

test('the command line shows the plan with the words to type, decides by them, and undoes', async (t) => {
  const { server, report } = await withStrays(t)
  let printed = ''
  const context = {
    print: (text: string) => {
      printed = text
    },
    progress: () => {},
    style: styleFor(false, true),
    withPlacement: async (use: Parameters<CliContext['withPlacement']>[0]) =>
      use(server.placement, undefined as never),
  } as unknown as CliContext
  assert.equal(await reconcileFromCli(context, {}), EXIT.attention)
  assert.match(printed, /2 originals +600 B .*can be given up/)
  assert.match(printed, /reconcile --location s3 --confirm "collect 2 files from s3"/)
  await assert.rejects(reconcileFromCli(context, { confirm: 'collect 3 files' }), { code: 'invalid' })
  assert.equal(await reconcileFromCli(context, { confirm: 'collect 2 files from s3' }), EXIT.done)
  const { id } = (await report()).collections[0]!
  assert.ok(printed.includes(`--undo ${id}`))
  await reconcileFromCli(context, {})
  assert.match(printed, /2 files \(600 B\) at s3: will be removed in 7 days/)
  await assert.rejects(reconcileFromCli(context, { undo: 'x' }), { code: 'invalid' })
  assert.equal(await reconcileFromCli(context, { undo: id }), EXIT.done)
  assert.match(printed, /2 files stay/)
})
