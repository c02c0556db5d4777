/**
 * What the ledger knows of locations before placement is opened: which ones have to be, whatever the
 * configuration says.
 */
import type { Database } from '../../database/connect.ts'
import type { S3Address } from '../../storage/s3/identity.ts'

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
