import { sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import { countOpenFailures } from './failures.ts'
import type { JobName, QueueName } from './job-types.ts'
import { QUEUE_NAMES } from './queue-names.ts'
import { nudgeWorkers } from './wake.ts'

export type QueueCounts = {
  /** Due, or dead workers' jobs about to be. */
  waiting: number
  active: number
  /** Not due yet: back-offs and holds. */
  delayed: number
  /** Attempts used up; they run again only when asked. Not what a newer job does (`claimed-job.ts`). */
  dead: number
  /** Pieces of work that failed and are not done yet, tried again or not. */
  failed: number
  isPaused: boolean
}

/** How the queues stand now. */
export async function queueCounts(db: Queryable): Promise<Record<QueueName, QueueCounts>> {
  const failed = await countOpenFailures(db)
  const { rows } = await sql<Omit<QueueCounts, 'failed'> & { queue: QueueName }>`
    select queue,
      coalesce(jobs.waiting, 0)::int as waiting, coalesce(jobs.active, 0)::int as active,
      coalesce(jobs.delayed, 0)::int as delayed, coalesce(jobs.dead, 0)::int as dead,
      exists (select from paused_queue where paused_queue.queue = queues.queue) as "isPaused"
    from unnest(${QUEUE_NAMES}::text[]) as queues(queue)
    left join (
      select flag,
        count(*) filter (where locked_at is null and attempts < max_attempts and run_at <= now()) as waiting,
        count(*) filter (where locked_at is not null) as active,
        count(*) filter (where locked_at is null and attempts < max_attempts and run_at > now()) as delayed,
        count(*) filter (where locked_at is null and attempts >= max_attempts and key is not null) as dead
      from graphile_worker.jobs cross join lateral jsonb_object_keys(flags) as flag
      group by flag
    ) as jobs on jobs.flag = queues.queue`.execute(db)
  return Object.fromEntries(
    rows.map(({ queue, ...counts }) => [queue, { ...counts, failed: failed.get(queue) ?? 0 }]),
  ) as Record<QueueName, QueueCounts>
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

/** One failed attempt. */
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

/** Every failed attempt, of work that is done since as well; the newest first. */
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
