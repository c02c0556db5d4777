import { type App, buildApp } from '../app.ts'
import { loadConfig } from '../config.ts'
import { createLog, logReader } from '../log.ts'
import type { Worker } from '../queue/worker/worker.ts'
import { startOrExplain, stopOnSignal } from './lifecycle.ts'
import { startAppWorker } from './start-worker.ts'

const JOB_GRACE_MS = 5_000

/** A worker only, beside servers on the same database. */
export async function runWorker(env: NodeJS.ProcessEnv): Promise<void> {
  const starting = startOrExplain(() => start(env))
  let app: App | undefined
  const steps = {
    async stop(withinMs: number) {
      const stopAt = performance.now() + withinMs
      const running = await starting
      await running.worker.stop(JOB_GRACE_MS)
      await running.app.close(stopAt - performance.now())
    },
    kill: () => app?.kill(),
  }
  stopOnSignal(steps, logReader(env.NO_COLOR))
  const running = await starting
  app = running.app
  app.log.info({ worker: running.worker.id }, 'the worker runs')
}

async function start(env: NodeJS.ProcessEnv): Promise<{ app: App; worker: Worker }> {
  const config = loadConfig(env)
  const app = await buildApp(config, createLog(config.logLevel, logReader(env.NO_COLOR)))
  try {
    return { app, worker: await startAppWorker(app) }
  } catch (error) {
    await app.close()
    throw error
  }
}
