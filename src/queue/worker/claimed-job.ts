/**
 * The life of one claimed job, in SQL on graphile-worker's tables: claim, then complete, fail, postpone or
 * give back.
 *
 * A job whose key was enqueued again while it ran is *superseded*: graphile-worker takes its key away, and
 * the newer one does the work. Whatever its end, it is then removed rather than run again. So is a dead one
 * that is enqueued again, which `queues` and `failures` leave out, and `forgetOldFailures` removes.
 *
 * A claim does not wait for the disk: a crash takes back only those of jobs that still run, and they run
 * again anyway. Ends do wait: without, a crash of PostgreSQL gave back all that had ended within half a
 * second (32 jobs of 8 at a time).
 */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { COMMITTING_LATER } from '../../database/statements/commit-later.ts'
import { compileOnce } from '../../database/statements/compile-once.ts'
import { OWNER_FLAG } from '../enqueue.ts'
import { solveFailures, solveUnavailable } from '../failures.ts'
import { type JobName, NEVER_PAUSED, type QueueName } from '../job-types.ts'

export type ClaimedJob = {
  id: string
  name: JobName
  payload: Record<string, unknown>
  /** Counts this one: 1 is the first. */
  attempt: number
  maxAttempts: number
  key: string | null
  /** Null: nobody's, or everybody's. */
  owner: string | null
}

/** Jobs of these names, so many at most, of nobody in `avoid`. */
export type Room = { names: readonly JobName[]; jobs: number; avoid: readonly string[] }

/**
 * Locks due jobs for each of the rooms, the most urgent first, none of a paused queue; all in one statement.
 */
export async function claimJobs(
  db: Database,
  workerId: string,
  rooms: readonly Room[],
): Promise<ClaimedJob[]> {
  // No array of arrays: those of PostgreSQL are rectangles.
  const wanted = JSON.stringify(
    rooms.map((room) => ({ ...room, avoid: room.avoid.map((owner) => OWNER_FLAG + owner) })),
  )
  return claim(db, { workerId, wanted })
}

const UNPAUSED = sql`${sql.lit(`{${NEVER_PAUSED.join(',')}}`)}::text[]`

const claim = compileOnce<{ workerId: string; wanted: string }, ClaimedJob>(
  (_, value) => sql<ClaimedJob>`
    with due as (
      select due.id from jsonb_to_recordset(${value('wanted')}::jsonb) as room (names text[], jobs int, avoid text[])
      cross join lateral (
        select id from graphile_worker._private_jobs
        where is_available and run_at <= now()
          and task_id = any(array(
            select id from graphile_worker._private_tasks where identifier = any(room.names)))
          and (room.names <@ ${UNPAUSED} or (flags ?| array(select queue from paused_queue)) is not true)
          and (room.avoid = '{}' or (flags ?| room.avoid) is not true)
        order by priority, run_at
        limit room.jobs
        for update skip locked) as due
    )
    update graphile_worker._private_jobs as job
    set attempts = job.attempts + 1, locked_by = ${value('workerId')}, locked_at = now()
    from due, graphile_worker._private_tasks as task
    where job.id = due.id and task.id = job.task_id and ${COMMITTING_LATER}
    returning job.id::text as id, task.identifier as name, job.payload, job.attempts as attempt,
      job.max_attempts as "maxAttempts", job.key,
      (select substr(flag, ${OWNER_FLAG.length + 1}) from jsonb_object_keys(job.flags) as flag
       where starts_with(flag, ${OWNER_FLAG})) as owner`,
)

/**
 * The job is done, and what failed of it before is solved. False when it was no longer this worker's: it
 * stalled so long that it was taken for dead.
 */
export async function completeJob(db: Queryable, workerId: string, job: ClaimedJob): Promise<boolean> {
  const removed = sql`
    delete from graphile_worker._private_jobs where id = ${job.id} and locked_by = ${workerId} returning id`
  const solved =
    job.key === null
      ? sql``
      : sql`, solved as (${solveFailures(job.key, sql<boolean>`exists (select from removed)`)})`
  const { rows } = await sql`with removed as (${removed})${solved} select id from removed`.execute(db)
  return rows.length === 1
}

