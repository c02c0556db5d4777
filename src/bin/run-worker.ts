import { type App, buildApp } from '../app.ts'
import { loadConfig } from '../config.ts'
import type { Listener } from '../database/listen.ts'
import { createLog, logReader } from '../log.ts'
import type { Worker } from '../queue/worker/worker.ts'
import { startOrExplain, stopOnSignal } from './lifecycle.ts'
import { heedHangUp, reloadOnDemand } from './reload.ts'
import { startAppWorker } from './start-worker.ts'

const JOB_GRACE_MS = 5_000

/** A worker only, beside servers on the same database. */
export async function runWorker(env: NodeJS.ProcessEnv): Promise<void> {
  heedHangUp()
  const starting = startOrExplain(() => start(env))
  let app: App | undefined
  const steps = {
    async stop(withinMs: number) {
      const stopAt = performance.now() + withinMs
      const running = await starting
      await Promise.all([running.reloads.close(), running.worker.stop(JOB_GRACE_MS)])
      await running.app.close(stopAt - performance.now())
    },
    kill: () => app?.kill(),
  }
  stopOnSignal(steps, logReader(env.NO_COLOR))
  const running = await starting
  app = running.app
  app.log.info({ worker: running.worker.id }, 'the worker runs')
}

async function start(env: NodeJS.ProcessEnv): Promise<{ app: App; worker: Worker; reloads: Listener }> {
  const config = loadConfig(env)
  const app = await buildApp(config, createLog(config.logLevel, logReader(env.NO_COLOR)))
  try {
    const worker = await startAppWorker(app)
    return { app, worker, reloads: await reloadOnDemand(app, worker.id, env) }
  } catch (error) {
    await app.close()
    throw error
  }
}
