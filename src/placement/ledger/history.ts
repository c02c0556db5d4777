/**
 * The order in which things came into the ledger, by the numbers of its history: it needs no clock, which may
 * be set.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { ReplicaName } from './replicas.ts'

/** The number of the last event that is committed; '0': there is none. A bigint, and so a text. */
export async function readLastEventId(db: Queryable): Promise<string> {
  const { rows } = await sql<{ id: string }>`
    select coalesce(max(id), 0)::text as id from placement_event`.execute(db)
  return rows[0]!.id
}

/**
 * Whether the key came into the ledger after that event, for bytes that were put under it then. Not so of
 * bytes that were adopted: they are older than their row.
 */
export async function isBornAfter(
  db: Queryable,
  { objectId, locationId, key }: ReplicaName,
  eventId: string,
): Promise<boolean> {
  const { rows } = await sql<{ isBornAfter: boolean }>`
    select exists (
      select from replica r join placement_event e using (object_id, location_id, key)
      where r.object_id = ${objectId} and r.location_id = ${locationId} and r.key = ${key}
        and not r.is_adopted and e.from_state is null and e.id > ${eventId}::bigint) as "isBornAfter"`.execute(
    db,
  )
  return rows[0]!.isBornAfter
}
