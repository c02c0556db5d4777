import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { ObjectKey } from '../../storage/backend.ts'
import { partsOfKey, USERS_PREFIX } from '../keys.ts'
import type { Location } from '../location.ts'

const PAGE = 1_000

/**
 * Lists the places into a table of a scratch database. @returns a condition: one of an object's replicas was
 * listed, with the object's size
 */
export async function originalsListedAt(
  db: Database,
  places: readonly Location[],
): Promise<(objectId: RawBuilder<unknown>) => RawBuilder<boolean>> {
  await sql`create table scratch_listed (location_id text, key text, size bigint)`.execute(db)
  for (const location of places) {
    let page: { key: ObjectKey; size: number }[] = []
    const endPage = async () => {
      await sql`
        insert into scratch_listed
        select ${location.id}, * from unnest(${page.map(({ key }) => key)}::text[],
          ${page.map(({ size }) => size)}::bigint[])`.execute(db)
      page = []
    }
    for await (const { key, size } of location.backend.list(USERS_PREFIX)) {
      if (partsOfKey(key)?.kind !== 'original') continue
      page.push({ key, size })
      if (page.length === PAGE) await endPage()
    }
    await endPage()
  }
  await sql`create index on scratch_listed (location_id, key)`.execute(db)
  return (objectId) =>
    sql<boolean>`exists (
      select from replica join stored_object on stored_object.id = replica.object_id
      join scratch_listed listed on listed.location_id = replica.location_id and listed.key = replica.key
        and listed.size = stored_object.size
      where replica.object_id = ${objectId})`
}
