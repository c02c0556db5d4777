/** What a changed `storage.locations` does to files that are there already, where campaigns are on. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { rebalance, rebalanceAnew } from '../../../src/placement/maintenance/rebalance.ts'
import { listCampaigns } from '../../../src/placement/migration/campaign-rows.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { ask } from '../../support/campaign.ts'
import { ingestBytes, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

test('files stay until somebody agrees, new ones go where it says now, and then nothing is asked any more', async (t) => {
  const database = await testDatabase()
  const rig = await testPlacement(database.db, {
    remotes: ['a', 'b'],
    originals: ['a'],
    settings: { campaigns: true },
  })
  const { placement } = rig
  const opened: Placement[] = []
  t.after(async () => {
    for (const one of opened) await closePlacement(one)
    await rig.close()
    await database.drop()
  })
  const open = async (originals: string[], campaigns: boolean) => {
    const one = await openPlacement({
      db: database.db,
      log: silentLog,
      locations: [...placement.locations.values()],
      localId: 'local',
      mediaLocation: rig.mediaLocation,
      policy: policyOf(originals),
      isAwaited: isOfUnendedUpload,
      settings: { campaigns, removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0 },
    })
    opened.push(one)
    return one
  }
  const add = async (by: Placement, to: string) => {
    const id = await ingestBytes(by, randomBytes(1_000))
    await replicateObject(by, { objectId: id, to })
    await evictReplica(by, { objectId: id, from: 'local' })
    return id
  }
  const jobs = async () => {
    const { rows } = await database.pool.query(
      "select key from graphile_worker.jobs where key ~ '^(replicate|evict):'",
    )
    return rows.length
  }
  const old = await add(placement, 'a')
  assert.deepEqual(await listCampaigns(database.db), [], 'nothing has changed yet')

  const changed = await open(['b'], true)
  const [proposed] = await listCampaigns(database.db)
  assert.deepEqual(
    [proposed?.reason, proposed?.phase, proposed?.kinds, proposed?.fromIds, proposed?.toIds],
    ['configuration', 'proposed', ['original'], ['a'], ['b']],
  )
  const fresh = await add(changed, 'b')
  await database.pool.query('delete from graphile_worker._private_jobs')
  rebalanceAnew(changed)
  await rebalance(changed)
  assert.equal(await jobs(), 0, 'nothing moves by itself')
  await replicateObject(changed, { objectId: old, to: 'b' })
  assert.deepEqual(await placesOf(database.db, old), ['a verified'])
  assert.deepEqual(await placesOf(database.db, fresh), ['b verified'])
  await open(['b'], true)
  assert.equal((await listCampaigns(database.db)).length, 1, 'a restart asks nothing anew')

  await database.pool.query('update campaign set hold_hours = 0')
  for (const action of ['check', 'rehearse', 'start', 'reclaim'] as const)
    await ask(changed, proposed!.id, action)
  assert.deepEqual(await placesOf(database.db, old), ['b verified'])
  const { rows } = await database.pool.query('select kind from home where held_ids is not null')
  assert.deepEqual(rows, [], 'the question is over')

  // Without campaigns a change holds for what a campaign has moved, too, and at once.
  const atOnce = await open(['a'], false)
  assert.equal((await listCampaigns(database.db)).length, 1)
  await replicateObject(atOnce, { objectId: old, to: 'a' })
  await evictReplica(atOnce, { objectId: old, from: 'b' })
  assert.deepEqual(await placesOf(database.db, old), ['a verified'])
})

test('a configuration that is taken back takes its question with it', async (t) => {
  const database = await testDatabase()
  const rig = await testPlacement(database.db, {
    remotes: ['a', 'b'],
    originals: ['a'],
    settings: { campaigns: true },
  })
  t.after(async () => {
    await rig.close()
    await database.drop()
  })
  const id = await ingestBytes(rig.placement, randomBytes(100))
  await replicateObject(rig.placement, { objectId: id, to: 'a' })
  const reopen = async (originals: string[]) => {
    const one = await openPlacement({
      db: database.db,
      log: silentLog,
      locations: [...rig.placement.locations.values()],
      localId: 'local',
      mediaLocation: rig.mediaLocation,
      policy: policyOf(originals),
      isAwaited: isOfUnendedUpload,
      settings: { campaigns: true, removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0 },
    })
    await closePlacement(one)
  }
  await reopen(['a', 'b'])
  await reopen(['a'])
  const { rows } = await database.pool.query('select held_ids, configured_ids from home where kind = $1', [
    'original',
  ])
  assert.deepEqual(rows, [{ held_ids: null, configured_ids: ['a'] }])
})

test('backups and the catalogue follow the configuration at once: no campaign moves them', async (t) => {
  const database = await testDatabase()
  const rig = await testPlacement(database.db, { remotes: ['b'], originals: ['local'] })
  const ids = [
    await ingestBytes(rig.placement, randomBytes(100), { kind: 'catalogue' }),
    await ingestBytes(rig.placement, randomBytes(100), { kind: 'database-backup' }),
  ]
  const original = await ingestBytes(rig.placement, randomBytes(100))
  const changed = await openPlacement({
    db: database.db,
    log: silentLog,
    locations: [...rig.placement.locations.values()],
    localId: 'local',
    mediaLocation: rig.mediaLocation,
    policy: { ...policyOf(['b']), catalogue: ['b'], 'database-backup': ['b'] },
    isAwaited: isOfUnendedUpload,
    settings: { campaigns: true, removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0 },
  })
  t.after(async () => {
    await closePlacement(changed)
    await rig.close()
    await database.drop()
  })
  await database.pool.query('delete from graphile_worker._private_jobs')
  rebalanceAnew(changed)
  await rebalance(changed)
  const { rows } = await database.pool.query<{ key: string }>(
    "select key from graphile_worker.jobs where key ~ '^(replicate|evict):'",
  )
  assert.deepEqual(rows.map(({ key }) => key).sort(), ids.map((id) => `replicate:${id}:b`).sort())
  assert.deepEqual(
    (await listCampaigns(database.db)).map(({ kinds }) => kinds),
    [['original']],
  )
  await replicateObject(changed, { objectId: original, to: 'b' })
  assert.deepEqual(await placesOf(database.db, original), ['local verified'])
})
