import type { App } from '../app.ts'
import { jobHandlers } from '../jobs/index.ts'
import { movingFiles } from '../placement/moving.ts'
import { enqueue } from '../queue/enqueue.ts'
import { startWorker, type Worker } from '../queue/worker.ts'

/** The worker of this process. Says what is going to be moved, and begins with it. */
export async function startAppWorker(app: App): Promise<Worker> {
  const { jobs } = app.config
  const worker = await startWorker({
    pool: app.pool,
    db: app.db,
    log: app.log,
    handlers: jobHandlers(app),
    concurrency: {
      processing: jobs.processingConcurrency,
      video: jobs.videoConcurrency,
      storage: jobs.storageConcurrency,
    },
    // Hiccups of a bucket were bridged by the quick tries of storage before a job fails.
    backOff: { quickTries: 0, quickDelayMs: 0 },
  })
  // Not waited for: of a million files it takes a while to count them.
  void announceMoving(app)
  return worker
}

/** Files whose place was changed in the configuration would else wait for the next sweep. */
async function announceMoving({ placement, db, log }: App): Promise<void> {
  try {
    for (const { to, label, count, bytes } of await movingFiles(placement)) {
      log.info(
        { location: to, files: count, bytes },
        `${count} files are moved to ${label}, where they belong`,
      )
      await enqueue(db, 'sweep-placement', {}, { key: 'recurring sweep-placement' })
    }
  } catch (error) {
    log.warn(
      { error: (error as Error).message },
      'what is to be moved could not be counted; the next sweep finds it',
    )
  }
}
