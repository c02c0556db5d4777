/**
 * A worker in a process of its own, to be killed: says when a job began and never ends it. argv: database
 * URL.
 */
import { connectDatabase } from '../../src/database/connect.ts'
import { silentLog } from '../../src/log.ts'
import { startWorker } from '../../src/queue/worker/worker.ts'
import { testHandlers } from './handlers.ts'

const { pool, db } = connectDatabase(process.argv[2] ?? '', silentLog)
await startWorker({
  pool,
  db,
  log: silentLog,
  concurrency: { processing: 2, video: 1, storage: 2 },
  backOff: { quickTries: 3, quickDelayMs: 10 },
  recurring: [],
  handlers: testHandlers({
    'process-asset': ({ assetId }) => {
      process.stdout.write(`began ${assetId}\n`)
      return new Promise(() => undefined)
    },
  }),
})
