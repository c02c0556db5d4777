import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import { JOB_RULES, type JobName, type Jobs } from './job-types.ts'

export type EnqueueOptions = {
  /** Two jobs of one key become one, unless the first is already running. */
  key?: string
  runAt?: Date
}

/**
 * Adds a job in the caller's transaction: it exists exactly if the caller commits. (A peer queued after the commit, and
 * a kill in between lost the work for ever.)
 */
export async function enqueue<Name extends JobName>(
  tx: Queryable,
  name: Name,
  payload: Jobs[Name],
  options: EnqueueOptions = {},
): Promise<void> {
  await sql`select ${addJob(name, payload, options)}`.execute(tx)
}

/** The expression that adds it, for a statement that does more than that. */
function addJob<Name extends JobName>(
  name: Name,
  payload: Jobs[Name],
  options: EnqueueOptions,
): RawBuilder<unknown> {
  const parameter = (value: unknown) => sql<string>`${value}`
  return addJobOf(name, {
    payload: parameter(JSON.stringify(payload)),
    key: parameter(options.key ?? null),
    runAt: parameter(options.runAt ?? null),
  })
}

/** The same with expressions for what differs from run to run: for statements that are compiled once. The payload is JSON. */
export function addJobOf(
  name: JobName,
  {
    payload,
    key,
    runAt = sql`null`,
  }: Record<'payload' | 'key', RawBuilder<string>> & { runAt?: RawBuilder<unknown> },
): RawBuilder<unknown> {
  const rule = JOB_RULES[name]
  return sql`graphile_worker.add_job(
      identifier => ${name}, payload => ${payload}::json, run_at => ${runAt}::timestamptz,
      max_attempts => ${rule.maxAttempts}, priority => ${rule.priority}, flags => array[${rule.queue}]::text[],
      job_key => ${key}::text, job_key_mode => 'replace')`
}

/**
 * As `enqueue`, for any number of jobs of one name in one statement and one notification. (By one call of `add_job` each,
 * 20,000 jobs took minutes.) Of several with one key, the last counts.
 */
export async function enqueueMany<Name extends JobName>(
  tx: Queryable,
  name: Name,
  jobs: readonly { payload: Jobs[Name]; key: string }[],
): Promise<void> {
  if (jobs.length === 0) return
  const rule = JOB_RULES[name]
  const payloads = new Map(jobs.map(({ key, payload }) => [key, JSON.stringify(payload)]))
  await sql`
    select count(*) from graphile_worker.add_jobs(array(
      select (${name}, job.payload::json, null, null, ${rule.maxAttempts}, job.key, ${rule.priority}, array[${rule.queue}]::text[])
        ::graphile_worker.job_spec
      from unnest(${[...payloads.values()]}::text[], ${[...payloads.keys()]}::text[]) as job (payload, key)))`.execute(
    tx,
  )
}
