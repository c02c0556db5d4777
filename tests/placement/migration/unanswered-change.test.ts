/** The question that a changed `storage.locations` asks is never lost, whatever happens before its answer. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { recordConfigured } from '../../../src/placement/ledger/belonging-rows.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { actOnCampaign } from '../../../src/placement/migration/actions.ts'
import { listCampaigns } from '../../../src/placement/migration/campaign-rows.ts'
import { closePlacement, openPlacement, reconfigurePlacement } from '../../../src/placement/open.ts'
import type { Placement, PlacementSettings } from '../../../src/placement/placement.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { ask } from '../../support/campaign.ts'
import { ingestBytes, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

/** One original at `local`, where originals belong at first. */
async function startRig(t: TestContext) {
  const database = await testDatabase()
  const rig = await testPlacement(database.db, {
    remotes: ['b', 'c'],
    originals: ['local'],
    settings: { campaigns: true },
  })
  const opened: Placement[] = []
  t.after(async () => {
    for (const one of opened) await closePlacement(one)
    await rig.close()
    await database.drop()
  })
  const { db, pool } = database
  return {
    ...{ db, pool, placement: rig.placement },
    id: await ingestBytes(rig.placement, randomBytes(1_000)),
    /** As a restart with this configuration. */
    async open(originals: string[], settings: Partial<PlacementSettings> = {}) {
      const one = await openPlacement({
        db,
        log: silentLog,
        locations: [...rig.placement.locations.values()],
        localId: 'local',
        mediaLocation: rig.mediaLocation,
        policy: policyOf(originals),
        isAwaited: isOfUnendedUpload,
        settings: { campaigns: true, removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0, ...settings },
      })
      opened.push(one)
      return one
    },
    /** `from > to phase`, the oldest first. */
    async campaigns() {
      const all = await listCampaigns(db)
      return all.reverse().map(({ fromIds, toIds, phase }) => `${fromIds} > ${toIds} ${phase}`)
    },
    waiting: async () => (await storageStatus(rig.placement)).unanswered.count,
  }
}

test('where files stay on the media volume in any case, one more copy is proposed', async (t) => {
  const rig = await startRig(t)
  const changed = await rig.open(['b'], { deleteLocalAfterUpload: false })
  assert.deepEqual(await rig.campaigns(), [' > b proposed'])
  assert.equal(await rig.waiting(), 1)
  await rig.pool.query('update campaign set hold_hours = 0')
  const { id } = (await listCampaigns(rig.db))[0]!
  for (const action of ['check', 'rehearse', 'start', 'reclaim'] as const) await ask(changed, id, action)
  assert.deepEqual(await placesOf(rig.db, rig.id), ['b verified', 'local verified'])
  assert.equal(await rig.waiting(), 0)
})

test('a process that dies after the change was noted leaves the question to the next start, or to the sweep', async (t) => {
  const rig = await startRig(t)
  await recordConfigured(rig.db, policyOf(['b']), { asksFirst: true })
  assert.deepEqual(await rig.campaigns(), [])
  await sweepPlacement(rig.placement)
  assert.deepEqual(await rig.campaigns(), ['local > b proposed'])
  await rig.pool.query('delete from campaign')
  await rig.open(['b'])
  assert.deepEqual(await rig.campaigns(), ['local > b proposed'])
  await sweepPlacement(rig.placement)
  assert.equal((await rig.campaigns()).length, 1, 'it is asked once')
})

test('two processes that start at a time propose it once', async (t) => {
  const rig = await startRig(t)
  await Promise.all([rig.open(['b']), rig.open(['b'])])
  assert.deepEqual(await rig.campaigns(), ['local > b proposed'])
})

test('a reload that fails brings the former question back', async (t) => {
  const rig = await startRig(t)
  const placement = await rig.open(['b'])
  const { minCopies, classes, delivery } = placement
  const locations = [...placement.locations.values()]
  const next = { policy: policyOf(['c']), minCopies, classes, delivery, locations, settings: {} }
  await rig.pool.query(`create function refuse_announcement() returns trigger language plpgsql as
    $$ begin raise exception 'no more jobs'; end $$`)
  await rig.pool.query(`create trigger refuse_announcement before insert or update on graphile_worker._private_jobs
    for each row execute function refuse_announcement()`)
  await assert.rejects(reconfigurePlacement(placement, next), /no more jobs/)
  await rig.pool.query('drop function refuse_announcement cascade')
  assert.deepEqual(await rig.campaigns(), [
    'local > b cancelled',
    'local > c cancelled',
    'local > b proposed',
  ])
})

test('what somebody has cancelled is not asked again, and the status goes on telling of it', async (t) => {
  const rig = await startRig(t)
  const placement = await rig.open(['b'])
  const { id } = (await listCampaigns(rig.db))[0]!
  await actOnCampaign(placement, id, 'cancel')
  await sweepPlacement(placement)
  await rig.open(['b'])
  assert.deepEqual(await rig.campaigns(), ['local > b cancelled'])
  assert.equal(await rig.waiting(), 1)
  // Another change is another question; and the same one anew, after it was taken back, too.
  await rig.open(['c'])
  await rig.open(['local'])
  assert.equal(await rig.waiting(), 0)
  await rig.open(['b'])
  assert.deepEqual(await rig.campaigns(), [
    'local > b cancelled',
    'local > c cancelled',
    'local > b proposed',
  ])
})

test('what a campaign has left behind is asked anew', async (t) => {
  const rig = await startRig(t)
  const placement = await rig.open(['b'])
  await rig.pool.query("update campaign set phase = 'done'")
  await sweepPlacement(placement)
  assert.deepEqual(await rig.campaigns(), ['local > b done', 'local > b proposed'])
})