/** Records the failure and unlocks the job for its next attempt, in one transaction. */
export async function failJob(
  db: Database,
  workerId: string,
  job: ClaimedJob,
  failure: { queue: QueueName; error: string; code: string; delayMs: number; isFinal: boolean },
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    await tx
      .insertInto('job_failure')
      .values({
        job: job.name,
        queue: failure.queue,
        payload: JSON.stringify(job.payload),
        attempt: job.attempt,
        error: failure.error,
        is_final: failure.isFinal,
        key: job.key,
        code: failure.code,
      })
      .execute()
    if (await removeSuperseded(tx, workerId, job)) return true
    // One that is tried only once comes back by itself: dead rows of it would only pile up.
    if (job.maxAttempts === 1) return remove(tx, workerId, job)
    const { rows } = await sql`
      update graphile_worker._private_jobs
      set last_error = ${failure.error}, run_at = now() + ${failure.delayMs} * interval '1 millisecond',
        locked_by = null, locked_at = null
      where id = ${job.id} and locked_by = ${workerId} returning id`.execute(tx)
    return rows.length === 1
  })
}

/**
 * Unlocks the job to run again after `delayMs`, or when it is woken since its place is back. The attempt
 * counts for its back-off, but no outage is so long that it uses up the attempts.
 */
export async function awaitPlace(
  db: Database,
  workerId: string,
  job: ClaimedJob,
  wait: { error: string; delayMs: number },
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    if (await removeSuperseded(tx, workerId, job)) return true
    if (job.maxAttempts === 1) return remove(tx, workerId, job)
    if (job.key !== null) await solveUnavailable(tx, job.key)
    const { rows } = await sql`
      update graphile_worker._private_jobs
      set last_error = ${wait.error}, run_at = now() + ${wait.delayMs} * interval '1 millisecond',
        attempts = least(attempts, max_attempts - 1), locked_by = null, locked_at = null
      where id = ${job.id} and locked_by = ${workerId} returning id`.execute(tx)
    return rows.length === 1
  })
}

async function remove(db: Queryable, workerId: string, job: ClaimedJob): Promise<boolean> {
  const { rows } = await sql`
    delete from graphile_worker._private_jobs where id = ${job.id} and locked_by = ${workerId} returning id`.execute(
    db,
  )
  return rows.length === 1
}

/** Unlocks the job to run again after `delayMs`; the attempt is not counted. */
export async function postponeJob(
  db: Database,
  workerId: string,
  job: ClaimedJob,
  delayMs: number,
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    if (await removeSuperseded(tx, workerId, job)) return true
    const { rows } = await sql`
      update graphile_worker._private_jobs
      set attempts = greatest(0, attempts - 1), run_at = now() + ${delayMs} * interval '1 millisecond',
        locked_by = null, locked_at = null
      where id = ${job.id} and locked_by = ${workerId} returning id`.execute(tx)
    return rows.length === 1
  })
}

/**
 * Locks the job first, and so waits for a transaction that supersedes it just now. Where the row was only
 * looked at, that transaction came between the look and what followed, and a job without a key ran on beside
 * the one that had replaced it.
 */
async function removeSuperseded(tx: Tx, workerId: string, job: ClaimedJob): Promise<boolean> {
  const { rows } = await sql<{ key: string | null }>`
    select key from graphile_worker._private_jobs
    where id = ${job.id} and locked_by = ${workerId} for update`.execute(tx)
  if (rows[0] === undefined || rows[0].key !== null) return false
  return remove(tx, workerId, job)
}

/**
 * Unlocks jobs of this worker that it does not know to be running: the answer to the claim was lost with its
 * connection. Only those claimed more than `olderThanMs` ago, so that no claim in flight is meant.
 */
export async function releaseUnknownJobs(
  db: Database,
  workerId: string,
  runningIds: string[],
  olderThanMs: number,
): Promise<number> {
  const isMeant = sql`locked_by = ${workerId} and id <> all(${runningIds}::bigint[])
    and locked_at < now() - ${olderThanMs} * interval '1 millisecond'`
  return db.transaction().execute(async (tx) => {
    await sql`select id from graphile_worker._private_jobs where ${isMeant} for update`.execute(tx)
    await sql`delete from graphile_worker._private_jobs where ${isMeant} and key is null`.execute(tx)
    const { rows } = await sql`
      update graphile_worker._private_jobs
      set attempts = greatest(0, attempts - 1), locked_by = null, locked_at = null
      where ${isMeant} returning id`.execute(tx)
    return rows.length
  })
}

/** Unlocks all that this worker still holds, at its end; the attempts are not counted. */
export async function releaseAllJobs(db: Database, workerId: string): Promise<number> {
  return releaseUnknownJobs(db, workerId, [], -1)
}
