/**
 * The longest time for which a job of each name is ever put off. One whose time is further away was put off
 * by a clock that was ahead, and runs now: every handler reads at run time what is to be done, and puts
 * itself off again where it is too early.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { JOB_RULES, type JobName } from '../job-types.ts'
import { nudgeWorkers } from '../wake.ts'
import { LONGEST_DELAY_MS } from './back-off.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** PostgreSQL's clock is not read at the same moment twice. */
const SLACK_MS = 60_000

export type WaitSettings = {
  /** How long a local copy is held after its offload. */
  holdMs: number
  /** How long a URL that somebody was sent to may hold. */
  urlMs: number
}

/** Milliseconds from being put off to the run. */
export function longestWaitMs(name: JobName, { holdMs, urlMs }: WaitSettings): number {
  return Math.max(LONGEST_DELAY_MS, waitOf(name, holdMs, urlMs)) + SLACK_MS
}

function waitOf(name: JobName, holdMs: number, urlMs: number): number {
  switch (name) {
    case 'evict-replica':
      return holdMs
    // The bytes of the last change stay for those who read them, and what is purged for those who may still
    // put to it.
    case 'change-class':
      return Math.max(HOUR_MS, urlMs)
    // The hours of a campaign.
    case 'run-campaign':
    case 'purge-object':
    case 'prove-upload':
      return DAY_MS
    default:
      return 0
  }
}

/** Makes jobs due that are put off for longer than they ever are. @returns how many */
export async function runWhatWaitsTooLong(db: Queryable, settings: WaitSettings): Promise<number> {
  const waits = (Object.keys(JOB_RULES) as JobName[]).map((name) => ({
    name,
    ms: longestWaitMs(name, settings),
  }))
  const { rows } = await sql`
    update graphile_worker._private_jobs as job set run_at = now()
    from graphile_worker._private_tasks as task
    join jsonb_to_recordset(${JSON.stringify(waits)}::jsonb) as longest (name text, ms float8) on longest.name = task.identifier
    where task.id = job.task_id and job.is_available
      and job.run_at > now() + longest.ms * interval '1 millisecond'
    returning job.id`.execute(db)
  if (rows.length > 0) await nudgeWorkers(db)
  return rows.length
}

/**
 * After the clock went back: what waits was put off by another clock, and so were the heartbeats of all
 * workers.
 */
export async function bringQueueBack(db: Queryable): Promise<void> {
  await sql`update graphile_worker._private_jobs set run_at = now() where is_available and run_at > now()`.execute(
    db,
  )
  await sql`update graphile_worker._private_jobs set locked_at = now() where locked_at > now()`.execute(db)
  await sql`update worker_heartbeat set beaten_at = now() where beaten_at > now()`.execute(db)
  await sql`update job_schedule set next_at = now() where next_at > now()`.execute(db)
  await sql`update job_failure set at = now() where at > now()`.execute(db)
}
