/**
 * Counts of assets that the database keeps (0053-asset-counts.sql): as right as a count of the assets, in the
 * same transaction, and a thousand times faster.
 */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'

/**
 * Replaces the rows of users that have changed something by their sums, in one statement: who reads sees them
 * all before, or all after. Two of these at once share the rows out.
 * @returns how many users it did this for
 */
export async function mergeCounts(db: Database): Promise<number> {
  const { rows } = await sql<{ users: number }>`
    with gone as (
      delete from asset_count where owner_id in (select owner_id from asset_count where not is_merged) returning *
    ), merged as (
      insert into asset_count
      select owner_id, month, type, visibility, is_trashed, is_favorite, sum(assets), sum(ratio), sum(bytes), true
      from gone group by 1, 2, 3, 4, 5, 6
      having sum(assets) <> 0 or sum(ratio) <> 0 or sum(bytes) <> 0
    )
    select count(distinct owner_id) as users from gone`.execute(db)
  return rows[0]!.users
}
