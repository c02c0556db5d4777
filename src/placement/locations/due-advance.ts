/**
 * A ledger may promise more without writing anything at a place: what is taken out of the trash is kept from
 * then on, while an older snapshot would purge it when its time is over. So such a promise advances the
 * counters, by which that snapshot is recognised.
 */
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { isAppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'
import { orAborted } from '../or-aborted.ts'
import type { Placement } from '../placement.ts'
import { endLook } from './counter/confirmations.ts'
import { isAdvanceDue } from './counter/counter.ts'
import { loadCounter } from './counter/record.ts'
import { confirmLocation } from './locations.ts'

/**
 * In the transaction that promises: the counters are to be advanced after it. Each with its lock, whatever it
 * says already: an advance that is drawn meanwhile must come before this or wait for it. As the last lock
 * that the transaction takes on what others wait for.
 */
export async function noteAdvanceDue(tx: Tx): Promise<void> {
  await sql`
    with known as (select location_id from location_counter order by location_id for update)
    update location_counter set is_advance_due = true
    from known where known.location_id = location_counter.location_id`.execute(tx)
}

/**
 * After that transaction, before anybody is told: advances where the last time is longer ago than a
 * comparison is good for, by one small request for all who come at the same moment. Elsewhere, and where a
 * place does not answer, the check of every minute does. Never throws: what is promised is committed, and a
 * conflict that is found here is noted for everybody.
 */
export async function advanceWhereDue(placement: Placement): Promise<void> {
  for (const location of placement.locations.values()) {
    if (location.isReadOnly) continue
    const row = await loadCounter(placement, location.id)
    if (row === null || !isAdvanceDue(placement, location, row)) continue
    endLook(placement, location)
    try {
      const signal = AbortSignal.timeout(placement.settings.answerWithinMs)
      await orAborted(confirmLocation(placement, location), signal)
    } catch (error) {
      const isLate = error instanceof DOMException && error.name === 'TimeoutError'
      if (!isLate && !isAppError(error) && !isStorageError(error)) throw error
      placement.log.info(
        { location: location.id, error: (error as Error).message },
        'what was promised does not show at a place yet',
      )
    }
  }
}
