import { sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import { JOB_RULES, type JobName, type QueueName } from './job-types.ts'
import { nudgeWorkers } from './wake.ts'

export type QueueCounts = {
  /** Due, or dead workers' jobs about to be. */
  waiting: number
  active: number
  /** Not due yet: back-offs and holds. */
  delayed: number
  /** Attempts used up; they run again only when asked. */
  dead: number
  /** Failed attempts of the last 24 hours. */
  failed: number
  isPaused: boolean
}
export const QUEUE_NAMES = [
  ...new Set(Object.values(JOB_RULES).map((rule) => rule.queue)),
] as readonly QueueName[]

/** How the queues stand now. */
export async function queueCounts(db: Queryable): Promise<Record<QueueName, QueueCounts>> {
  const { rows } = await sql<QueueCounts & { queue: QueueName }>`
    select queue,
      coalesce(jobs.waiting, 0)::int as waiting, coalesce(jobs.active, 0)::int as active,
      coalesce(jobs.delayed, 0)::int as delayed, coalesce(jobs.dead, 0)::int as dead,
      (select count(*)::int from job_failure where job_failure.queue = queues.queue and at > now() - interval '24 hours')
        as failed,
      exists (select from paused_queue where paused_queue.queue = queues.queue) as "isPaused"
    from unnest(${QUEUE_NAMES}::text[]) as queues(queue)
    left join (
      select flag,
        count(*) filter (where locked_at is null and attempts < max_attempts and run_at <= now()) as waiting,
        count(*) filter (where locked_at is not null) as active,
        count(*) filter (where locked_at is null and attempts < max_attempts and run_at > now()) as delayed,
        count(*) filter (where locked_at is null and attempts >= max_attempts) as dead
      from graphile_worker.jobs cross join lateral jsonb_object_keys(flags) as flag
      group by flag
    ) as jobs on jobs.flag = queues.queue`.execute(db)
  return Object.fromEntries(rows.map(({ queue, ...counts }) => [queue, counts])) as Record<
    QueueName,
    QueueCounts
  >
}

/** No job of the queue is claimed any more; running ones go on. */
export async function pauseQueue(db: Queryable, queue: QueueName, pausedBy: string | null): Promise<void> {
  await db
    .insertInto('paused_queue')
    .values({ queue, paused_by: pausedBy })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

export async function resumeQueue(db: Queryable, queue: QueueName): Promise<void> {
  await db.deleteFrom('paused_queue').where('queue', '=', queue).execute()
  await nudgeWorkers(db)
}

export type JobFailure = {
  job: JobName
  queue: QueueName
  payload: Record<string, unknown>
  attempt: number
  error: string
  /** No attempt follows. */
  isFinal: boolean
  at: Date
}

/** Newest first. */
export async function recentFailures(
  db: Queryable,
  options: { queue?: QueueName; limit?: number } = {},
): Promise<JobFailure[]> {
  let query = db
    .selectFrom('job_failure')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(options.limit ?? 50)
  if (options.queue !== undefined) query = query.where('queue', '=', options.queue)
  const rows = await query.execute()
  return rows.map((row) => ({
    job: row.job as JobName,
    queue: row.queue as QueueName,
    payload: row.payload,
    attempt: row.attempt,
    error: row.error,
    isFinal: row.is_final,
    at: row.at,
  }))
}

/**
 * Runs the queue's failed jobs again now: dead ones with a fresh count of attempts, those in their back-off at once.
 * @returns how many
 */
export async function retryFailed(db: Queryable, queue: QueueName): Promise<number> {
  const { rows } = await sql`
    select rescheduled.id from graphile_worker.reschedule_jobs(
      array(select id from graphile_worker.jobs where flags ? ${queue} and locked_at is null and attempts > 0),
      run_at => now(), attempts => 0
    ) as rescheduled`.execute(db)
  if (rows.length > 0) await nudgeWorkers(db)
  return rows.length
}

/** Deletes failures and dead jobs older than 30 days. */
export async function forgetOldFailures(db: Queryable): Promise<void> {
  await sql`delete from job_failure where at < now() - interval '30 days'`.execute(db)
  await sql`
    select graphile_worker.complete_jobs(
      array(select id from graphile_worker.jobs
            where locked_at is null and attempts >= max_attempts and updated_at < now() - interval '30 days'))`.execute(
    db,
  )
}
