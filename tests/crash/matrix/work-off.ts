/**
 * A worker without its clock: it claims jobs, runs them and ends them as the product's, until none is left.
 */
import { sql } from 'kysely'
import { jobHandlers } from '../../../src/jobs/index.ts'
import { silentLog } from '../../../src/log.ts'
import type { MediaTools } from '../../../src/media/processes/tools.ts'
import { JOB_RULES, type JobName } from '../../../src/queue/job-types.ts'
import { laterInMs } from '../../../src/queue/retry-later.ts'
import {
  type ClaimedJob,
  claimJobs,
  completeJob,
  failJob,
  postponeJob,
} from '../../../src/queue/worker/claimed-job.ts'
import { makeWorkerId } from '../../../src/queue/worker/worker-id.ts'
import type { Site } from './site.ts'

/** Small: what is made of a picture is not what is tested. */
const PICTURES = { thumbnailPx: 64, previewPx: 96 }
/** Jobs that only other jobs can end, or time, would be run for ever. */
const MAX_ROUNDS = 25

/** `errors`: of jobs whose last try failed or was put off, as `name: message`. */
export type WorkedOff = { jobs: number; errors: string[] }

/**
 * Runs jobs of these names (absent: all) that are due; with `isTimeOver`, also those that wait. A job that
 * fails or waits is run again in the next round.
 */
export async function workOff(
  { db, placement }: Site,
  mediaTools: MediaTools,
  { names, isTimeOver = false }: { names?: readonly JobName[]; isTimeOver?: boolean } = {},
): Promise<WorkedOff> {
  const handlers = jobHandlers({ config: { media: PICTURES }, log: silentLog, db, placement, mediaTools })
  const workerId = await makeWorkerId()
  const room = { names: names ?? (Object.keys(JOB_RULES) as JobName[]), jobs: 50, avoid: [] }
  const failed = new Map<string, string>()
  let jobs = 0
  const told = () => ({ jobs, errors: [...failed.values()] })
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    if (isTimeOver) await sql`update graphile_worker._private_jobs set run_at = now()`.execute(db)
    const claimed = await claimJobs(db, workerId, [room])
    if (claimed.length === 0) return told()
    for (const job of claimed) {
      const error = await run(job)
      jobs += 1
      if (error === null) failed.delete(job.id)
      else failed.set(job.id, `${job.name}: ${error.message}`)
    }
  }
  return told()

  async function run(job: ClaimedJob): Promise<Error | null> {
    const handler = handlers[job.name] as (payload: object, context: object) => Promise<void>
    try {
      await handler(job.payload, { signal: new AbortController().signal, attempt: job.attempt })
    } catch (error) {
      const failure = error as Error
      if (laterInMs(failure) !== null) await postponeJob(db, workerId, job, 0)
      else
        await failJob(db, workerId, job, {
          queue: JOB_RULES[job.name].queue,
          error: failure.message,
          code: 'test',
          delayMs: 0,
          isFinal: false,
        })
      return failure
    }
    await completeJob(db, workerId, job)
    return null
  }
}

/** As `workOff`, where nothing is expected to fail. */
export async function workOffWell(...given: Parameters<typeof workOff>): Promise<void> {
  const { errors } = await workOff(...given)
  if (errors.length > 0) throw new Error(errors.join('; '))
}
