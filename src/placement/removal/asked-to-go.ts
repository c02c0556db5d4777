import { sql } from 'kysely'
import type { ReplicaName } from '../ledger/replicas.ts'
import type { Placement } from '../placement.ts'

/** Whether this ledger itself has written down that what lies there is to go, and may have had it removed. */
export async function isToGo(
  { db }: Pick<Placement, 'db'>,
  { locationId, key }: Pick<ReplicaName, 'locationId' | 'key'>,
): Promise<boolean> {
  const { rows } = await sql`
    select from key_to_clear where location_id = ${locationId} and key = ${key}
    union all select from class_change where location_id = ${locationId} and doomed_key = ${key}
    union all select from collection_item where location_id = ${locationId} and key = ${key}
      and claimed_at is not null`.execute(db)
  return rows.length > 0
}
