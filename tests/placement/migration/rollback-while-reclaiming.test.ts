/** A rollback that is asked for while old copies are given up: those that are still there stay. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { actOnCampaign, pauseCampaign, rollBackCampaign } from '../../../src/placement/migration/actions.ts'
import { assignAsBefore, assignNew, keepBoth } from '../../../src/placement/migration/assignments.ts'
import { loadCampaign } from '../../../src/placement/migration/campaign-rows.ts'
import { claimNext, postpone } from '../../../src/placement/migration/claims.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { ask, journal, propose, upToHold, work } from '../../support/campaign.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
let placement: Placement

beforeEach(async () => {
  database = await testDatabase()
  rig = await testPlacement(database.db, {
    remotes: ['a', 'b'],
    originals: ['a'],
    settings: { campaigns: true },
  })
  placement = rig.placement
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

async function atA(): Promise<string> {
  const id = await ingestBytes(placement, randomBytes(1_000))
  await replicateObject(placement, { objectId: id, to: 'a' })
  await evictReplica(placement, { objectId: id, from: 'local' })
  return id
}

const places = (id: string) => placesOf(database.db, id)
const hold = (holdMs: number) => Object.assign(placement.settings, { holdMs })
const RECLAIM = { from: 'held', working: 'reclaiming', leaseMs: 60_000 } as const

test('what waits for the end of a hold goes back at once, and the job that would give it up does nothing', async () => {
  const id = await atA()
  hold(3_600_000)
  const campaign = await upToHold(placement)
  assert.equal(await ask(placement, campaign, 'reclaim'), 'reclaiming')
  assert.match((await journal(placement, campaign)).get(id)!, /^reclaiming the hold/)

  const { reverseId } = await rollBackCampaign(placement, campaign, 'test')
  assert.equal(reverseId, null)
  assert.equal(await work(placement, campaign), 'rolled-back')
  assert.equal((await journal(placement, campaign)).get(id), 'returned')
  assert.equal((await loadObject(database.db, id))!.object.assigned, null)
  hold(0)
  await evictReplica(placement, { objectId: id, from: 'a' })
  assert.ok((await places(id)).includes('a verified'))
  await evictReplica(placement, { objectId: id, from: 'b' })
  assert.deepEqual(await places(id), ['a verified'])
})

test('what is put off after the rollback was asked for does not wait, either', async () => {
  const id = await atA()
  const campaign = await upToHold(placement)
  await actOnCampaign(placement, campaign, 'reclaim')
  const before = await loadCampaign(database.db, campaign)
  const claimed = (await claimNext(database.db, before, RECLAIM))!
  await rollBackCampaign(placement, campaign, 'test')
  await postpone(database.db, claimed, before, 3_600_000, { error: 'the hold is not over' })
  assert.equal(await work(placement, campaign), 'rolled-back')
  assert.equal((await journal(placement, campaign)).get(id), 'returned')
})

test('where the old copy is on its way out already, reclaim is ended for that object', async () => {
  const id = await atA()
  const campaign = await upToHold(placement)
  const a = rig.remotes.get('a')!
  a.plan({ call: 'delete', when: 'before' })
  assert.equal(await ask(placement, campaign, 'reclaim'), 'reclaiming')
  assert.deepEqual(await places(id), ['a evicting', 'b verified'])
  await actOnCampaign(placement, campaign, 'roll-back')
  await database.pool.query(
    "update replica set lease_expires_at = now() - interval '1 second' where state = 'evicting'",
  )
  assert.equal(await work(placement, campaign), 'rolled-back')
  assert.equal((await journal(placement, campaign)).get(id), 'reclaimed')
  assert.deepEqual(await places(id), ['b verified'])
})

test('a worker that knows the phase of before takes nothing up, nor one of a campaign that is paused', async () => {
  await atA()
  const copying = await propose(placement)
  await ask(placement, copying, 'check')
  await ask(placement, copying, 'rehearse')
  await actOnCampaign(placement, copying, 'start')
  const early = await loadCampaign(database.db, copying)
  await actOnCampaign(placement, copying, 'roll-back')
  const COPY = { from: 'pending', working: 'moving', leaseMs: 60_000 } as const
  assert.equal(await claimNext(database.db, early, COPY), null)
  assert.equal(await work(placement, copying), 'rolled-back')

  const campaign = await upToHold(placement)
  await actOnCampaign(placement, campaign, 'reclaim')
  const before = await loadCampaign(database.db, campaign)
  await pauseCampaign(placement, campaign)
  assert.equal(await claimNext(database.db, before, RECLAIM), null)
  await actOnCampaign(placement, campaign, 'roll-back')
  assert.equal(await claimNext(database.db, before, RECLAIM), null)
  assert.equal(await work(placement, campaign), 'rolled-back')
})

test('a removal whose copy is wanted again while the others are looked at does not begin', async () => {
  const id = await atA()
  const campaign = await upToHold(placement)
  await database.pool.query("update stored_object set assigned_to = '{b}' where id = $1", [id])
  const { inner } = rig.remotes.get('b')!
  const head = inner.head
  inner.head = async (...given) => {
    await database.pool.query("update stored_object set assigned_to = '{a,b}' where id = $1", [id])
    return head(...given)
  }
  await evictReplica(placement, { objectId: id, from: 'a' })
  inner.head = head
  assert.deepEqual(await places(id), ['a verified', 'b verified'])
  assert.equal((await journal(placement, campaign)).get(id), 'held')
})

test('a worker that stood still for longer than its lease changes nothing of what another one has ended', async () => {
  const id = await atA()
  const campaignId = await upToHold(placement)
  await actOnCampaign(placement, campaignId, 'reclaim')
  const campaign = await loadCampaign(database.db, campaignId)
  const late = (await claimNext(database.db, campaign, RECLAIM))!
  await database.pool.query(`update campaign_object set lease_expires_at = now() - interval '1 second'`)
  await rollBackCampaign(placement, campaignId, 'test')
  assert.equal(await work(placement, campaignId), 'rolled-back')
  const { assigned } = (await loadObject(database.db, id))!.object
  await assert.rejects(assignNew(placement, campaign, late, []), RetryLater)
  await assert.rejects(keepBoth(placement, campaign, late, { cause: 'c', error: 'e' }), RetryLater)
  await assert.rejects(assignAsBefore(placement, late, null), RetryLater)
  assert.deepEqual((await loadObject(database.db, id))!.object.assigned, assigned)
})
