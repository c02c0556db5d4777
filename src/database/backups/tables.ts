/** Which tables a backup holds: all of ours, but for those that are named here with a reason. */
import { OWNERS } from '../table-owners.ts'

/** Tables whose rows mean nothing after a restore. */
export const NOT_BACKED_UP: Readonly<Record<string, string>> = {
  worker_heartbeat: 'says which processes of the old machine were alive',
  stray_sighting: 'what a listing saw, which may have been put to use since',
  stray: 'a restored ledger no longer knows what was put to use since: it looks twice again',
  collection: 'a decision about files that may have been put to use since the backup',
  collection_item: 'a decision about files that may have been put to use since the backup',
  sync_session: 'a phone may have been told of what came after the backup: without a row it starts anew',
  sync_checkpoint: 'goes with sync_session',
  sync_removal: 'what a phone that starts anew need not throw away',
}

/**
 * Those of graphile-worker that the section `glassine_jobs` stands for (`queue/backup-jobs.ts`), and the
 * others.
 */
export const QUEUE_TABLES: Readonly<Record<string, string>> = {
  _private_jobs: 'in the backup',
  _private_tasks: 'in the backup, as the names of the jobs',
  _private_job_queues: 'in the backup, as the queues of the jobs',
  _private_known_crontabs: 'not used: our recurring jobs are in job_schedule',
  migrations: 'made anew by the package itself',
}

/** In the order in which they are dumped: by name. */
export function backedUpTables(): string[] {
  return Object.keys(OWNERS)
    .filter((name) => !name.endsWith('()') && name !== 'graphile_worker' && !(name in NOT_BACKED_UP))
    .sort()
}
