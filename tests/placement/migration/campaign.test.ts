/** Campaigns between a disk and other places: what moves, what stays, and what comes back. */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { beginDrain } from '../../../src/placement/locations/drains.ts'
import { rebalance, rebalanceAnew } from '../../../src/placement/maintenance/rebalance.ts'
import { actOnCampaign, rollBackCampaign } from '../../../src/placement/migration/actions.ts'
import { campaignObjects, campaignStatus } from '../../../src/placement/migration/campaign-status.ts'
import { estimateCampaign } from '../../../src/placement/migration/estimate.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { ask, EVERYBODY, journal, PLAN, propose, upToHold, work } from '../../support/campaign.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
let placement: Placement

beforeEach(async () => {
  database = await testDatabase()
  rig = await testPlacement(database.db, {
    remotes: ['a', 'b', 'c'],
    originals: ['a'],
    settings: { campaigns: true },
  })
  placement = rig.placement
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

async function atA(bytes = randomBytes(1_000), ownerId = randomUUID()): Promise<string> {
  const id = await ingestBytes(placement, bytes, { ownerId })
  await replicateObject(placement, { objectId: id, to: 'a' })
  await evictReplica(placement, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['a verified'])
  return id
}

const places = (id: string) => placesOf(database.db, id)
const read = async (id: string) => buffer(await (await findServable(placement, id)).open())
const replicaAt = async (id: string, at: string) =>
  (await loadObject(database.db, id))!.replicas.find(({ locationId }) => locationId === at)!

/** Other bytes of the same length, as another program would put them there. */
async function damage(id: string, at: string): Promise<void> {
  const { inner } = rig.remotes.get(at)!
  const { key } = await replicaAt(id, at)
  const held = inner.held.get(key)!
  inner.held.set(key, { ...held, bytes: randomBytes(held.bytes.length) })
}

/** Runs what the queue holds of this object, as workers would, until nothing is due. */
async function jobsOf(id: string): Promise<void> {
  for (let round = 0; round < 10; round++) {
    const { rows } = await database.pool.query<{ key: string }>(
      'select key from graphile_worker.jobs where key like $1 and run_at <= now()',
      [`%${id}%`],
    )
    if (rows.length === 0) return
    for (const { key } of rows) {
      await database.pool.query('delete from graphile_worker._private_jobs where key = $1', [key])
      const [what, , at] = key.split(':') as [string, string, string]
      if (what === 'replicate') await replicateObject(placement, { objectId: id, to: at })
      if (what === 'evict') await evictReplica(placement, { objectId: id, from: at })
    }
  }
}

async function rebalanceAll(id: string): Promise<void> {
  await database.pool.query('delete from graphile_worker._private_jobs')
  rebalanceAnew(placement)
  await rebalance(placement)
  await jobsOf(id)
}

test('an object moves, is read from the new place while both copies are kept, and stays there', async () => {
  const bytes = randomBytes(2_000)
  const id = await atA(bytes)
  const campaign = await upToHold(placement)
  assert.deepEqual(await places(id), ['a verified', 'b verified'])
  assert.deepEqual(await journal(placement, campaign), new Map([[id, 'held']]))
  const gets = rig.remotes.get('b')!.calls.get
  assert.deepEqual(await read(id), bytes)
  assert.equal(rig.remotes.get('b')!.calls.get, gets + 1, 'it is read where it was moved to')

  // Nobody takes either copy away meanwhile.
  await rebalanceAll(id)
  await evictReplica(placement, { objectId: id, from: 'a' })
  await evictReplica(placement, { objectId: id, from: 'b' })
  assert.deepEqual(await places(id), ['a verified', 'b verified'])

  assert.deepEqual((await campaignStatus(placement, campaign)).reclaim.frees, { count: 1, bytes: 2_000 })
  assert.equal(await ask(placement, campaign, 'reclaim'), 'done')
  assert.deepEqual(await places(id), ['b verified'])
  await rebalanceAll(id)
  assert.deepEqual(await places(id), ['b verified'], 'the policy says a, and the campaign b')
  assert.deepEqual(await read(id), bytes)
  // What comes afterwards goes where the policy says.
  const later = await atA()
  await rebalanceAll(later)
  assert.deepEqual(await places(later), ['a verified'])
})

test('a rehearsal is required, proves what it copies, and leaves nothing behind', async () => {
  const ids = await Promise.all(Array.from({ length: 3 }, () => atA()))
  const campaign = await propose(placement)
  await assert.rejects(actOnCampaign(placement, campaign, 'start'), {
    code: 'conflict',
    message: /possible now: check/,
  })
  assert.equal(await ask(placement, campaign, 'check'), 'checked')
  await assert.rejects(actOnCampaign(placement, campaign, 'start'), { code: 'conflict' })
  assert.equal(await ask(placement, campaign, 'rehearse'), 'rehearsed')
  for (const id of ids) assert.deepEqual(await places(id), ['a verified'])
  const status = await campaignStatus(placement, campaign)
  assert.deepEqual(status.samples, { wanted: 1, done: 1 })
  assert.equal(status.sampleBytes, 1_000)
  assert.equal(status.states.pending?.count, 3)
  const { rows } = await database.pool.query(
    `select to_state, count(*)::int from placement_event where location_id = 'b' group by to_state order by to_state`,
  )
  assert.deepEqual(rows.map((row) => row.to_state ?? 'gone').sort(), [
    'evicting',
    'gone',
    'verified',
    'writing',
  ])
  const estimate = await estimateCampaign(placement, PLAN, EVERYBODY)
  assert.deepEqual([estimate.count, estimate.bytes], [3, 3_000])
  assert.ok(estimate.seconds !== null && estimate.seconds >= 1)
})

test('the dry run names every object that can not move, and moves nothing', async () => {
  const fits = await atA()
  const gone = await atA()
  const other = await ingestBytes(placement, randomBytes(10))
  const campaign = await propose(placement)
  await database.pool.query(
    `update stored_object set state = 'purging', purge_reason = 'user' where id = $1`,
    [gone],
  )
  const lost = await atA()
  const before = await replicaAt(lost, 'a')
  await database.pool.query(`update replica set state = 'suspect' where object_id = $1`, [lost])
  void before
  // Added after it was proposed.
  assert.equal(await ask(placement, campaign, 'check'), 'checked')
  assert.deepEqual(
    await journal(placement, campaign),
    new Map([
      [fits, 'pending'],
      [other, 'pending'],
    ]),
  )
  const second = await propose(placement)
  assert.equal(await ask(placement, second, 'check'), 'checked')
  assert.equal((await journal(placement, second)).get(lost), 'unfit no-verified-copy')
  assert.deepEqual(
    (await campaignStatus(placement, second)).causes.map(({ state, cause, count }) => [state, cause, count]),
    [['unfit', 'no-verified-copy', 1]],
  )
  assert.equal(rig.remotes.get('b')!.calls.put, 0)
})

test('peer fault 3: what lies at the target already counts for nothing before it was looked at', async () => {
  // A truncated file at the target was taken for the copy.
  const bytes = randomBytes(3_000)
  const id = await ingestBytes(placement, bytes)
  await replicateObject(placement, { objectId: id, to: 'a' })
  const { key } = await replicaAt(id, 'local')
  const path = rig.disk.inner.localFiles.path(key)
  const campaign = await propose(placement, { fromIds: ['a'], toIds: ['local'] })
  assert.equal(await ask(placement, campaign, 'check'), 'checked')
  assert.equal(await ask(placement, campaign, 'rehearse'), 'rehearsed')
  await writeFile(path, bytes.subarray(0, 1_000))
  assert.equal(await ask(placement, campaign, 'start'), 'holding')
  assert.deepEqual(await journal(placement, campaign), new Map([[id, 'held']]))
  const now = await replicaAt(id, 'local')
  assert.notEqual(now.key, key, 'it was made anew, under a fresh key')
  assert.equal(await ask(placement, campaign, 'reclaim'), 'done')
  assert.deepEqual(await places(id), ['local verified'])
  assert.deepEqual(await read(id), bytes)
})

test('a leftover under the old key on the disk is no copy', async () => {
  const bytes = randomBytes(2_000)
  const id = await ingestBytes(placement, bytes)
  const old = rig.disk.inner.localFiles.path((await replicaAt(id, 'local')).key)
  await replicateObject(placement, { objectId: id, to: 'a' })
  await evictReplica(placement, { objectId: id, from: 'local' })
  await mkdir(dirname(old), { recursive: true })
  await writeFile(old, bytes.subarray(0, 500))
  const campaign = await upToHold(placement, { fromIds: ['a'], toIds: ['local'] })
  assert.equal(await ask(placement, campaign, 'reclaim'), 'done')
  assert.deepEqual(await read(id), bytes)
})

test('reclaim looks at the new copy first: where it is wrong, both are kept, and it is made anew', async () => {
  const bytes = randomBytes(2_000)
  const id = await atA(bytes)
  const campaign = await upToHold(placement)
  await damage(id, 'b')
  assert.equal(await ask(placement, campaign, 'reclaim'), 'holding')
  assert.deepEqual(await journal(placement, campaign), new Map([[id, 'kept new-copy-wrong']]))
  const { object } = (await loadObject(database.db, id))!
  assert.deepEqual(object.assigned?.to, ['a', 'b'], 'the old copy still belongs where it is')
  assert.ok((await places(id)).includes('a verified'))
  await jobsOf(id)
  assert.deepEqual(await places(id), ['a verified', 'b verified'])
  assert.equal(await ask(placement, campaign, 'reclaim'), 'done')
  assert.deepEqual(await places(id), ['b verified'])
  assert.deepEqual(await read(id), bytes)
})

test('peer fault 16: a rollback looks at the old bytes first: where they are wrong, both are kept, and they are made anew', async () => {
  // A rollback restored paths without looking whether the old bytes are there.
  const bytes = randomBytes(2_000)
  const id = await atA(bytes)
  const campaign = await upToHold(placement)
  await damage(id, 'a')
  await rollBackCampaign(placement, campaign, 'test')
  assert.equal(await work(placement, campaign), 'holding')
  assert.deepEqual(await journal(placement, campaign), new Map([[id, 'kept old-copy-wrong']]))
  assert.deepEqual(await read(id), bytes)
  await jobsOf(id)
  await rollBackCampaign(placement, campaign, 'test')
  assert.equal(await work(placement, campaign), 'rolled-back')
  await jobsOf(id)
  assert.deepEqual(await places(id), ['a verified'])
  assert.equal((await loadObject(database.db, id))!.object.assigned, null)
  assert.deepEqual(await read(id), bytes)
})

test('after reclaim a rollback is the campaign in the other direction', async () => {
  const bytes = randomBytes(2_000)
  const id = await atA(bytes)
  const campaign = await upToHold(placement)
  await ask(placement, campaign, 'reclaim')
  // Was not moved by the campaign, and so does not come back by it.
  const other = await ingestBytes(placement, randomBytes(10))
  await replicateObject(placement, { objectId: other, to: 'a' })
  const { reverseId } = await rollBackCampaign(placement, campaign, 'test')
  assert.equal((await rollBackCampaign(placement, campaign, 'test')).reverseId, reverseId, 'asked twice')
  for (const action of ['check', 'rehearse', 'start', 'reclaim'] as const)
    await ask(placement, reverseId!, action)
  assert.deepEqual([...(await journal(placement, reverseId!))], [[id, 'reclaimed']])
  assert.deepEqual(await places(id), ['a verified'])
  assert.deepEqual(await read(id), bytes)
})

test('peer fault 9: failures are counted, named and tried again alone, and repeat nothing that was done', async () => {
  // A migration whose target failed said that nothing had failed.
  const ids = await Promise.all(Array.from({ length: 4 }, () => atA()))
  const campaign = await propose(placement)
  await ask(placement, campaign, 'check')
  await ask(placement, campaign, 'rehearse')
  const b = rig.remotes.get('b')!
  for (let n = 0; n < 2; n++)
    b.plan({ call: 'put', when: 'before', error: new StorageError('denied', 'may not write') })
  assert.equal(await ask(placement, campaign, 'start'), 'holding')
  const status = await campaignStatus(placement, campaign)
  assert.deepEqual([status.states.held?.count, status.states.failed?.count], [2, 2])
  assert.deepEqual(
    status.causes.map(({ cause, count }) => [cause, count]),
    [['denied', 2]],
  )
  assert.match(status.causes[0]!.example!, /may not write/)
  const failed = await campaignObjects(placement, campaign, { state: 'failed', after: null, limit: 10 })
  assert.equal(failed.length, 2)
  for (const { objectId } of failed) assert.deepEqual(await places(objectId), ['a verified'])
  const puts = b.calls.put
  assert.equal(await ask(placement, campaign, 'retry'), 'holding')
  assert.equal(b.calls.put, puts + 2)
  assert.equal(await ask(placement, campaign, 'reclaim'), 'done')
  for (const id of ids) assert.deepEqual(await places(id), ['b verified'])
})

test('where the target takes nothing any more it stops, and goes on when asked', async () => {
  const ids: string[] = []
  for (let n = 0; n < 14; n++) ids.push(await atA())
  const campaign = await propose(placement)
  await ask(placement, campaign, 'check')
  await ask(placement, campaign, 'rehearse')
  const b = rig.remotes.get('b')!
  const error = new StorageError('denied', 'the permission was taken away')
  for (let n = 0; n < 20; n++) b.plan({ call: 'put', when: 'before', error })
  assert.equal(await ask(placement, campaign, 'start'), 'copying')
  const status = await campaignStatus(placement, campaign)
  assert.equal(status.pausedWhy, 'denied')
  assert.equal(status.states.failed?.count, 10)
  assert.equal(status.states.pending?.count, 4)
  b.clear()
  assert.equal(await ask(placement, campaign, 'retry'), 'holding')
  assert.equal(await ask(placement, campaign, 'reclaim'), 'done')
  for (const id of ids) assert.deepEqual(await places(id), ['b verified'])
})

test('what is deleted meanwhile is gone, at every step', async () => {
  const [first, second, third] = await Promise.all([atA(), atA(), atA()])
  const remove = async (id: string) => {
    await markForPurge(database.db, [id], 'user')
    await purgeObject(placement, { objectId: id })
  }
  const campaign = await propose(placement)
  await ask(placement, campaign, 'check')
  await ask(placement, campaign, 'rehearse')
  await remove(first)
  await ask(placement, campaign, 'start')
  assert.match((await journal(placement, campaign)).get(first)!, /^(gone|unfit deleted)$/)
  await remove(second)
  assert.equal(await ask(placement, campaign, 'reclaim'), 'done')
  assert.equal((await journal(placement, campaign)).get(second), 'gone')
  assert.equal((await journal(placement, campaign)).get(third), 'reclaimed')
  assert.deepEqual(await places(third), ['b verified'])
})

test('peer fault 2: what is read-only is neither left nor written to, and files of a kind keep their copies', async () => {
  // Originals in an external library were deleted by a migration.
  ;(placement.locations.get('c') as { isReadOnly?: boolean }).isReadOnly = true
  await assert.rejects(propose(placement, { fromIds: ['c'] }), {
    code: 'conflict',
    message: /from: nothing can leave/,
  })
  await assert.rejects(propose(placement, { toIds: ['c'] }), {
    code: 'conflict',
    message: /to: nothing can be written/,
  })
  await assert.rejects(propose(placement, { toIds: ['a'] }), { code: 'invalid', message: /a is in both/ })
  await assert.rejects(propose(placement, { kinds: ['catalogue'] }), { code: 'invalid' })
  const id = await atA()
  Object.assign(placement, { minCopies: { ...placement.minCopies, original: 2 } })
  const campaign = await propose(placement)
  await ask(placement, campaign, 'check')
  assert.equal((await journal(placement, campaign)).get(id), 'unfit too-few-copies')
})

test('both copies are kept for the hold, and two campaigns do not meet at one object', async () => {
  const id = await atA()
  const campaign = await upToHold(placement, { holdHours: 1 })
  await assert.rejects(actOnCampaign(placement, campaign, 'reclaim'), {
    code: 'conflict',
    message: /until 20/,
  })
  const other = await propose(placement, { toIds: ['c'] })
  await ask(placement, other, 'check')
  assert.deepEqual(await journal(placement, other), new Map([[id, 'unfit in-another-campaign']]))
})

test('where the new place is drained later, the policy holds again', async () => {
  const bytes = randomBytes(1_500)
  const id = await atA(bytes)
  const campaign = await upToHold(placement)
  await ask(placement, campaign, 'reclaim')
  await beginDrain(placement, 'b')
  await rebalanceAll(id)
  assert.deepEqual(await places(id), ['a verified'])
  assert.deepEqual(await read(id), bytes)
})

test('two workers share the work, and each object is copied once', async () => {
  const ids: string[] = []
  for (let n = 0; n < 12; n++) ids.push(await atA())
  const campaign = await propose(placement, { workers: 2 })
  await ask(placement, campaign, 'check')
  await ask(placement, campaign, 'rehearse')
  const before = rig.remotes.get('b')!.calls.put
  await actOnCampaign(placement, campaign, 'start')
  await Promise.all([work(placement, campaign, 0), work(placement, campaign, 1)])
  await work(placement, campaign)
  assert.equal((await campaignStatus(placement, campaign)).phase, 'holding')
  assert.equal(rig.remotes.get('b')!.calls.put - before, 12)
})
