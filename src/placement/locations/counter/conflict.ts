/**
 * Another ledger has used the location: noted in the database for every process, until an administrator
 * decides.
 */
import type { Queryable } from '../../../database/connect.ts'
import type { CounterConflict } from '../../../database/schema.ts'
import { AppError } from '../../../errors.ts'
import { configKeyOf, type Location } from '../../location.ts'
import type { Placement } from '../../placement.ts'
import { ttlCache } from '../../ttl-cache.ts'
import { holderOf } from './moved-installation.ts'
import { type CounterRow, type Held, loadCounter } from './record.ts'

const lately = ttlCache<Placement, CounterConflict | null>()

/**
 * Throws `conflict` where somebody found out, in any process, that this ledger is not the one of the
 * location. Asks the database only, every few seconds.
 */
export async function assertOneLedger(placement: Placement, location: Location): Promise<void> {
  const conflict = await lately(
    placement,
    location.id,
    async () => (await loadCounter(placement, location.id))?.conflict ?? null,
  )
  assertNoConflict(location, { conflict })
}

export function assertNoConflict(location: Location, { conflict }: Pick<CounterRow, 'conflict'>): void {
  if (conflict !== null) throw conflictError(location, conflict)
}

/** What is said of a conflict everywhere. `details.ledger` tells programs. */
export function conflictError(location: Location, conflict: CounterConflict): AppError {
  return new AppError('conflict', describeConflict(location, conflict), {
    details: { ledger: conflict, location: location.id },
  })
}

function describeConflict(
  { id, label, kind, isDemonstration }: Pick<Location, 'id' | 'label' | 'kind' | 'isDemonstration'>,
  conflict: CounterConflict,
): string {
  const canMove = kind !== 'disk' && !isDemonstration && conflict === 'another-ledger'
  const what =
    conflict === 'another-ledger'
      ? `${label} was used by another database since this one last wrote there: this is an older backup of the database, or a copy of the ` +
        'installation while the original goes on'
      : `${label} holds an older state than this database knows: it was restored from a backup, or its counter was removed or damaged`
  return (
    `${what}. Nothing is written or removed there until you decide; photos can still be looked at. ` +
    `"npx glassine storage adopt ${id}" shows what taking it over would mean.` +
    (canMove
      ? ` If this is a copy of an installation that goes on: "npx glassine storage use-as-copy ${id}", after writing another ${configKeyOf(id)}.prefix.`
      : '')
  )
}

export async function recordConflict(
  placement: Placement,
  location: Location,
  row: CounterRow | null,
  held: Held | null,
  conflict: CounterConflict,
): Promise<void> {
  const found = {
    conflict,
    conflict_since: placement.now(),
    seen_value: held?.value ?? null,
    seen_token: held?.token ?? null,
  }
  await placement.db
    .insertInto('location_counter')
    .values({ location_id: location.id, value: 0, holder: holderOf(placement) })
    .onConflict((clash) => clash.doNothing())
    .execute()
  await placement.db
    .updateTable('location_counter')
    .set(found)
    .where('location_id', '=', location.id)
    .where('conflict', 'is', null)
    .execute()
  placement.log.error(
    { location: location.id, conflict, ours: row?.value ?? null, theirs: held?.value ?? null },
    describeConflict(location, conflict),
  )
}

/** After an adoption. */
export async function endConflict(tx: Queryable, locationId: string): Promise<void> {
  await tx
    .updateTable('location_counter')
    .set({ conflict: null, conflict_since: null, seen_value: null, seen_token: null })
    .where('location_id', '=', locationId)
    .execute()
}
