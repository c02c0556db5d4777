import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Log } from '../../log.ts'
import { QUEUE_NAMES } from '../queue-names.ts'
import { isKnownDead, makeWorkerId } from './worker-id.ts'

export type Heartbeat = { workerId: string; stop(): Promise<void> }

export type HeartbeatTimes = {
  beatMs: number
  /** A worker that has not beaten for so long is dead. */
  deadAfterMs: number
}
/** With both, a killed worker's jobs run again after at most 40 s. */
export const HEARTBEAT_TIMES: HeartbeatTimes = { beatMs: 10_000, deadAfterMs: 30_000 }

/**
 * Beats for this worker and unlocks the jobs of dead ones, whose locks graphile-worker would keep for four
 * hours.
 * `onBeat` is called after each beat.
 */
export async function startHeartbeat(
  db: Database,
  workerId: string,
  times: HeartbeatTimes,
  log: Log,
  onBeat: () => Promise<void>,
): Promise<Heartbeat> {
  let beatenAt = Number.NEGATIVE_INFINITY
  let steadySince = 0

  async function beat(): Promise<void> {
    await sql`
      insert into worker_heartbeat (worker_id) values (${workerId})
      on conflict (worker_id) do update set beaten_at = now()`.execute(db)
    const now = performance.now()
    // After an outage of the database every heartbeat is old. The process that comes back first must not
    // declare the others dead, so it judges by time only once it has itself been beating for as long as they
    // are given.
    if (now - beatenAt > 2 * times.beatMs) steadySince = now
    beatenAt = now
    await buryDead(db, workerId, now - steadySince >= times.deadAfterMs ? times.deadAfterMs : null, log)
    await onBeat()
  }

  await beat()
  let isStopped = false
  let beating: Promise<void> | null = null
  const timer = setInterval(() => {
    if (beating !== null) return // the last one still waits for the database
    beating = beat()
      .catch((error: Error) => log.warn({ error: error.message }, 'the heartbeat of the worker failed'))
      .finally(() => {
        beating = null
      })
  }, times.beatMs)

  return {
    workerId,
    async stop() {
      if (isStopped) return
      isStopped = true
      clearInterval(timer)
      await beating
      await db.deleteFrom('worker_heartbeat').where('worker_id', '=', workerId).execute()
    },
  }
}

/**
 * Takes dead workers off the list and unlocks their jobs; `deadAfterMs` null: only those whose process is
 * known to be gone.
 */
async function buryDead(db: Database, ownId: string, deadAfterMs: number | null, log: Log): Promise<void> {
  // Workers with a lock but without a heartbeat count from the claim: they died before the first beat.
  const { rows } = await sql<{ workerId: string; silentMs: number }>`
    select coalesce(worker_id, locked_by) as "workerId",
      (extract(epoch from now() - coalesce(beaten_at, claimed_at)) * 1000)::float8 as "silentMs"
    from worker_heartbeat
    full join (select locked_by, max(locked_at) as claimed_at from graphile_worker.jobs
               where locked_by is not null group by locked_by) as holder on locked_by = worker_id
    where coalesce(worker_id, locked_by) <> ${ownId}`.execute(db)
  const dead: string[] = []
  for (const { workerId, silentMs } of rows) {
    const isSilent = deadAfterMs !== null && silentMs > deadAfterMs
    if (isSilent || (await isKnownDead(workerId, ownId))) dead.push(workerId)
  }
  if (dead.length === 0) return

  const released = await db.transaction().execute(async (tx) => {
    // Waits for whoever supersedes one just now.
    await sql`
      select id from graphile_worker._private_jobs where locked_by = any(${dead}) for update`.execute(tx)
    // A job whose last attempt it was stays dead, and that must be seen.
    await sql`
      insert into job_failure (job, queue, payload, attempt, error, is_final, key, code)
      select job.task_identifier, coalesce((select min(flag) from jsonb_object_keys(job.flags) as flag
          where flag = any(${QUEUE_NAMES as string[]})), 'maintenance'),
        raw.payload::jsonb, job.attempts, 'its worker died while it ran', job.attempts >= job.max_attempts,
        job.key, 'interrupted'
      from graphile_worker.jobs as job join graphile_worker._private_jobs as raw using (id)
      where job.locked_by = any(${dead})`.execute(tx)
    // Of a superseded job the newer one does the work; unlocked, it would be shown as failed for 30 days.
    await sql`
      delete from graphile_worker._private_jobs where locked_by = any(${dead}) and key is null`.execute(tx)
    const { rows: jobs } = await sql`
      select id from graphile_worker.jobs where locked_by = any(${dead})`.execute(tx)
    await sql`select graphile_worker.force_unlock_workers(${dead})`.execute(tx)
    await tx.deleteFrom('worker_heartbeat').where('worker_id', 'in', dead).execute()
    return jobs.length
  })
  log.warn({ workers: dead, jobs: released }, 'a worker died; its jobs run again')
}

/**
 * Whether somebody takes jobs: a worker that has beaten lately, and whose process is not known to be gone.
 */
export async function livesAnyWorker(
  db: Database,
  times: HeartbeatTimes = HEARTBEAT_TIMES,
): Promise<boolean> {
  const { rows } = await sql<{ workerId: string }>`
    select worker_id as "workerId" from worker_heartbeat
    where beaten_at > now() - ${times.deadAfterMs} * interval '1 millisecond'`.execute(db)
  const here = await makeWorkerId()
  for (const { workerId } of rows) if (!(await isKnownDead(workerId, here))) return true
  return false
}
