/**
 * The jobs, for backups of the database: they are enqueued in the transactions that make them necessary, so
 * they are as much a part of its state as any row.
 */
import type { BackupSection } from '../database/backups/format.ts'

/**
 * Jobs without a key are left out: a newer job does their work (`claimed-job.ts`). One that ran counts as not
 * begun, since its worker is not there after a restore; but for the one that makes this backup, which is done
 * then. Ids are given anew, in the same order.
 */
export const JOBS_SECTION: BackupSection = {
  name: 'glassine_jobs',
  columns: [
    ...['task', 'queue', 'payload', 'priority', 'max_attempts', 'attempts', 'last_error'],
    ...['created_at', 'updated_at', 'run_at', 'key', 'revision', 'flags'],
  ],
  select: `select task.identifier, queue.queue_name, job.payload, job.priority, job.max_attempts,
      greatest(0, job.attempts - (job.locked_at is not null)::int), job.last_error, job.created_at, job.updated_at,
      job.run_at, job.key, job.revision, job.flags
    from graphile_worker._private_jobs job join graphile_worker._private_tasks task on task.id = job.task_id
    left join graphile_worker._private_job_queues queue on queue.id = job.job_queue_id
    where job.key is not null and not (task.identifier = 'back-up-database' and job.locked_at is not null)
    order by job.id`,
  prepare: `create temporary table glassine_jobs (position bigint generated always as identity,
    task text not null, queue text, payload json, priority smallint, max_attempts smallint, attempts smallint,
    last_error text, created_at timestamptz, updated_at timestamptz, run_at timestamptz, key text, revision int,
    flags jsonb) on commit drop`,
  finish: `with tasks as (
      insert into graphile_worker._private_tasks (identifier) select distinct task from pg_temp.glassine_jobs
      on conflict (identifier) do update set identifier = excluded.identifier returning id, identifier),
    queues as (
      insert into graphile_worker._private_job_queues (queue_name)
      select distinct queue from pg_temp.glassine_jobs where queue is not null
      on conflict (queue_name) do update set queue_name = excluded.queue_name returning id, queue_name)
    insert into graphile_worker._private_jobs (task_id, job_queue_id, payload, priority, max_attempts, attempts,
      last_error, created_at, updated_at, run_at, key, revision, flags)
    select tasks.id, queues.id, payload, priority, max_attempts, attempts, last_error, created_at, updated_at, run_at,
      key, revision, flags
    from pg_temp.glassine_jobs job join tasks on tasks.identifier = job.task
    left join queues on queues.queue_name = job.queue
    order by position`,
}
