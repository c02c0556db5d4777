import { closeSync, openSync } from 'node:fs'
import type { App } from '../app.ts'
import { ConfigError } from '../config/mistakes.ts'
import { loadConfig } from '../config.ts'
import type { Listener } from '../database/listen.ts'
import { AppError } from '../errors.ts'
import { answerReloads, type ReloadOutcome } from '../queue/worker/reload-requests.ts'

/**
 * Reads the configuration again when the process gets SIGHUP, and when somebody asks all processes to
 * (`glassine storage reload`). One after another; a configuration with mistakes changes nothing.
 */
export async function reloadOnDemand(app: App, workerId: string, env: NodeJS.ProcessEnv): Promise<Listener> {
  let last: Promise<unknown> = Promise.resolve()
  const reload = () => {
    const outcome = last.then(() => reloadNow(app, env))
    last = outcome
    return outcome
  }
  onReload = () => void reload()
  const listener = await answerReloads(app, workerId, reload)
  return {
    async close() {
      onReload = null
      await listener.close()
      await last
    },
  }
}

async function reloadNow(app: App, env: NodeJS.ProcessEnv): Promise<ReloadOutcome> {
  const { log } = app
  try {
    const next = loadConfig(env)
    for (const warning of next.warnings) log.warn({}, warning)
    const outcome = await app.reload(next)
    const { isReloaded: _, problem: __, needsRestart, ...rest } = outcome
    log.info(rest, 'the configuration was read again')
    if (needsRestart.length > 0)
      log.warn({ keys: needsRestart }, `these take effect after a restart only: ${needsRestart.join(', ')}`)
    return outcome
  } catch (error) {
    const problem = (error as Error).message
    const isMistake = error instanceof ConfigError || error instanceof AppError
    log.error({ error: problem, ...(!isMistake && { err: error }) }, 'the configuration stays as it was')
    return {
      isReloaded: false,
      problem,
      added: [],
      changed: [],
      removed: [],
      troubles: [],
      needsRestart: [],
    }
  }
}

/** Null while the process starts or ends. */
let onReload: (() => void) | null = null

/**
 * SIGHUP has two senders: somebody who wants a reload, and the terminal that the process was started in and
 * that is gone. The second ends it, as it would without us.
 */
export function heedHangUp(): void {
  const hadTerminal = hasTerminal()
  process.on('SIGHUP', () => {
    if (hadTerminal && !hasTerminal()) process.kill(process.pid, 'SIGTERM')
    else onReload?.()
  })
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}
