/**
 * A new location under the name of one that was retired begins with nothing: no file belongs there by the old
 * one.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { wantedPlaces } from '../../../src/placement/belonging.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import type { Location } from '../../../src/placement/location.ts'
import { applyDrains, beginDrain } from '../../../src/placement/locations/drains.ts'
import { forgetRetired, retireLocation } from '../../../src/placement/locations/retire.ts'
import { ask, upToHold } from '../../support/campaign.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

test('assignments, the first place to read and held places end with the location that they name', async (t) => {
  const database = await testDatabase()
  const rig = await testPlacement(database.db, {
    remotes: ['a', 'b', 'c'],
    originals: ['a'],
    settings: { campaigns: true },
  })
  t.after(async () => {
    await rig.close()
    await database.drop()
  })
  const { placement } = rig
  const { pool } = database
  const add = async () => {
    const id = await ingestBytes(placement, randomBytes(1_000))
    await replicateObject(placement, { objectId: id, to: 'a' })
    await evictReplica(placement, { objectId: id, from: 'local' })
    return id
  }
  const [alone, beside] = [await add(), await add()]
  const campaign = await upToHold(placement)
  await ask(placement, campaign, 'reclaim')
  await beginDrain(placement, 'b')
  for (const id of [alone, beside]) {
    await replicateObject(placement, { objectId: id, to: 'a' })
    await evictReplica(placement, { objectId: id, from: 'b' })
  }
  // One that a campaign has put at two places stays at the other one.
  await pool.query("update stored_object set assigned_to = '{b,c}', read_first = 'b' where id = $1", [beside])
  await pool.query(`update home set held_ids = '["b", "c"]', held_before = now() where kind = 'thumbnail'`)
  await pool.query(`update home set held_ids = '["b"]', held_before = now() where kind = 'preview'`)
  await retireLocation(placement, 'b')
  const locations = placement.locations as Map<string, Location>
  const b = locations.get('b')!
  locations.delete('b')
  // What was still under way when it was retired.
  await pool.query("update stored_object set read_first = 'b' where id = $1", [alone])
  await forgetRetired(placement)
  locations.set('b', { ...b, identity: 'another place' })
  await applyDrains(placement)

  const wanted = async (id: string) => wantedPlaces((await loadObject(database.db, id))!.object, placement)
  assert.deepEqual(await wanted(alone), ['a'])
  assert.deepEqual(await wanted(beside), ['c'])
  const { rows } = await pool.query(
    'select assigned_to as "assigned", read_first as "first" from stored_object order by assigned_to nulls first',
  )
  assert.deepEqual(rows, [
    { assigned: null, first: null },
    { assigned: ['c'], first: null },
  ])
  const held = await pool.query(
    "select kind, held_ids, held_before is null as ended from home where kind in ('preview', 'thumbnail') order by kind",
  )
  assert.deepEqual(held.rows, [
    { kind: 'preview', held_ids: null, ended: true },
    { kind: 'thumbnail', held_ids: ['c'], ended: false },
  ])
})
