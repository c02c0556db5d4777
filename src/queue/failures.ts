/**
 * What failed and is not done yet. Each failed attempt is a row; the success of the same work solves them
 * all, so that what is told counts each piece of work once, and nothing that is over.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import { enqueue } from './enqueue.ts'
import type { JobName, QueueName } from './job-types.ts'
import { RECURRING_JOBS } from './schedule.ts'
import { nudgeWorkers } from './wake.ts'

/** One piece of work that failed at its last attempt. Several attempts of it are one. */
export type OpenFailure = {
  key: string
  job: JobName
  queue: QueueName
  payload: Record<string, unknown>
  code: string
  /** Of the last attempt. */
  attempt: number
  error: string
  /** Nothing tries it again by itself. */
  isFinal: boolean
  firstAt: Date
  at: Date
  /** When it is tried again; null: now, or never. */
  nextAt: Date | null
}

/** They come back by themselves, and have no job meanwhile. */
const RECURRING = RECURRING_JOBS.map(({ name }) => name)

/**
 * One row for each piece of work that is still failing: `key`, `job`, `queue`, `payload`, `code`, `attempt`,
 * `error`, `first_at`, `at`, `is_final`, `next_at`. What has no job any more was replaced or is done.
 */
const OPEN = sql`(
  select failed.key, failed.job, failed.queue, failed.payload, failed.code, failed.attempt, failed.error,
    failed.first_at, failed.at, job.id is not null and not job.is_available and job.locked_at is null as is_final,
    case when job.locked_at is null and job.is_available then job.run_at end as next_at
  from (
    select distinct on (key) *, min(at) over (partition by key) as first_at
    from job_failure where solved_at is null and key is not null order by key, id desc
  ) as failed
  left join graphile_worker._private_jobs as job on job.key = failed.key
  where job.id is not null or failed.job = any(${RECURRING}))`

/** The newest first, at most `limit`. */
export async function openFailures(
  db: Queryable,
  options: { queue?: QueueName; limit?: number } = {},
): Promise<OpenFailure[]> {
  const ofQueue = options.queue === undefined ? sql`` : sql`where queue = ${options.queue}`
  const { rows } = await sql<OpenFailure>`
    select key, job, queue, payload, code, attempt, error, is_final as "isFinal", first_at as "firstAt", at,
      next_at as "nextAt"
    from ${OPEN} as open ${ofQueue} order by at desc limit ${options.limit ?? 1_000}`.execute(db)
  return rows
}

/** What failed of the same kind, at the same place: one row for people, however many files it concerns. */
export type FailureGroup = Omit<OpenFailure, 'key' | 'isFinal'> & {
  /** The location that it is about; null where the job names none. */
  location: string | null
  count: number
  /** How many of them nothing tries again by itself. */
  givenUp: number
  /** Payloads of a few of them, the newest first. */
  samples: Record<string, unknown>[]
}

const MOST_GROUPS = 100
const MOST_SAMPLES = 5

/** The newest first. Unexpected errors have no code, so only their words tell them apart. */
export async function failureGroups(db: Queryable): Promise<FailureGroup[]> {
  const latest = (column: RawBuilder<unknown>) => sql`(array_agg(${column} order by at desc))[1]`
  const { rows } = await sql<FailureGroup>`
    select queue, job, code, location, count(*)::int as count,
      (count(*) filter (where is_final))::int as "givenUp", max(attempt) as attempt,
      ${latest(sql`error`)} as error, ${latest(sql`payload`)} as payload,
      to_jsonb((array_agg(payload order by at desc))[1:${sql.lit(MOST_SAMPLES)}]) as samples,
      min(first_at) as "firstAt", max(at) as at, min(next_at) as "nextAt"
    from (
      select *, coalesce(payload->>'to', payload->>'from', payload->>'at', payload->>'locationId') as location,
        case when code = 'unexpected' then error end as words
      from ${OPEN} as open
    ) as told
    group by queue, job, code, location, words order by max(at) desc limit ${MOST_GROUPS}`.execute(db)
  return rows
}

/** How many pieces of work of each queue are still failing; queues without any are left out. */
export async function countOpenFailures(db: Queryable): Promise<Map<QueueName, number>> {
  const { rows } = await sql<{ queue: QueueName; count: number }>`
    select queue, count(*)::int as count from ${OPEN} as open group by queue`.execute(db)
  return new Map(rows.map(({ queue, count }) => [queue, count]))
}

/** To be part of the statement that removes a job which is done: what failed of it before is over. */
export function solveFailures(key: string, isDone: RawBuilder<boolean>): RawBuilder<unknown> {
  return sql`update job_failure set solved_at = now() where key = ${key} and solved_at is null and ${isDone}`
}

/**
 * The work waits for a place that is away: that it could not reach it before is no failure of its own any
 * more.
 */
export async function solveUnavailable(db: Queryable, key: string): Promise<void> {
  await sql`update job_failure set solved_at = now()
    where key = ${key} and solved_at is null and code = 'unavailable'`.execute(db)
}

/**
 * Runs the queue's failed jobs again now: dead ones with a fresh count of attempts, those in their back-off
 * and recurring ones at once. One without an attempt of its own counts by its key: it has replaced one that
 * failed, and waits, for the end of a write say. Not those without a key, whose work a newer job does.
 * @returns how many
 */
export async function retryFailed(db: Queryable, queue: QueueName): Promise<number> {
  const { rows } = await sql`
    select rescheduled.id from graphile_worker.reschedule_jobs(
      array(select id from graphile_worker.jobs
            where flags ? ${queue} and locked_at is null and key is not null
              and (attempts > 0
                or exists (select from job_failure where job_failure.key = jobs.key and solved_at is null))),
      run_at => now(), attempts => 0
    ) as rescheduled`.execute(db)
  const failed = await openFailures(db, { queue })
  const recurring = RECURRING.filter((name) => failed.some(({ job }) => job === name))
  for (const name of recurring) await enqueue(db, name, {})
  if (rows.length > 0) await nudgeWorkers(db)
  return rows.length + recurring.length
}

/**
 * Takes what nothing waits for off the list: recurring jobs, which come back by themselves. Others stay until
 * they are done.
 */
export async function dismissFailures(db: Queryable, queue: QueueName): Promise<void> {
  await sql`update job_failure set solved_at = now()
    where queue = ${queue} and solved_at is null and job = any(${RECURRING})`.execute(db)
}

/**
 * Deletes failures and dead jobs older than 30 days, not counting times that nobody has seen pass, and dead
 * jobs without a key: asked for again, a dead one only loses its key, and stays beside the newer one.
 */
export async function forgetOldFailures(db: Queryable): Promise<void> {
  await sql`
    delete from job_failure where at < now() - interval '30 days' and lived_since(at) > interval '30 days'`.execute(
    db,
  )
  await sql`
    select graphile_worker.complete_jobs(
      array(select id from graphile_worker.jobs
            where locked_at is null and attempts >= max_attempts
              and (key is null or updated_at < now() - interval '30 days'
                and lived_since(updated_at) > interval '30 days')))`.execute(db)
}
