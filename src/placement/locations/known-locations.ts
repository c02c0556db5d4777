/**
 * What the ledger knows of locations before placement is opened: which ones have to be, whatever the
 * configuration says.
 */
import { sql } from 'kysely'
import type { Database, Queryable } from '../../database/connect.ts'
import type { S3Address } from '../../storage/s3/identity.ts'
import type { Amount } from '../ledger/objects.ts'

/**
 * Of each location that belongs to an installation which this one is a copy of (`takeover/use-as-copy.ts`),
 * by id: where it is.
 */
export async function originsOf(db: Database): Promise<Map<string, S3Address>> {
  const rows = await db
    .selectFrom('location')
    .select(['id', 'origin'])
    .where('origin', 'is not', null)
    .execute()
  return new Map(rows.map(({ id, origin }) => [id, origin as S3Address]))
}

/** Files whose only verified copies are at these locations: without them, nobody can read them. */
export async function onlyThere(db: Queryable, locationIds: readonly string[]): Promise<Amount> {
  const ids = [...locationIds]
  const { rows } = await sql<Amount>`
    select count(*)::float8 as count, coalesce(sum(size), 0)::float8 as bytes from stored_object o
    where o.state = 'live'
      and exists (select from replica r
        where r.object_id = o.id and r.state = 'verified' and r.location_id = any(${ids}::text[]))
      and not exists (select from replica r
        where r.object_id = o.id and r.state = 'verified' and r.location_id <> all(${ids}::text[]))`.execute(
    db,
  )
  return rows[0]!
}

/**
 * Asked per location: to look at every replica of a million photos would take longer than the whole start.
 */
export async function locationsWithReplicas(db: Database): Promise<Set<string>> {
  const rows = await db
    .selectFrom('location')
    .select('id')
    .where(({ exists, selectFrom }) =>
      exists(selectFrom('replica').select('object_id').whereRef('location_id', '=', 'location.id')),
    )
    .execute()
  return new Set(rows.map((row) => row.id))
}
