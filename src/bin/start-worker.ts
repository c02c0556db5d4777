import type { App } from '../app.ts'
import { createStorageAnnouncer } from '../jobs/announce-storage.ts'
import { jobHandlers } from '../jobs/index.ts'
import { LIBRARY_CLOCK_REPAIRS } from '../library/server/clock-repairs.ts'
import { placementClockRepairs } from '../placement/ledger/clock-repairs.ts'
import { pendingMoves } from '../placement/ledger/pending-moves.ts'
import { enqueue } from '../queue/enqueue.ts'
import type { JobName } from '../queue/job-types.ts'
import { startWorker, type Worker } from '../queue/worker/worker.ts'

/** The worker of this process. Says what is going to be moved, and begins with it. */
export async function startAppWorker(app: App): Promise<Worker> {
  const worker = await startWorkerOf(app)
  // Not waited for: of a million files it takes a while to count them.
  void announceMoving(app)
  return worker
}

/** `only`: jobs of these names alone, for a command that does one kind of work. */
export async function startWorkerOf(app: App, only?: readonly JobName[]): Promise<Worker> {
  const { jobs } = app.config
  const announcer = createStorageAnnouncer(app.db, app.log)
  const worker = await startWorker({
    pool: app.pool,
    db: app.db,
    log: app.log,
    handlers: jobHandlers(app, announcer),
    concurrency: {
      processing: jobs.processingConcurrency,
      video: jobs.videoConcurrency,
      storage: jobs.storageConcurrency,
    },
    waits: {
      holdMs: app.placement.settings.holdMs,
      urlMs: 2 * app.placement.delivery.windowMs,
    },
    clockRepairs: [...placementClockRepairs(app.placement), ...LIBRARY_CLOCK_REPAIRS],
    // Hiccups of a bucket were bridged by the quick tries of storage before a job fails.
    backOff: { quickTries: 0, quickDelayMs: 0 },
    ...(only && { only }),
  })
  return {
    ...worker,
    async stop(graceMs) {
      await worker.stop(graceMs)
      await announcer.close()
    },
  }
}

/** Files whose place was changed in the configuration would else wait for the next sweep. */
async function announceMoving({ placement, db, log }: App): Promise<void> {
  try {
    for (const { to, label, count, bytes } of await pendingMoves(placement)) {
      log.info(
        { location: to, files: count, bytes },
        `${count} files are moved to ${label}, where they belong`,
      )
      await enqueue(db, 'sweep-placement', {})
    }
  } catch (error) {
    log.warn(
      { error: (error as Error).message },
      'what is to be moved could not be counted; the next sweep finds it',
    )
  }
}
