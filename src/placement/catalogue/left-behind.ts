/**
 * What was deleted for good, and whose bytes still lie at a location: a locked one keeps them for weeks. Who
 * has lost the database takes them for photos that no catalogue names, unless it says that they are gone.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { partsOfKey } from '../keys.ts'

const PAGE = 500

/** `assetIds`: by its row, and by its keys: that of a photo that was repaired has the id of an upload. */
export type LeftBehind = { ownerId: string; assetIds: string[] }

/** Originals and sidecars of all owners, in pages. */
export async function* allLeftBehind(db: Queryable): AsyncGenerator<LeftBehind[]> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await read(db, sql`object.id > ${after}::uuid`)
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows
    after = last.id
  }
}

/** Those of these assets, of which there are at most 500. */
export async function leftBehindOf(db: Queryable, assetIds: readonly string[]): Promise<LeftBehind[]> {
  return read(db, sql`object.asset_id = any(${uuidArray(assetIds)}::uuid[])`, null)
}

/** Not those that wait for another copy of their bytes: that one is kept, and these are removed after it. */
async function read(
  db: Queryable,
  condition: RawBuilder<unknown>,
  limit: number | null = PAGE,
): Promise<(LeftBehind & { id: string })[]> {
  const { rows } = await sql<{ id: string; ownerId: string; assetId: string; keys: string[] }>`
    select object.id, object.owner_id as "ownerId", object.asset_id as "assetId",
      array(select key from replica where replica.object_id = object.id) as keys
    from stored_object object
    where object.state = 'purging' and object.kind in ('original', 'sidecar')
      and object.purge_reason <> 'duplicate' and object.asset_id is not null and ${condition}
    order by object.id limit ${limit}`.execute(db)
  return rows.map(({ id, ownerId, assetId, keys }) => {
    const named = keys.flatMap((key) => partsOfKey(key)?.assetId ?? [])
    return { id, ownerId, assetIds: [...new Set([assetId, ...named])] }
  })
}
