/**
 * An object without a replica, which a sweep forgets, and of which an adoption may find bytes at that moment.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { discardEmptyObject, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { ingestBytes, placesOf, testPlacement } from '../../support/placement.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'

let database: TestDatabase
let rig: Awaited<ReturnType<typeof testPlacement>>

beforeEach(async () => {
  database = await testDatabase()
  rig = await testPlacement(database.db)
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

test('A2: an object whose bytes were found before it was forgotten stays, and so do they', async () => {
  const objectId = await ingestBytes(rig.placement, randomBytes(1_000))
  // As `ingestBytes` leaves it, it is linked to nothing: what a sweep looks at.
  await database.pool.query('update stored_object set is_linked = false')
  await discardEmptyObject(rig.placement, objectId)
  assert.equal((await loadObject(database.db, objectId))?.object.state, 'live')
  assert.deepEqual(await placesOf(database.db, objectId), ['local verified'])
})

test('an object of which nothing is anywhere is forgotten', async () => {
  const other = await ingestBytes(rig.placement, randomBytes(1_000))
  const objectId = randomUUID()
  await database.pool.query(
    `insert into stored_object select (jsonb_populate_record(o,
      jsonb_build_object('id', $1::text, 'is_linked', false))).* from stored_object o`,
    [objectId],
  )
  await discardEmptyObject(rig.placement, objectId)
  await purgeObject(rig.placement, { objectId })
  assert.equal(await loadObject(database.db, objectId), null)
  assert.deepEqual(await placesOf(database.db, other), ['local verified'])
})
