import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import { jobKey, jobKeySql, type PayloadSql } from './job-keys.ts'
import { JOB_RULES, type JobName, type Jobs } from './job-types.ts'

export type EnqueueOptions = {
  runAt?: Date
  /** Whose it is: while this person's slow jobs fill a lane, jobs of others are still begun. */
  owner?: string
  /** Runs so much later than the first of its name: 0 to 4. */
  rank?: RawBuilder<number>
  /** Changes nothing while such a job exists, running or not. For work that must not run twice at a time. */
  onlyIfNone?: boolean
}

/** How a job's flags tell its owner; the other flag is its queue. */
export const OWNER_FLAG = 'owner:'

/**
 * Adds a job in the caller's transaction: it exists exactly if the caller commits. (A peer queued after the
 * commit, and a kill in between lost the work for ever.) Two jobs of one key become one, unless the first is
 * already running.
 */
export async function enqueue<Name extends JobName>(
  tx: Queryable,
  name: Name,
  payload: Jobs[Name],
  options: EnqueueOptions = {},
): Promise<void> {
  const parameter = (value: unknown) => sql<string>`${value}`
  const job = addJob(name, {
    payload: parameter(JSON.stringify(payload)),
    key: parameter(jobKey(name, payload)),
    runAt: parameter(options.runAt ?? null),
    owner: parameter(options.owner === undefined ? null : OWNER_FLAG + options.owner),
    ...(options.rank && { rank: options.rank }),
    // "Unsafe" where a job is dead or begins with old facts; who asks for it here does neither.
    mode: parameter(options.onlyIfNone ? 'unsafe_dedupe' : 'replace'),
  })
  await sql`select ${job}`.execute(tx)
}

/** The expression that adds one, for a statement that does more than that and is compiled once. */
export function addJobOf<Name extends JobName>(name: Name, payload: PayloadSql<Name>): RawBuilder<unknown> {
  const fields = Object.entries<RawBuilder<unknown>>(payload).flatMap(([field, value]) => [
    sql.lit(field),
    sql`${value}::text`,
  ])
  return addJob(name, {
    payload: sql`json_build_object(${sql.join(fields)})`,
    key: jobKeySql(name, payload),
  })
}

function addJob(
  name: JobName,
  {
    payload,
    key,
    runAt = sql`null`,
    owner = sql`null`,
    rank = sql`0`,
    mode = sql`'replace'`,
  }: Record<'payload' | 'key', RawBuilder<unknown>> &
    Partial<Record<'runAt' | 'owner' | 'rank' | 'mode', RawBuilder<unknown>>>,
): RawBuilder<unknown> {
  const rule = JOB_RULES[name]
  return sql`graphile_worker.add_job(
      identifier => ${name}, payload => ${payload}::json, run_at => ${runAt}::timestamptz,
      max_attempts => ${rule.maxAttempts}, priority => ${rule.priority} + ${rank},
      flags => array_remove(array[${rule.queue}, ${owner}]::text[], null),
      job_key => ${key}::text, job_key_mode => ${mode}::text)`
}

/**
 * As `enqueue`, for any number of jobs of one name in one statement and one notification. (By one call of
 * `add_job` each, 20,000 jobs took minutes.) Of several with one key, the last counts.
 */
export async function enqueueMany<Name extends JobName>(
  tx: Queryable,
  name: Name,
  jobs: readonly { payload: Jobs[Name]; owner?: string }[],
): Promise<void> {
  if (jobs.length === 0) return
  const rule = JOB_RULES[name]
  const byKey = new Map(jobs.map((job) => [jobKey(name, job.payload), job]))
  const payloads = [...byKey.values()].map(({ payload }) => JSON.stringify(payload))
  const owners = [...byKey.values()].map(({ owner }) => (owner === undefined ? null : OWNER_FLAG + owner))
  await sql`
    select count(*) from graphile_worker.add_jobs(array(
      select (${name}, job.payload::json, null, null, ${rule.maxAttempts}, job.key, ${rule.priority},
        array_remove(array[${rule.queue}, job.owner]::text[], null))::graphile_worker.job_spec
      from unnest(${payloads}::text[], ${[...byKey.keys()]}::text[], ${owners}::text[]) as job (payload, key, owner)))`.execute(
    tx,
  )
}
