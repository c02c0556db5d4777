import { ConfigError } from '../config/mistakes.ts'
import { AppError } from '../errors.ts'
import { createLog } from '../log.ts'

/** Docker sends SIGKILL 10 s after SIGTERM; by then everything must be over, the embedded PostgreSQL included. */
const STOP_LIMIT_MS = 9_500

/** Runs `start`; a mistake of the person who started us is told in plain words, without a stack. */
export async function startOrExplain<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`)
    process.exit(1)
  }
}

function explain(error: unknown): string {
  if (error instanceof ConfigError) return error.message
  if (error instanceof AppError) return `Glassine does not start. ${error.message}`
  const { code, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string }
  if (code === 'EADDRINUSE') {
    return `Glassine does not start. Port ${port} of ${address} is in use: end what uses it, or set GLASSINE_PORT to another one.`
  }
  if (code === 'EACCES' && port !== undefined) {
    return `Glassine does not start. Port ${port} needs privileges: set GLASSINE_PORT to one above 1023.`
  }
  if (code === 'EADDRNOTAVAIL') {
    return `Glassine does not start. This machine has no address ${address}: set GLASSINE_HOST to one of its own, or 0.0.0.0.`
  }
  if ((code === 'EACCES' || code === 'EROFS') && error instanceof Error) {
    return `Glassine does not start. ${error.message}: make it writable, or set GLASSINE_DATA to another folder.`
  }
  return `Glassine does not start. ${error instanceof Error ? error.stack : String(error)}`
}

/**
 * Ends in good order on SIGINT or SIGTERM, within 10 s; at once on the second signal. An error that nobody caught ends it
 * in good order too, with exit code 1: what the process believes about itself may be wrong by then.
 */
export function stopOnSignal(steps: { stop(withinMs: number): Promise<void>; kill(): void }): void {
  const log = createLog('info')
  let isStopping = false

  const stop = (exitCode: number) => {
    isStopping = true
    setTimeout(() => {
      log.error({}, 'stopping took too long; leaving')
      steps.kill()
      process.exit(1)
    }, STOP_LIMIT_MS).unref()
    steps.stop(STOP_LIMIT_MS - 500).then(
      () => process.exit(exitCode),
      (error) => {
        log.error({ err: error }, 'stopping failed')
        steps.kill()
        process.exit(1)
      },
    )
  }

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (isStopping) {
        steps.kill()
        process.exit(signal === 'SIGINT' ? 130 : 143)
      }
      log.info({ signal }, 'stopping; a second signal ends it at once')
      stop(0)
    })
  }
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error) => {
      log.error({ err: error, event }, 'an error that nobody caught; stopping')
      if (!isStopping) stop(1)
    })
  }
}
