import { createLog, type LogReader } from '../log.ts'
import { explain } from './explain.ts'

/**
 * Docker sends SIGKILL 10 s after SIGTERM; by then everything must be over, the embedded PostgreSQL included.
 */
const STOP_LIMIT_MS = 9_500

/** Runs `start`; a mistake of the person who started us is told in plain words, without a stack. */
export async function startOrExplain<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (error) {
    process.stderr.write(`${explain(error, 'Glassine does not start. ')}\n`)
    process.exit(1)
  }
}

/**
 * Ends in good order on SIGINT or SIGTERM, within 10 s; at once on the second signal. An error that nobody
 * caught ends it in good order too, with exit code 1: what the process believes about itself may be wrong by
 * then.
 */
export function stopOnSignal(
  steps: { stop(withinMs: number): Promise<void>; kill(): void },
  reader: LogReader,
): void {
  const log = createLog('info', reader)
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
