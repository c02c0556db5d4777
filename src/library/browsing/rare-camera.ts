import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { SearchFilter } from './search-filter.ts'

/** So many are found by the camera and sorted within 50 ms; of a million, 5 in 100. */
const FEW = 50_000

/**
 * Whether the filter names a camera that took few of all photos. PostgreSQL expects them evenly among the
 * others and looks for them from the newest on; but they lie together in time, perhaps at the far end: 0.5 s
 * for 5,000 of 200,000.
 */
export async function isRareCamera(db: Database, { make, model }: SearchFilter): Promise<boolean> {
  const conditions = [
    ...(make == null ? [] : [sql`make = ${make}`]),
    ...(model == null ? [] : [sql`model = ${model}`]),
  ]
  if (conditions.length === 0) return false
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from (
      select from asset_exif where ${sql.join(conditions, sql` and `)} limit ${FEW + 1}) as taken`.execute(db)
  return rows[0]!.count <= FEW
}
