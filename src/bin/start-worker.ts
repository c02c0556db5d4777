import type { App } from '../app.ts'
import { jobHandlers } from '../jobs/index.ts'
import { startWorker, type Worker } from '../queue/worker.ts'

/** The worker of this process. */
export function startAppWorker(app: App): Promise<Worker> {
  const { jobs } = app.config
  return startWorker({
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
}
