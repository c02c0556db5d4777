/**
 * Which objects lack a copy, where files are given up. A row alone keeps nothing: its place may be left out
 * of the configuration, be away, be written to by others, or have another ledger. Its bytes may be gone for
 * good, and the file that nothing names may be the only one that is left of them.
 */
import { type RawBuilder, sql } from 'kysely'
import { isDoubtedSql } from '../ledger/replicas.ts'
import { leftToWait } from '../locations/counter/moved-installation.ts'
import type { Placement } from '../placement.ts'

/** Files that nobody can make again are compared with what the ledger lacks before they go. */
export const COMPARED_KINDS = ['original', 'sidecar', 'profile-image']

/**
 * Objects that have fewer verified copies that can be relied on than they are to keep; alias `o`. Nothing is
 * asked now: a place counts that is configured, written to by us alone, and neither away nor in trouble.
 */
export function lacksACopySql(placement: Placement): RawBuilder<boolean> {
  const places = [...placement.locations.values()]
    .filter(({ id, isReadOnly }) => !isReadOnly && leftToWait(placement, id) === null)
    .map(({ id, identity }) => ({ id, identity }))
  // It depends on no row, so it is read once.
  const counting = sql`(
    select l.id from location l
    join jsonb_to_recordset(${JSON.stringify(places)}::jsonb) as configured (id text, identity text)
      using (id, identity)
    where l.is_healthy is distinct from false and l.away_since is null
      and not exists (select from location_counter n where n.location_id = l.id and n.conflict is not null))`
  return sql<boolean>`(o.state = 'live' and o.kind = any(${COMPARED_KINDS}::text[]) and
    (select count(*) from replica v where v.object_id = o.id and v.state = 'verified'
        and not ${isDoubtedSql(sql`v`)} and v.location_id in ${counting})
      < coalesce((select min_copies from home where home.kind = o.kind), 1))`
}
