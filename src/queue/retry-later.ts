import { isAppError } from '../errors.ts'

/**
 * Thrown by a job handler: not now, but not a failure either. The job runs again after `delayMs` and no
 * attempt is counted.
 */
export class RetryLater extends Error {
  readonly delayMs: number

  constructor(message: string, delayMs: number) {
    super(message)
    this.name = 'RetryLater'
    this.delayMs = delayMs
  }
}

/**
 * In how many milliseconds a job that threw this is to run again; null: it failed. Also of an error that says
 * itself when trying again makes sense (`details.waitMs`): a moved installation that waits is no failure of
 * 200 jobs.
 */
export function laterInMs(error: Error): number | null {
  if (error instanceof RetryLater) return error.delayMs
  const waitMs = isAppError(error) ? error.details?.waitMs : undefined
  return typeof waitMs === 'number' ? waitMs : null
}
