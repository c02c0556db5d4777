import { sql } from 'kysely'
import type { Database } from '../database/connect.ts'
import { enqueue } from './enqueue.ts'
import type { JobName } from './job-types.ts'

export type RecurringJob = {
  name:
    | 'check-locations'
    | 'sweep-placement'
    | 'sweep-library'
    | 'sweep-classes'
    | 'check-restores'
    | 'check-listings'
    | 'scrub-locations'
    | 'extend-locks'
    | 'collect-strays'
    | 'sweep-readings'
    | 'merge-counts'
    | 'name-places'
    | 'check-backups'
    | 'check-alerts'
    | 'write-catalogue'
    | 'make-memories'
  everyMs: number
}

export const RECURRING_JOBS: readonly RecurringJob[] = [
  { name: 'check-locations', everyMs: 60_000 },
  { name: 'sweep-placement', everyMs: 5 * 60_000 },
  { name: 'sweep-library', everyMs: 3_600_000 },
  { name: 'sweep-classes', everyMs: 24 * 3_600_000 },
  { name: 'check-restores', everyMs: 60_000 },
  // Looks whether one is due, or was cut.
  { name: 'check-listings', everyMs: 10 * 60_000 },
  // As far as the budget has grown meanwhile.
  { name: 'scrub-locations', everyMs: 10 * 60_000 },
  { name: 'extend-locks', everyMs: 10 * 60_000 },
  // Looks whether the hold time of a decision is over.
  { name: 'collect-strays', everyMs: 10 * 60_000 },
  { name: 'sweep-readings', everyMs: 60_000 },
  // Finds nothing in an empty index where no asset has changed.
  { name: 'merge-counts', everyMs: 60_000 },
  // Looks whether any coordinates wait: an index that is empty.
  { name: 'name-places', everyMs: 60_000 },
  // Looks whether one is due, or one too many.
  { name: 'check-backups', everyMs: 10 * 60_000 },
  { name: 'check-alerts', everyMs: 5 * 60_000 },
  // Looks whether what changed has waited long enough.
  { name: 'write-catalogue', everyMs: 60_000 },
  // Looks whether a new day has begun.
  { name: 'make-memories', everyMs: 3_600_000 },
]

/**
 * Makes the rows of `job_schedule`; a job that is new is due at once, and so is one whose interval became
 * shorter.
 */
export async function prepareSchedule(db: Database, jobs: readonly RecurringJob[]): Promise<void> {
  if (jobs.length === 0) return
  await db
    .insertInto('job_schedule')
    .values(jobs.map((job) => ({ job: job.name, next_at: sql<Date>`now()` })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  // Further away than they ever are: a clock that was ahead has said when.
  for (const { name, everyMs } of jobs) {
    await db
      .updateTable('job_schedule')
      .set({ next_at: sql<Date>`now()` })
      .where('job', '=', name)
      .where('next_at', '>', sql<Date>`now() + ${everyMs} * interval '1 millisecond'`)
      .execute()
  }
}

/**
 * Enqueues what is due. Of several workers one wins the row. A job that is late runs once, not once for every
 * time it was missed, and its key keeps a paused one from piling up.
 */
export async function enqueueDue(db: Database, jobs: readonly RecurringJob[]): Promise<JobName[]> {
  if (!(await isAnyDue(db))) return []
  return db.transaction().execute(async (tx) => {
    const enqueued: JobName[] = []
    for (const { name, everyMs } of jobs) {
      const due = await tx
        .updateTable('job_schedule')
        .set({ next_at: sql<Date>`now() + ${everyMs} * interval '1 millisecond'` })
        .where('job', '=', name)
        .where('next_at', '<=', sql<Date>`now()`)
        .returning('job')
        .execute()
      if (due.length === 0) continue
      await enqueue(tx, name, {})
      enqueued.push(name)
    }
    return enqueued
  })
}

/** Asked every two seconds by every worker, so it takes no lock. */
async function isAnyDue(db: Database): Promise<boolean> {
  const due = await db
    .selectFrom('job_schedule')
    .select('job')
    .where('next_at', '<=', sql<Date>`now()`)
    .executeTakeFirst()
  return due !== undefined
}
