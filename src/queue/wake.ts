import { sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import type { JobName } from './job-types.ts'

/**
 * Makes failed jobs of these names due now instead of at the end of their back-off: what they waited for is
 * back. Jobs that wait for their first attempt, such as the end of a hold, keep their time.
 * @returns how many
 */
export async function wakeJobs(db: Queryable, names: readonly JobName[]): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    select rescheduled.id from graphile_worker.reschedule_jobs(
      array(select id from graphile_worker.jobs
            where task_identifier = any(${names}) and locked_at is null and run_at > now()
              and attempts between 1 and max_attempts - 1),
      run_at => now()
    ) as rescheduled`.execute(db)
  if (rows.length > 0) await nudgeWorkers(db)
  return rows.length
}

/** Tells all workers to look for jobs now; otherwise they find newly due ones within their poll interval. */
export async function nudgeWorkers(db: Queryable): Promise<void> {
  await sql`select pg_notify('jobs:insert', '{"count":1}')`.execute(db)
}
