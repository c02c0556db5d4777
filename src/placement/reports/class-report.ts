/** What is kept in which class, and what the class rules would move: a dry run, with what that costs. */
import { sql } from 'kysely'
import type { ObjectKind } from '../../database/schema.ts'
import { planClasses } from '../classes/sweep-classes.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { ORDINARY_CLASS } from '../storage-classes.ts'
import { changePrice, type Price } from '../storage-prices.ts'

export type Held = {
  locationId: string
  kind: ObjectKind
  storageClass: string
  count: number
  bytes: number
}
/** `why` null: these move at the next sweep; else what they wait for. */
export type PlannedChange = {
  locationId: string
  kind: ObjectKind
  from: string
  to: string
  why: 'too-soon' | 'archived' | 'unprovable' | 'no-copies' | 'refused' | null
  count: number
  bytes: number
  price: { once: Price; monthlyBefore: Price; monthlyAfter: Price } | null
}
export type ClassReport = { held: Held[]; changes: PlannedChange[] }

export async function classReport(placement: Placement): Promise<ClassReport> {
  const places = [...placement.locations.values()].filter(({ kind }) => kind !== 'disk').map(({ id }) => id)
  const { rows: held } = await sql<Held>`
    select r.location_id as "locationId", o.kind, coalesce(r.storage_class, ${ORDINARY_CLASS}) as "storageClass",
      count(*)::int as count, sum(o.size)::bigint as bytes
    from replica r join stored_object o on o.id = r.object_id
    where r.state = 'verified' and r.location_id = any(${places}::text[])
    group by 1, 2, 3 order by 1, 2, 3`.execute(placement.db)
  const changes = new Map<string, PlannedChange>()
  for await (const { locationId, kind, size, from, step } of planClasses(placement)) {
    if (step.do === 'stay') continue
    const why = step.do === 'wait' ? step.why : null
    const name = [locationId, kind, from, step.to, why].join(' ')
    const change = changes.get(name) ?? {
      ...{ locationId, kind, from: from ?? ORDINARY_CLASS, to: step.to, why },
      ...{ count: 0, bytes: 0, price: null },
    }
    change.count += 1
    change.bytes += size
    changes.set(name, change)
  }
  for (const change of changes.values()) {
    change.price = changePrice(placement.prices, locationOf(placement, change.locationId), change)
  }
  return { held, changes: [...changes.values()] }
}
