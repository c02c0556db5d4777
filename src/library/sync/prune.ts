import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'

/** A day more than a device may be out of step without starting anew. */
const KEPT_DAYS = 31
const BATCH = 10_000
/** Kind of the removal of an asset that no `AssetDeleteV1` tells of any more. */
export const FORGOTTEN_ASSET = 'forgotten_asset'

/**
 * Forgets removals that every device has heard of, or has to start anew for. Time that nobody has seen pass
 * does not count: a clock that is ahead for a minute must not make all devices start anew. Returns how many.
 *
 * Which checksums an owner once had is kept for ever, at about 100 bytes each: a device that was told of an
 * asset in an album keeps it when it is taken out, and could never store the same photo uploaded again years
 * later (`partner-asset-removals.ts`); its sync would stop there for good.
 */
export async function pruneRemovals(db: Database): Promise<number> {
  for (let pruned = 0; ; ) {
    const { rows } = await sql<{ count: number }>`
      with due as (
        select id, kind = 'asset' and checksum is not null as is_kept from sync_removal
        where id in (
            select id from sync_removal
            where id < sync_floor((extract(epoch from now() - ${KEPT_DAYS} * interval '1 day') * 1000000)::bigint)
              and kind <> ${FORGOTTEN_ASSET}
            order by id limit ${BATCH})
          and lived_since(sync_time(id)) > ${KEPT_DAYS} * interval '1 day'),
      gone as (delete from sync_removal where id in (select id from due where not is_kept)),
      kept as (update sync_removal set kind = ${FORGOTTEN_ASSET} where id in (select id from due where is_kept))
      update sync_state set pruned_until = greatest(pruned_until, last.id)
      from (select id from due order by id desc limit 1) as last
      returning (select count(*) from due)::int as count`.execute(db)
    const count = rows[0]?.count ?? 0
    pruned += count
    if (count < BATCH) return pruned
  }
}
