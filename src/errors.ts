/**
 * Every error the domain raises on purpose. No HTTP here: `http/error-response.ts` maps codes to statuses.
 *
 * | code | meaning |
 * | --- | --- |
 * | invalid | the request is wrong; `message` names the field and the remedy |
 * | unauthenticated | nobody is logged in, or the token is bad |
 * | forbidden | known, but not allowed |
 * | not-found | there is no such thing, or it is not this person's |
 * | conflict | the request contradicts what is stored |
 * | quota-exceeded | the user's quota would be exceeded |
 * | too-large | a limit on size was passed |
 * | too-slow | the body did not arrive in the time it has |
 * | storage-full | the local disk has no room |
 * | unavailable | a location or the database cannot be reached; trying again later helps |
 * | archived | the bytes are safe, but must be restored before they can be read; `details` has the state |
 * | corrupt | bytes are not what their digest says |
 * | last-copy | the operation would give up the last verified copy |
 */
export type ErrorCode =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'quota-exceeded'
  | 'too-large'
  | 'too-slow'
  | 'storage-full'
  | 'unavailable'
  | 'archived'
  | 'corrupt'
  | 'last-copy'

/** One mistake in one field of a request. */
export type FieldError = { path: string[]; message: string; code: string }

export class AppError extends Error {
  readonly code: ErrorCode
  readonly fields: FieldError[] | undefined
  /** Facts for programs, beside the message for people. */
  readonly details: Record<string, unknown> | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options?: { cause?: unknown; fields?: FieldError[]; details?: Record<string, unknown> },
  ) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.fields = options?.fields
    this.details = options?.details
  }
}

/** True for an `AppError` with that code. */
export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code)
}
