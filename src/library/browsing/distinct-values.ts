/** The values that a column of `asset_exif` has for somebody's assets, without reading all of these. */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'

/**
 * From each value to the next one in the index of the column, and of each the first asset that matches: 41
 * steps for 40 cameras. It looks at other people's assets, too, so it is for whoever has at least half of
 * all.
 * @param column of `exif`, with an index that begins with it
 * @param where conditions on `asset` and `exif`
 * @returns null where most assets are others'; empty texts and nulls are left out
 */
export async function distinctValues(
  db: Database,
  ownerId: string,
  { column, where }: { column: RawBuilder<unknown>; where: RawBuilder<unknown> },
): Promise<string[] | null> {
  const { rows: counts } = await sql<{ hasMost: boolean }>`
    select coalesce(sum(assets) filter (where owner_id = ${ownerId}::uuid) * 2 >= sum(assets), false) as "hasMost"
    from asset_count`.execute(db)
  if (!counts[0]!.hasMost) return null
  const { rows } = await sql<{ value: string }>`
    with recursive known (value) as (
      (select ${column} from asset_exif exif where ${column} > '' order by ${column} limit 1)
      union all
      select (select ${column} from asset_exif exif where ${column} > known.value order by ${column} limit 1)
      from known where known.value is not null
    )
    select value from known
    where value is not null and (
      select true from asset_exif exif join asset on asset.id = exif.asset_id
      where ${column} = known.value and ${where} limit 1)
    order by lower(value), value`.execute(db)
  return rows.map(({ value }) => value)
}
