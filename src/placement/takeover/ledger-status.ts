/**
 * Whether each location is this ledger's alone, for people: what stands in the way, and how far its adoption
 * has come.
 */
import type { CounterConflict } from '../../database/schema.ts'
import { leftToWait } from '../locations/counter/moved-installation.ts'
import type { Placement } from '../placement.ts'
import { type Adoption, adoptionOf } from './adoption.ts'

/** Times are ISO 8601. */
export type LedgerStatus = {
  /** Why nothing is written or removed there until an administrator decides; null: it is ours alone. */
  conflict: CounterConflict | null
  since: string | null
  /**
   * This installation was copied or moved, and looks until then whether another one still uses the place.
   * Known to the process that waits.
   */
  waiting: { until: string } | null
  /** The last one, running or done. */
  adoption: (Pick<Adoption, 'state' | 'report'> & { startedAt: string; finishedAt: string | null }) | null
}

export async function ledgerStatuses(placement: Placement): Promise<Map<string, LedgerStatus>> {
  const counters = await placement.db
    .selectFrom('location_counter')
    .select(['location_id', 'conflict', 'conflict_since'])
    .execute()
  const statuses = new Map<string, LedgerStatus>()
  for (const id of placement.locations.keys()) {
    const counter = counters.find(({ location_id }) => location_id === id)
    statuses.set(id, {
      conflict: counter?.conflict ?? null,
      since: counter?.conflict_since?.toISOString() ?? null,
      waiting: counter?.conflict == null ? waitingOf(placement, id) : null,
      adoption: await describeAdoption(placement, id),
    })
  }
  return statuses
}

/** Told by the clock that people read, for this moment. */
function waitingOf(placement: Placement, locationId: string): { until: string } | null {
  const leftMs = leftToWait(placement, locationId)
  return leftMs === null ? null : { until: new Date(placement.now().getTime() + leftMs).toISOString() }
}

async function describeAdoption(placement: Placement, locationId: string): Promise<LedgerStatus['adoption']> {
  const adoption = await adoptionOf(placement, locationId)
  if (adoption === null) return null
  const { state, report, startedAt, finishedAt } = adoption
  return {
    state,
    report,
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  }
}
