/**
 * What a run could not bring back, such as an archived photo. Its entries are kept, so that the batches that
 * say it can be followed: what people delete after the run stays deleted, whatever a later run brings back.
 */
import { sql } from 'kysely'
import type { Queryable, Tx } from '../../../database/connect.ts'
import { uuidArray } from '../../../database/statements/uuid-array.ts'
import { IS_STILL_WANTED } from '../left-over-wanted.ts'
import type { AdoptingParts } from './adopt-assets.ts'
import { isSidecarMissing } from './adopt-sidecars.ts'

/** Of `catalogue_found found`: what a later state has, as far as that may be followed. */
const IS_NEW = sql`not found.is_gone and not found.is_known`

/** An asset of a later state that is not there, as itself or as the same bytes. */
export const IS_LACKING = sql`found.kind = 'asset' and ${IS_NEW}
  and not exists (select from asset where asset.id = found.id)
  and not exists (select from asset where owner_id = (found.entry ->> 'owner')::uuid
    and checksum = decode(found.entry ->> 'sha1', 'hex'))`

export async function countMissing(db: Queryable): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count from catalogue_found found where ${IS_LACKING}`.execute(db)
  return rows[0]!.count
}

/** In place of what an earlier run has left over: that was laid beside the database again. */
export async function keepLeftOver(
  tx: Tx,
  parts: Pick<AdoptingParts, 'doubtful' | 'replaceable'>,
): Promise<void> {
  const doubtful = uuidArray([...new Set(parts.doubtful.values())])
  await sql`delete from catalogue_left_over`.execute(tx)
  await sql`
    insert into catalogue_left_over (kind, id, is_there, entry)
    select kind, id, exists (select from asset where asset.id = found.id), entry from catalogue_found found
    where (${IS_LACKING})
      or (found.kind = 'asset' and ${IS_NEW} and found.id = any(${doubtful}::uuid[]))
      or (${isSidecarMissing(parts)})
      or (found.kind = 'user' and ${IS_NEW} and not exists (select from app_user where app_user.id = found.id))
      or (found.kind = 'album' and ${IS_NEW} and not exists (select from album where album.id = found.id))`.execute(
    tx,
  )
}

/**
 * Lays what was left over beside the database, as if it were new. A later state's word of the same thing
 * counts more; photos of somebody who was removed here since, or that were deleted here, are left out.
 */
export async function layLeftOver(tx: Queryable): Promise<void> {
  await sql`
    insert into catalogue_found (kind, id, batch, is_known, is_gone, entry, is_there_already)
    select kind, id, '', false, false, entry, is_there from catalogue_left_over one
    where ${IS_STILL_WANTED} and (not is_there or exists (select from asset where asset.id = one.id))
    on conflict (kind, id) do update set batch = excluded.batch, is_known = false, entry = excluded.entry,
      is_there_already = excluded.is_there_already
    where catalogue_found.is_known and not catalogue_found.is_gone`.execute(tx)
}
