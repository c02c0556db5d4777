/** `storage.locations` changed while the clock was ahead: what came before and after that stays so. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { observeClock } from '../../../src/database/clock.ts'
import { silentLog } from '../../../src/log.ts'
import { wantedPlaces } from '../../../src/placement/belonging.ts'
import { placementClockRepairs } from '../../../src/placement/ledger/clock-repairs.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { applyDrains } from '../../../src/placement/locations/drains.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

test('files from after the clock was put right belong by the rules of now, and those from before as before', async (t) => {
  const { db, pool, drop } = await testDatabase()
  const rig = await testPlacement(db, { remotes: ['a', 'b'], originals: ['b'] })
  t.after(async () => {
    await rig.close()
    await drop()
  })
  const { placement } = rig
  const repairs = placementClockRepairs(placement)
  await observeClock(db, silentLog, repairs)
  const add = (kind: 'original' | 'thumbnail') => ingestBytes(placement, randomBytes(100), { kind })
  const [held, early, late] = [await add('original'), await add('thumbnail'), await add('thumbnail')]
  const assign = (id: string, days: number) =>
    pool.query(
      `update stored_object set assigned_to = '{a}', assigned_at = now() + $2 * interval '1 day' where id = $1`,
      [id, days],
    )
  // The clock was 30 days ahead: a file, the change of its kind, an assignment, another change, an
  // assignment.
  await pool.query(`update stored_object set created_at = now() + interval '29 days' where id = $1`, [held])
  await pool.query(
    `update home set held_ids = '["a"]', held_before = now() + interval '30 days' where kind = 'original'`,
  )
  await assign(early, 29)
  await pool.query(`update home set configured_since = now() + interval '30 days' where kind = 'thumbnail'`)
  await assign(late, 31)
  await pool.query(`update clock_seen set seen_at = seen_at + interval '31 days'`)
  assert.equal(await observeClock(db, silentLog, repairs), 'went-back')
  await applyDrains(placement)

  const [fresh, placed] = [await add('original'), await add('thumbnail')]
  await assign(placed, 0)
  const wanted = async (id: string) => wantedPlaces((await loadObject(db, id))!.object, placement)
  assert.deepEqual(await wanted(fresh), ['b'])
  assert.deepEqual(await wanted(placed), ['a'])
  assert.deepEqual(await wanted(held), ['a'])
  assert.deepEqual(await wanted(early), ['local'])
  assert.deepEqual(await wanted(late), ['a'])
})
