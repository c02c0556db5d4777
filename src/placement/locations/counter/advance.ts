/**
 * One step of a counter: the next token is committed here, put there, and committed here as the present one.
 */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { isStorageError } from '../../../storage/backend.ts'
import { longestBetween } from '../../../storage/moment.ts'
import type { Location } from '../../location.ts'
import type { Placement } from '../../placement.ts'
import { noteToken } from './confirmations.ts'
import { holderFor, holderOf } from './moved-installation.ts'
import { type CounterRow, type Held, loadCounter, markerOf } from './record.ts'

/** A kill between put and commit: the location is one ahead, at the token that was written down before. */
export async function finishNext(
  placement: Placement,
  location: Location,
  row: CounterRow | null,
  held: Held | null,
): Promise<CounterRow> {
  const { db } = placement
  if (row === null) {
    await db
      .insertInto('location_counter')
      .values({
        location_id: location.id,
        value: 0,
        token: null,
        next_token: null,
        version: null,
        holder: holderOf(placement),
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    return (await loadCounter(placement, location.id))!
  }
  if (held === null || held.token === null || held.token !== row.next_token) return row
  await commitNext(placement, location.id, row.value, { token: held.token, version: held.version, agoMs: 0 })
  return (await loadCounter(placement, location.id))!
}

/**
 * False: the location holds another one than `version`, or the ledger was advanced by another process
 * meanwhile.
 */
export async function tryAdvance(
  placement: Placement,
  location: Location,
  row: CounterRow,
  version: string | null,
): Promise<boolean> {
  const marker = await markerOf(placement, location.id)
  const fresh = randomUUID()
  const holder = holderFor(placement, location)
  // Committed and on the disk before anything is put: a crash of PostgreSQL may take back no more than what
  // is known here.
  // A copy of this ledger has the same intent: were both to put it, neither would notice the other.
  const isGoneOnWith = sql<boolean>`(next_token is not null and next_holder is not distinct from ${holder})`
  const intent = await placement.db
    .updateTable('location_counter')
    .set({
      next_token: sql<string>`case when ${isGoneOnWith} then next_token else ${fresh}::uuid end`,
      next_holder: holder,
      // A token that was drawn before a promise is known to snapshots of before it, too.
      is_advance_due: sql<boolean>`is_advance_due and ${isGoneOnWith}`,
    })
    .where('location_id', '=', location.id)
    .where('value', '=', row.value)
    .where('conflict', 'is', null)
    .returning('next_token')
    .executeTakeFirst()
  const token = intent?.next_token
  if (token == null) return false
  const text = JSON.stringify({ marker, value: row.value + 1, token })
  const begunAt = placement.clock()
  let put: string
  try {
    put = await location.backend.writeCounter(text, version)
  } catch (error) {
    if (isStorageError(error, 'already-exists')) return false
    throw error
  }
  const agoMs = longestBetween(begunAt, placement.clock())
  await commitNext(placement, location.id, row.value, { token, version: put, agoMs })
  return true
}

/**
 * The location holds the next token. `agoMs`: since the request that put it was sent, in milliseconds; from
 * then on, and not from its answer, somebody else may have advanced it further.
 */
export async function commitNext(
  placement: Placement,
  locationId: string,
  value: number,
  { token, version, agoMs }: { token: string; version: string; agoMs: number },
): Promise<void> {
  await placement.db
    .updateTable('location_counter')
    .set({
      value: value + 1,
      token,
      next_token: null,
      // The token that was drawn for what is due is another one, and is not put any more.
      is_advance_due: sql<boolean>`is_advance_due or next_token is distinct from ${token}::uuid`,
      version: version === '' ? null : version,
      advanced_at: sql<Date>`now() - ${agoMs} * interval '1 millisecond'`,
      holder: holderOf(placement),
    })
    .where('location_id', '=', locationId)
    // Whatever another process intends by now: this is what the location holds.
    .where('value', '=', value)
    .execute()
  noteToken(placement, locationId, token)
}
