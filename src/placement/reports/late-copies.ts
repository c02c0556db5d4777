import { sql } from 'kysely'
import { belongingSql } from '../ledger/belonging-rows.ts'
import type { Amount } from '../ledger/objects.ts'
import type { Placement } from '../placement.ts'

/** Of originals; `since`: when the first of them should have been copied, ISO 8601. */
export type LateCopies = Amount & { since: string | null }

/**
 * Originals that have had fewer verified copies than asked for, where originals belong, for longer than
 * normal work explains (`troubleAfterMs`): since they were uploaded, since a copy was lost, or since the
 * configuration said where originals belong.
 */
export async function lateCopies(placement: Placement): Promise<LateCopies> {
  const { db, minCopies, settings } = placement
  const { rows } = await sql<{ count: number; bytes: number; since: Date | null }>`
    with known as (
      select greatest(o.created_at, (select since from home where kind = 'original')) as since, o.id, o.size,
        belongs.wanted
      from stored_object o ${belongingSql(placement)}
      where o.kind = 'original' and o.state = 'live' and o.is_linked
        and o.created_at < now() - ${settings.troubleAfterMs} * interval '1 millisecond'
        and (select count(*) from replica r where r.object_id = o.id and r.state = 'verified'
          and r.location_id = any(belongs.wanted)) < ${minCopies.original}
    ), late as (
      select size, greatest(since, (select max(e.at) from placement_event e where e.object_id = known.id
        and e.from_state = 'verified' and e.to_state is distinct from 'verified'
        and e.location_id = any(known.wanted))) as since
      from known
    )
    select count(*)::float8 as count, coalesce(sum(size), 0)::float8 as bytes, min(since) as since from late
    where since < now() - ${settings.troubleAfterMs} * interval '1 millisecond'`.execute(db)
  const { count, bytes, since } = rows[0]!
  return { count, bytes, since: since?.toISOString() ?? null }
}
