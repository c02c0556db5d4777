import type pg from 'pg'
import { until } from '../eventually.ts'

/** Until so many connections of the pool's database wait for a lock; without a number, until any does. */
export function untilLockIsAwaited(pool: pg.Pool, count?: number): Promise<void> {
  const isAwaited = async () => {
    const { rowCount } = await pool.query(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    )
    return count === undefined ? rowCount! > 0 : rowCount === count
  }
  return until(`${count ?? 'some'} wait for a lock`, isAwaited, 30_000)
}
