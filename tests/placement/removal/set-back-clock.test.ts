/** PostgreSQL's clock was set: the waits after a start are not over sooner for it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { beginOwning, endOwning, owningOf } from '../../../src/placement/locations/counter/confirmations.ts'
import { confirmLocation, lookAtLocation } from '../../../src/placement/locations/locations.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import type { Placement, PlacementSettings } from '../../../src/placement/placement.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { systemClock } from '../../../src/storage/moment.ts'
import { ingestBytes, locationOfBackend, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const HOUR_MS = 3_600_000
const WAITS = { removalWaitMs: HOUR_MS, lateRequestMs: HOUR_MS }

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
const opened: Placement[] = []
let aheadMs = 0

beforeEach(async () => {
  aheadMs = 0
  database = await testDatabase()
  rig = await testPlacement(database.db)
})
afterEach(async () => {
  for (const placement of opened.splice(0)) await closePlacement(placement)
  await rig.close()
  await database.drop()
})

const places = (id: string) => placesOf(database.db, id)

/** Another process on the same places. */
async function start(settings: Partial<PlacementSettings>): Promise<Placement> {
  const placement = await openPlacement({
    db: database.db,
    log: silentLog,
    locations: [
      locationOfBackend('local', 'disk', openDiskBackend({ root: rig.mediaLocation, log: silentLog })),
      locationOfBackend('s3', 'memory', rig.remotes.get('s3')!.backend),
    ],
    localId: 'local',
    mediaLocation: rig.mediaLocation,
    policy: policyOf(['s3']),
    isAwaited: isOfUnendedUpload,
    settings: { removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0, ...settings },
    clock() {
      const { steadyMs, bootMs, wallMs } = systemClock()
      return { steadyMs: steadyMs + aheadMs, bootMs: bootMs + aheadMs, wallMs: wallMs + aheadMs }
    },
  })
  opened.push(placement)
  return placement
}

async function onBoth(placement = rig.placement): Promise<string> {
  const id = await ingestBytes(placement, randomBytes(1_000))
  await replicateObject(placement, { objectId: id, to: 's3' })
  return id
}

/** A process that has owned the bucket for two hours, when another one adopts it. */
async function idleWhileAdopted(settings: Partial<PlacementSettings>): Promise<Placement> {
  const idle = await start(settings)
  endOwning(idle, idle.locations.get('s3')!)
  await beginOwning(idle, idle.locations.get('s3')!, performance.now() - 2 * HOUR_MS)
  await database.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  const other = await start({})
  await beginAdoption(other, 's3', 'test')
  await adoptLocation(other, { locationId: 's3' })
  return idle
}

for (const [what, settings] of [
  ['the other copy is not relied on', { lateRequestMs: HOUR_MS }],
  ['nothing old is removed', { removalWaitMs: HOUR_MS }],
] as const) {
  test(`S2: a replica that was made while the clock was ahead is not taken for younger than this start: ${what}`, async () => {
    const id = await onBoth()
    const started = await start(settings)
    await database.pool.query(`update replica set created_at = now() + interval '1 hour'`)
    await assert.rejects(evictReplica(started, { objectId: id, from: 'local' }), RetryLater)
    assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  })
}

test('S2: nor where the clock was set back by less than its age', async () => {
  const id = await onBoth()
  const started = await start(WAITS)
  for (const id of ['local', 's3']) {
    const at = started.locations.get(id)!
    endOwning(started, at)
    await beginOwning(started, at, performance.now() - HOUR_MS / 2)
  }
  // Made long before that start, and by the clock of now a quarter of an hour after it.
  await database.pool.query(`update replica set created_at = now() - interval '15 minutes'`)
  await assert.rejects(evictReplica(started, { objectId: id, from: 'local' }), RetryLater)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('S2: what was made after a start goes at once, whatever the clock shows', async () => {
  const started = await start(WAITS)
  const id = await onBoth(started)
  await database.pool.query(`update replica set created_at = now() - interval '1 day'`)
  await evictReplica(started, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['s3 verified'])
})

test('S2: after an adoption the wait is not over because the clock jumped ahead', async () => {
  const id = await onBoth()
  const idle = await idleWhileAdopted({ lateRequestMs: HOUR_MS })
  // As if all that is written down were two hours old, of which nobody has seen anything pass.
  await database.pool.query(`update adoption set finished_at = finished_at - interval '2 hours'`)
  await database.pool.query(
    `insert into clock_gap (from_at, until_at, noticed_at) values (now() - interval '2 hours', now(), now())`,
  )
  await assert.rejects(evictReplica(idle, { objectId: id, from: 'local' }), RetryLater)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('S2: nor because the clock jumped ahead by so little that nobody has noticed', async () => {
  const id = await onBoth()
  const idle = await idleWhileAdopted({ lateRequestMs: HOUR_MS / 2 })
  await database.pool.query(`update adoption set finished_at = finished_at - interval '59 minutes'`)
  await assert.rejects(evictReplica(idle, { objectId: id, from: 'local' }), RetryLater)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('an adoption begins the waits anew when a check has seen its end, and what is made after that goes at once', async () => {
  const idle = await idleWhileAdopted(WAITS)
  const s3 = idle.locations.get('s3')!
  await lookAtLocation(idle, s3)
  const seen = await owningOf(idle, 's3')
  assert.ok(seen !== null && seen.forMs < HOUR_MS)
  const id = await onBoth(idle)
  await lookAtLocation(idle, s3)
  assert.equal((await owningOf(idle, 's3'))!.lastEventId, seen.lastEventId, 'once')
  await evictReplica(idle, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['s3 verified'])
})

test('who finds a conflict in the ledger, while an earlier look at the place is good, owns it no more', async () => {
  const placement = await start({})
  const s3 = placement.locations.get('s3')!
  assert.ok(await owningOf(placement, 's3'))
  await database.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  await assert.rejects(confirmLocation(placement, s3), { code: 'conflict' })
  assert.equal(await owningOf(placement, 's3'), null)
})

test('S2: a counter that a clock which was set back shows as fresh is advanced when this process has seen it for long', async () => {
  const placement = await start({})
  const location = placement.locations.get('s3')!
  await confirmLocation(placement, location)
  const valueNow = async () =>
    (await database.pool.query(`select value::int from location_counter where location_id = 's3'`)).rows[0]
      .value
  const before = await valueNow()
  aheadMs = 2 * 60_000
  await database.pool.query('update location_counter set advanced_at = now()')
  await confirmLocation(placement, location)
  assert.equal(await valueNow(), before + 1, 'before a write')
  aheadMs += 11 * 60_000
  await database.pool.query('update location_counter set advanced_at = now()')
  await lookAtLocation(placement, location)
  assert.equal(await valueNow(), before + 2, 'and while nothing is written, so that a copy sees that we live')
})
