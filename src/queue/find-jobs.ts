/** Questions for jobs, so that no other top folder has to know graphile-worker's tables. */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import { jobKey, jobKeySql, type PayloadSql } from './job-keys.ts'
import type { JobName, Jobs } from './job-types.ts'

/** Waiting, running or dead. */
export async function hasJob<Name extends JobName>(
  db: Queryable,
  name: Name,
  payload: Jobs[Name],
): Promise<boolean> {
  const found = await sql`
    select 1 from graphile_worker._private_jobs where key = ${jobKey(name, payload)}`.execute(db)
  return found.rows.length > 0
}

/** What its last attempt failed of; null: nothing, or there is no such job. */
export async function lastErrorOf<Name extends JobName>(
  db: Queryable,
  name: Name,
  payload: Jobs[Name],
): Promise<string | null> {
  const { rows } = await sql<{ error: string | null }>`
    select last_error as error from graphile_worker._private_jobs where key = ${jobKey(name, payload)}`.execute(
    db,
  )
  return rows[0]?.error ?? null
}

/** True in a statement where there is such a job. A dead one counts only where `orDead` says so. */
export function jobExists<Name extends JobName>(
  name: Name,
  payload: PayloadSql<Name>,
  { orDead = true }: { orDead?: boolean } = {},
): RawBuilder<boolean> {
  const isNotDead = orDead ? sql`` : sql` and (job.locked_at is not null or job.attempts < job.max_attempts)`
  return sql<boolean>`exists (
    select from graphile_worker._private_jobs job where job.key = ${jobKeySql(name, payload)}${isNotDead})`
}

/**
 * True in a statement where there is a job of any of the keys that the subquery `keys` answers (`jobKeySql`).
 */
export function anyJobExists(keys: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`exists (select from graphile_worker._private_jobs job where job.key = any (${keys}))`
}

/** To be joined on `key`: jobs whose attempts are used up, and what the last one failed of. */
export const DEAD_JOBS = sql<{ key: string; last_error: string | null }>`(
  select key, last_error from graphile_worker._private_jobs
  where attempts >= max_attempts and locked_at is null)`

/**
 * How many jobs there are of any of these, dead ones included; with `dueWithinMs`, those that are due or will
 * be by then.
 */
export async function countJobs(
  db: Queryable,
  wanted: readonly { name: JobName; dueWithinMs?: number }[],
): Promise<number> {
  const conditions = wanted.map(({ name, dueWithinMs }) =>
    dueWithinMs === undefined
      ? sql`task_identifier = ${name}`
      : sql`(task_identifier = ${name} and run_at < now() + ${dueWithinMs} * interval '1 millisecond')`,
  )
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from graphile_worker.jobs where ${sql.join(conditions, sql` or `)}`.execute(
    db,
  )
  return rows[0]!.count
}
