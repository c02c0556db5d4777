import { sql } from 'kysely'
import type { ObjectKind } from '../../database/schema.ts'
import type { Placement } from '../placement.ts'
import { processState } from '../process-state.ts'
import { belongingSql } from './belonging-rows.ts'
import { originalPlaces } from './next-steps.ts'

/**
 * Files that belong at `to` since the configuration changed, and are not there yet. Uploads that wait for
 * their first copy are none: the counts of originals include them.
 */
export type PendingMove = {
  to: string
  /** The place's label. */
  label: string
  count: number
  bytes: number
}

/**
 * Writes down since when files belong where they do by this configuration, and how many copies are kept,
 * which the database's own fence asks for (`guard_replica`). To be called when a process begins to work by
 * it.
 */
export async function recordPolicy({
  db,
  policy,
  minCopies,
}: Pick<Placement, 'db' | 'policy' | 'minCopies'>): Promise<void> {
  const homes = Object.entries(policy).map(([kind, wanted]) => ({
    kind,
    location_ids: wanted,
    min_copies: minCopies[kind as ObjectKind],
  }))
  await sql`
    insert into home (kind, location_ids, min_copies)
    select kind, location_ids, min_copies
    from jsonb_to_recordset(${JSON.stringify(homes)}::jsonb) as given (kind text, location_ids jsonb, min_copies int)
    order by kind
    on conflict (kind) do update set location_ids = excluded.location_ids, min_copies = excluded.min_copies,
      since = case when home.location_ids = excluded.location_ids then home.since else now() end
    where (home.location_ids, home.min_copies) is distinct from (excluded.location_ids, excluded.min_copies)`.execute(
    db,
  )
}

/**
 * A status is asked for every second while something moves; to count 150,000 objects took 0.46 s on a busy
 * machine.
 */
const REST_PER_MS = 10

/** What was last counted, and until when, by `performance.now()`, that is good enough. */
type State = { value: PendingMove[]; goodUntil: number }
const stateOf = processState<State>(() => ({ value: [], goodUntil: Number.NEGATIVE_INFINITY }))

/**
 * What still has to be copied to where it belongs, one entry for each place. What was counted is good for ten
 * times as long as the counting took, so that asking often costs at most a tenth of one connection.
 */
export async function pendingMoves(placement: Placement): Promise<PendingMove[]> {
  const state = stateOf(placement)
  if (performance.now() < state.goodUntil) return state.value
  const beganAt = performance.now()
  const { rows } = await sql<{ to: string; count: number; bytes: number }>`
    select target."to", count(*)::bigint as count, coalesce(sum(o.size), 0)::bigint as bytes
    from stored_object o
    ${belongingSql(placement)}
    cross join lateral unnest(belongs.wanted) as target ("to")
    join home known on known.kind = home.kind and o.created_at < known.since
    where o.state = 'live' and o.is_linked
      and not exists (select from replica r
        where r.object_id = o.id and r.location_id = target."to" and r.state = 'verified')
      and exists (select from replica r where r.object_id = o.id and r.state = 'verified')
      and not exists (select from replica r where r.object_id = o.id and r.state = 'verified'
        and r.location_id = any(${originalPlaces(placement)}::text[]))
    group by target."to" order by target."to"`.execute(placement.db)
  const value = rows.map(({ to, count, bytes }) => ({
    to,
    label: placement.locations.get(to)?.label ?? to,
    count: Number(count),
    bytes: Number(bytes),
  }))
  const endedAt = performance.now()
  Object.assign(state, { value, goodUntil: endedAt + (endedAt - beganAt) * REST_PER_MS })
  return value
}

/** The next one who asks has it counted. */
export function forgetPendingMoves(placement: Placement): void {
  stateOf(placement).goodUntil = Number.NEGATIVE_INFINITY
}
