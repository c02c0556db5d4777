/** The rows of `class_refusal`: classes that a replica is not brought into for now. */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { Replica } from '../ledger/objects.ts'
import { leaseEnd } from '../ledger/replicas.ts'

const DAY_MS = 24 * 3_600_000

/** Not for so many days, by the database's clock. `reason`: for people. */
export async function refuseClass(
  db: Queryable,
  { objectId, locationId }: Pick<Replica, 'objectId' | 'locationId'>,
  { toClass, reason, days }: { toClass: string; reason: string; days: number },
): Promise<void> {
  const refusal = { to_class: toClass, reason, refused_until: leaseEnd(days * DAY_MS) }
  await db
    .insertInto('class_refusal')
    .values({ object_id: objectId, location_id: locationId, ...refusal })
    .onConflict((conflict) => conflict.columns(['object_id', 'location_id']).doUpdateSet(refusal))
    .execute()
}

/** Why the replica is not brought into that class now, for people; null: nothing is known against it. */
export async function classRefusal(
  db: Queryable,
  { objectId, locationId }: Pick<Replica, 'objectId' | 'locationId'>,
  toClass: string,
): Promise<string | null> {
  const row = await db
    .selectFrom('class_refusal')
    .select('reason')
    .where('object_id', '=', objectId)
    .where('location_id', '=', locationId)
    .where('to_class', '=', toClass)
    .where('refused_until', '>', sql<Date>`now()`)
    .executeTakeFirst()
  return row?.reason ?? null
}
