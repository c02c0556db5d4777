import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { asReadOnly } from '../../../src/open-locations.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import {
  confirmLocation,
  knowNoOtherLedger,
  probeLocation,
} from '../../../src/placement/locations/locations.ts'
import { rebalanceAnew } from '../../../src/placement/maintenance/rebalance.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { lookAtUnlinked } from '../../../src/placement/maintenance/unlinked.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { scrubLocation } from '../../../src/placement/scrub/scrub-location.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { lookEverywhere } from '../../../src/placement/uploads/look-everywhere.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
let placement: Placement

beforeEach(async () => {
  database = await testDatabase()
  rig = await testPlacement(database.db, { remotes: ['old', 'new'], originals: ['old'] })
  placement = rig.placement
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

/**
 * As after a start with another configuration: the place is read-only or not, and originals belong elsewhere.
 */
function turn(isReadOnly: boolean, originals: string[]): void {
  const writable = writableOf.get(placement) ?? placement.locations.get('old')!
  writableOf.set(placement, writable)
  const locations = placement.locations as Map<string, typeof writable>
  locations.set('old', isReadOnly ? asReadOnly(writable) : writable)
  Object.assign(placement, { policy: { ...placement.policy, original: originals } })
  placement.minCopies = { ...placement.minCopies, original: 1 }
  forgetLooks(placement)
  rebalanceAnew(placement)
}
const writableOf = new WeakMap<Placement, NonNullable<ReturnType<Placement['locations']['get']>>>()

/** What changes when something is written there. */
async function writesAtOld(): Promise<string> {
  const { calls, inner } = rig.remotes.get('old')!
  const counter = await inner.readCounter()
  return `${calls.put} puts, ${calls.delete} deletions, ${counter?.text}, ${await inner.readMarker()}`
}

async function offloaded(bytes = randomBytes(1_000)): Promise<string> {
  const id = await ingestBytes(placement, bytes)
  await replicateObject(placement, { objectId: id, to: 'old' })
  await evictReplica(placement, { objectId: id, from: 'local' })
  assert.deepEqual(await placesOf(database.db, id), ['old verified'])
  return id
}

/** The keys of all jobs about the object. */
async function jobsOf(id: string): Promise<string[]> {
  const { rows } = await database.pool.query('select key from graphile_worker.jobs where key like $1', [
    `%${id}%`,
  ])
  return rows.map(({ key }) => key.replace(id, 'id'))
}

test('a read-only location is read, listed, scrubbed and checked, and nothing is ever written there', async () => {
  const bytes = randomBytes(2_000)
  const id = await offloaded(bytes)
  turn(true, ['new'])
  const before = await writesAtOld()

  assert.deepEqual(await buffer(await (await findServable(placement, id)).open()), bytes)
  await checkLocations(placement)
  const { rows } = await database.pool.query("select is_healthy from location where id = 'old'")
  assert.equal(rows[0].is_healthy, true)
  assert.equal((await checkListing(placement, 'old', { isNow: true }))?.found.listed.count, 1)
  assert.equal((await scrubLocation(placement, 'old', { isUnlimited: true }))?.found.read.count, 1)
  assert.equal(await knowNoOtherLedger(placement), true)
  const old = placement.locations.get('old')!
  await assert.rejects(confirmLocation(placement, old), { code: 'conflict', message: /readOnly/ })
  await assert.rejects(probeLocation(placement, 'old'), { code: 'conflict', message: /readOnly/ })
  await assert.rejects(beginAdoption(placement, 'old', 'test'), { code: 'conflict', message: /readOnly/ })
  assert.equal(await writesAtOld(), before)
})

/** As the later state of this ledger has done, which was lost. */
async function advanceElsewhere(): Promise<void> {
  const { inner } = rig.remotes.get('old')!
  const held = (await inner.readCounter())!
  const { marker, value } = JSON.parse(held.text) as { marker: string; value: number }
  await inner.writeCounter(JSON.stringify({ marker, value: value + 1, token: randomUUID() }), held.version)
}

for (const isNoted of [false, true])
  test(`a read-only location that another ledger has used ${isNoted ? '(known) ' : ''}says that this one may be an older state`, async () => {
    const id = await offloaded()
    // Its row alone tells what other places may hold of it.
    const empty = await ingestBytes(placement, randomBytes(300))
    await database.pool.query('update stored_object set is_linked = false where id = $1', [empty])
    await database.pool.query(`begin; set local session_replication_role = replica;
      delete from replica where object_id = '${empty}'; commit`)
    turn(true, ['new'])
    assert.deepEqual([await knowNoOtherLedger(placement), await answer(empty)], [true, 'different'])

    await advanceElsewhere()
    if (isNoted) {
      turn(false, ['new'])
      await checkLocations(placement)
      turn(true, ['new'])
    }
    const before = await writesAtOld()
    assert.equal(await knowNoOtherLedger(placement), false)
    assert.equal(await answer(empty), 'unknown')
    await lookAtUnlinked(placement, empty)
    assert.equal((await loadObject(database.db, empty))?.object.state, 'live')
    await checkLocations(placement)
    const { rows } = await database.pool.query(
      "select is_healthy, health_error from location where id = 'old'",
    )
    assert.equal(rows[0].is_healthy, false)
    assert.match(rows[0].health_error, /another database.*readOnly/s)
    await (await findServable(placement, id)).open().then(buffer)
    assert.equal(await writesAtOld(), before)
  })

const answer = async (id: string) => (await lookEverywhere(placement, id)).answer

test('files are copied from it to where they belong, and stay there; no other copy is given up for it', async () => {
  const id = await offloaded()
  turn(true, ['new'])
  const before = await writesAtOld()
  await sweepPlacement(placement)
  assert.ok((await jobsOf(id)).includes('replicate:id:new'))
  await replicateObject(placement, { objectId: id, to: 'new' })
  assert.deepEqual(await placesOf(database.db, id), ['new verified', 'old verified'])
  rebalanceAnew(placement)
  await sweepPlacement(placement)
  assert.ok(!(await jobsOf(id)).includes('evict:id:old'))
  await evictReplica(placement, { objectId: id, from: 'old' })
  assert.deepEqual(await placesOf(database.db, id), ['new verified', 'old verified'])

  // It belongs at `local` now: what is at `old` does not stand for the copy at `new`.
  turn(true, ['local'])
  const outcome = await evictReplica(placement, { objectId: id, from: 'new' }).catch((error: Error) => error)
  assert.match(String(outcome), /does not count/)
  assert.deepEqual(await placesOf(database.db, id), ['new verified', 'old verified'])
  assert.equal(await writesAtOld(), before)

  turn(false, ['new'])
  await evictReplica(placement, { objectId: id, from: 'old' })
  assert.deepEqual(await placesOf(database.db, id), ['new verified'])
})

test('a bad copy there is made good elsewhere, and stays as it is', async () => {
  const id = await offloaded()
  await replicateObject(placement, { objectId: id, to: 'old' })
  turn(true, ['new'])
  await replicateObject(placement, { objectId: id, to: 'new' })
  const before = await writesAtOld()
  const [held] = rig.remotes.get('old')!.inner.held.values()
  held!.bytes = randomBytes(1_000)
  assert.equal((await scrubLocation(placement, 'old', { isUnlimited: true }))?.found.wrong, 1)
  assert.deepEqual(await placesOf(database.db, id), ['new verified', 'old suspect'])
  await replicateObject(placement, { objectId: id, to: 'old' })
  assert.deepEqual(await placesOf(database.db, id), ['new verified', 'old suspect'])
  assert.equal(await writesAtOld(), before)
})

test('what a user deletes is left there without a failing job, shown, and goes when it is writable again', async () => {
  const id = await offloaded()
  turn(true, ['new'])
  await replicateObject(placement, { objectId: id, to: 'new' })
  const before = await writesAtOld()
  await database.db.transaction().execute((tx) => markForPurge(tx, [id], 'user'))
  await purgeObject(placement, { objectId: id })
  assert.deepEqual(await placesOf(database.db, id), ['old verified'])
  assert.equal(rig.remotes.get('new')!.calls.delete, 1)
  const old = (await storageStatus(placement)).locations.find((location) => location.id === 'old')!
  assert.deepEqual([old.isReadOnly, old.leftThere, old.leaving.count], [true, { count: 1, bytes: 1_000 }, 0])

  await database.pool.query('delete from graphile_worker._private_jobs')
  await database.pool.query("update stored_object set created_at = now() - interval '1 hour'")
  await sweepPlacement(placement)
  assert.ok(!(await jobsOf(id)).includes('purge:id'))
  assert.equal(await writesAtOld(), before)

  turn(false, ['new'])
  await sweepPlacement(placement)
  assert.ok((await jobsOf(id)).includes('purge:id'))
  await purgeObject(placement, { objectId: id })
  assert.equal(await loadObject(database.db, id), null)
})
