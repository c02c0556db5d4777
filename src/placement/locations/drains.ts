/**
 * Locations that are being emptied. A drain is a row, which every process reads every few seconds, and by
 * which nothing belongs there any more; the copies elsewhere and the evictions are those of any move.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { loadKindRules } from '../ledger/belonging-rows.ts'
import { forgetPendingMoves, recordPolicy } from '../ledger/pending-moves.ts'
import { whyReadOnly } from '../location.ts'
import type { Placement } from '../placement.ts'
import { withoutLocations } from '../policy.ts'
import { processState } from '../process-state.ts'
import { requireLocation } from './locations.ts'

/** The locations that this process works without, joined; null: it has not looked, or the rules are new. */
const stateOf = processState<{ drained: string | null }>(() => ({ drained: null }))

/**
 * Works by the drains of now: the policy is the configured one without the locations that are drained. Where
 * too few would be left for a kind, since the configuration has changed after the drain began, that kind
 * stays.
 */
export async function applyDrains(placement: Placement): Promise<void> {
  const state = stateOf(placement)
  const ids = await drainedIds(placement.db)
  placement.belonging = { kinds: await loadKindRules(placement.db), drained: ids }
  const drained = ids.join(' ')
  if ((state.drained ?? '') === drained) return
  let from: Placement['configured']
  let without: ReturnType<typeof withoutLocations>
  do {
    from = placement.configured
    without = withoutLocations(from.policy, from.minCopies, ids)
    await recordPolicy({ db: placement.db, policy: without.policy, minCopies: from.minCopies })
    // A reload may have come to its end meanwhile, and what was written is of the rules before it.
  } while (placement.configured !== from)
  const { policy: left, short } = without
  placement.policy = left
  state.drained = drained
  forgetPendingMoves(placement)
  if (short.length > 0)
    placement.log.error(
      { kinds: short },
      'a drain waits: too few other locations are configured for some files',
    )
}

/** After the configured rules have changed: `applyDrains` starts from them. */
export function forgetDrains(placement: Placement): void {
  stateOf(placement).drained = null
}

/** In order. Retired ones are among them. */
async function drainedIds(db: Queryable): Promise<string[]> {
  const rows = await db
    .selectFrom('location')
    .select('id')
    .where('drain_begun_at', 'is not', null)
    .orderBy('id')
    .execute()
  return rows.map(({ id }) => id)
}

/** The kinds that would have too few locations left without this one. */
export function kindsThatNeed(placement: Placement, locationId: string): ObjectKind[] {
  const { policy, minCopies } = placement.configured
  const others = Object.values(placement.policy).flat()
  const drained = Object.values(policy)
    .flat()
    .filter((id) => !others.includes(id))
  return withoutLocations(policy, minCopies, [...drained, locationId]).short
}

/**
 * From now on nothing new goes there, and what is there gets its copies elsewhere and goes. Asked again, it
 * changes nothing.
 * @throws AppError conflict, with the remedy, where files would have too few places left, or nothing can be
 *   removed there
 */
export async function beginDrain(placement: Placement, locationId: string): Promise<void> {
  const location = requireLocation(placement, locationId)
  if (location === placement.local)
    throw new AppError('conflict', 'uploads arrive at the media location: it can not be drained')
  if (location.isReadOnly)
    throw new AppError('conflict', `nothing can leave it: ${location.label} ${whyReadOnly(location)}`)
  const short = kindsThatNeed(placement, locationId)
  if (short.length > 0) {
    const needs = short.map((kind) => {
      const { policy, minCopies } = placement.configured
      const others = policy[kind].filter((id) => id !== locationId)
      return `files of the kind ${kind} need ${minCopies[kind]}, and ${others.length === 0 ? 'none is' : `only ${others.join(', ')} would be`} left`
    })
    throw new AppError(
      'conflict',
      `too few locations would be left without ${locationId}: ${needs.join('; ')}. First name another one in storage.locations (or lower storage.minCopies), and run "npx glassine storage reload"`,
    )
  }
  const { kind, identity } = location
  await placement.db.transaction().execute(async (tx) => {
    await tx
      .insertInto('location')
      .values({ id: locationId, kind, identity, marker: null, probe: null })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    await sql`
      update location set drain_begun_at = now(), drain_files = held.count, drain_bytes = held.bytes
      from (select count(*) as count, coalesce(sum(o.size), 0) as bytes
        from replica r join stored_object o on o.id = r.object_id where r.location_id = ${locationId}) held
      where id = ${locationId} and drain_begun_at is null`.execute(tx)
  })
  await applyAndMove(placement)
}

/** Files belong there again, as the configuration says; also where it was retired and is still configured. */
export async function cancelDrain(placement: Placement, locationId: string): Promise<void> {
  requireLocation(placement, locationId)
  await placement.db
    .updateTable('location')
    .set({ drain_begun_at: null, drain_files: null, drain_bytes: null, retired_at: null })
    .where('id', '=', locationId)
    .execute()
  await applyAndMove(placement)
}

async function applyAndMove(placement: Placement): Promise<void> {
  await applyDrains(placement)
  await enqueue(placement.db, 'sweep-placement', {})
  await publish(placement.db, { type: 'storage-changed' })
}
