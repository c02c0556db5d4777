import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'

/** A day more than a device may be out of step without starting anew. */
const KEPT_DAYS = 31
const BATCH = 10_000

/**
 * Forgets removals that every device has heard of, or has to start anew for. Time that nobody has seen pass does not
 * count: a clock that is ahead for a minute must not make all devices start anew. Returns how many.
 */
export async function pruneRemovals(db: Database): Promise<number> {
  for (let pruned = 0; ; ) {
    const { rows } = await sql<{ count: number }>`
      with gone as (
        delete from sync_removal where id in (
            select id from sync_removal
            where id < sync_floor((extract(epoch from now() - ${KEPT_DAYS} * interval '1 day') * 1000000)::bigint)
            order by id limit ${BATCH})
          and lived_since(sync_time(id)) > ${KEPT_DAYS} * interval '1 day'
        returning id)
      update sync_state set pruned_until = greatest(pruned_until, last.id)
      from (select id from gone order by id desc limit 1) as last
      returning (select count(*) from gone)::int as count`.execute(db)
    const count = rows[0]?.count ?? 0
    pruned += count
    if (count < BATCH) return pruned
  }
}
