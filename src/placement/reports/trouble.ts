/** What of placement somebody must know of, for longer than normal work explains. */
import { type RawBuilder, sql } from 'kysely'
import type { Placement } from '../placement.ts'

/**
 * The ids of the originals that have no verified copy, and one that was found bad or missing. For a statement
 * of the library. Costs little while there are none.
 */
export function lostOriginals(): RawBuilder<string> {
  return sql<string>`(select o.id from replica r join stored_object o on o.id = r.object_id
    where r.state = 'suspect' and o.kind = 'original' and o.state = 'live' and o.is_linked
      and not exists (select from replica v where v.object_id = o.id and v.state = 'verified'))`
}

export type LocationTrouble = { id: string; label: string; since: string; error: string | null }

/** Configured places where something belongs that have not worked for `troubleAfterMs`. */
export async function locationsAwayForLong({
  db,
  locations,
  policy,
  settings,
}: Pick<Placement, 'db' | 'locations' | 'policy' | 'settings'>): Promise<LocationTrouble[]> {
  const used = new Set<string>(['local', ...Object.values(policy).flat()])
  const { rows } = await sql<{ id: string; since: Date; error: string | null }>`
    select id, health_changed_at as since, health_error as error from location
    where is_healthy = false and health_changed_at < now() - ${settings.troubleAfterMs} * interval '1 millisecond'
    order by id`.execute(db)
  return rows.flatMap(({ id, since, error }) => {
    const location = locations.get(id)
    if (location === undefined || !used.has(id)) return []
    return [{ id, label: location.label, since: since.toISOString(), error }]
  })
}

/**
 * How many files at each configured place were found wrong or missing and have not been made anew for
 * `troubleAfterMs`. Originals without any other copy are left out: see `lostOriginals`.
 */
export async function unhealedReplicas({
  db,
  locations,
  settings,
}: Pick<Placement, 'db' | 'locations' | 'settings'>): Promise<
  { id: string; label: string; count: number }[]
> {
  const { rows } = await sql<{ id: string; count: number }>`
    select r.location_id as id, count(*)::int as count
    from replica r join stored_object o on o.id = r.object_id
    where r.state = 'suspect' and o.state = 'live' and o.is_linked
      and (select max(e.at) from placement_event e where e.object_id = r.object_id
        and e.location_id = r.location_id and e.to_state = 'suspect' and e.from_state is distinct from 'suspect')
        < now() - ${settings.troubleAfterMs} * interval '1 millisecond'
      and (o.kind <> 'original'
        or exists (select from replica v where v.object_id = o.id and v.state = 'verified'))
    group by r.location_id order by r.location_id`.execute(db)
  return rows.flatMap(({ id, count }) => {
    const location = locations.get(id)
    return location === undefined ? [] : [{ id, label: location.label, count }]
  })
}
