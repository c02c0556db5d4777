/** The counters are advanced after what a ledger promises without writing anything at a place. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { ageLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { advanceWhereDue, noteAdvanceDue } from '../../../src/placement/locations/due-advance.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { confirmLocation } from '../../../src/placement/locations/locations.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

/** No minute and no ten minutes pass, but when the test says so. */
const SETTINGS = { counterGoodForMs: 3_600_000, idleAdvanceMs: 36_000_000 }

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
beforeEach(async () => {
  database = await testDatabase()
  rig = await testPlacement(database.db, { settings: SETTINGS })
  await checkLocations(rig.placement)
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

async function passMinute(): Promise<void> {
  ageLooks(rig.placement, SETTINGS.counterGoodForMs)
  await database.pool.query(
    `update location_counter set advanced_at = now() - ${SETTINGS.counterGoodForMs + 60_000} * interval '1 millisecond'`,
  )
}

const promise = () => database.db.transaction().execute((tx) => noteAdvanceDue(tx))

/** The next put of a counter to the bucket waits for `first`. */
function beforeNextPut(first: () => Promise<void>): void {
  const { backend } = rig.placement.locations.get('s3')!
  const { writeCounter } = backend
  backend.writeCounter = async (text, expected) => {
    backend.writeCounter = writeCounter
    await first()
    return writeCounter(text, expected)
  }
}

type Row = { value: number; token: string; next_token: string | null; is_advance_due: boolean }
async function counter(): Promise<Row> {
  const { rows } = await database.pool.query<Row>(
    `select value::int, token, next_token, is_advance_due from location_counter where location_id = 's3'`,
  )
  return rows[0]!
}

test('a token that was drawn before a promise, and is put after it, is followed by another one', async () => {
  const { placement } = rig
  await passMinute()
  beforeNextPut(async () => {
    throw new StorageError('unavailable', 'no answer')
  })
  await assert.rejects(confirmLocation(placement, placement.locations.get('s3')!))
  const { value, next_token: drawn } = await counter()
  assert.notEqual(drawn, null)

  // A snapshot of now knows that token: to that it is no sign of another ledger.
  await promise()
  await advanceWhereDue(placement)
  const first = await counter()
  assert.deepEqual([first.value, first.token, first.is_advance_due], [value + 1, drawn, true])

  await passMinute()
  await checkLocations(placement)
  const second = await counter()
  assert.deepEqual([second.value, second.is_advance_due], [value + 2, false])
  await passMinute()
  await checkLocations(placement)
  assert.equal((await counter()).value, value + 2, 'once for all')
})

test('a token that was drawn for a promise, and not put because of another one, is made up for', async () => {
  const { placement } = rig
  await passMinute()
  // Another process, to which the media volume seems to be another one, draws its own for the promise.
  beforeNextPut(async () => {
    await promise()
    await database.pool.query(
      `update location_counter set next_token = gen_random_uuid(), next_holder = 'another mount', is_advance_due = false where location_id = 's3'`,
    )
  })
  await confirmLocation(placement, placement.locations.get('s3')!)
  assert.equal((await counter()).is_advance_due, true)
})

test('a promise that is not committed yet is not taken for advanced', async () => {
  const { placement } = rig
  await passMinute()
  const { value } = await counter()
  let advancing: Promise<void> | undefined
  await database.db.transaction().execute(async (tx) => {
    await noteAdvanceDue(tx)
    advancing = confirmLocation(placement, placement.locations.get('s3')!)
    const isOver = await Promise.race([
      advancing.then(() => true),
      untilLockIsAwaited(database.pool).then(() => false),
    ])
    assert.equal(isOver, false, 'the token is drawn behind it')
  })
  await advancing
  const { value: now, is_advance_due: isDue } = await counter()
  assert.deepEqual([now, isDue], [value + 1, false])
})

test('promises at the same moment keep one another waiting, and end', async () => {
  await Promise.all(Array.from({ length: 40 }, promise))
  assert.equal((await counter()).is_advance_due, true)
})

test('at the place of an original nothing is advanced', async () => {
  const { placement } = rig
  await passMinute()
  const { value } = await counter()
  await promise()
  placement.locations.get('s3')!.isReadOnly = true
  await advanceWhereDue(placement)
  assert.equal((await counter()).value, value)
})
