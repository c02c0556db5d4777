/** Thrown by a job handler: not now, but not a failure either. The job runs again after `delayMs` and no attempt is counted. */
export class RetryLater extends Error {
  readonly delayMs: number

  constructor(message: string, delayMs: number) {
    super(message)
    this.name = 'RetryLater'
    this.delayMs = delayMs
  }
}
