/**
 * The one place where errors become HTTP. The body is Immich v3's: `{message}`, and `errors` where fields are
 * wrong.
 */
import { isDatabaseOutage } from '../database/outage.ts'
import type { ErrorCode, FieldError } from '../errors.ts'
import { isAppError } from '../errors.ts'
import { storageFailureOf } from '../placement/storage-failure.ts'
import { RetryLater } from '../queue/retry-later.ts'
import { isMalformedForm } from './bodies/malformed-form.ts'

export type ErrorBody = {
  message: string
  errors?: FieldError[]
  code?: ErrorCode
  [detail: string]: unknown
}

const STATUS: { [Code in ErrorCode]: number } = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  // Immich's phone app stops its backup on a 400 with exactly the message that goes with this.
  'quota-exceeded': 400,
  'too-large': 413,
  'too-slow': 408,
  'storage-full': 507,
  unavailable: 503,
  // Not 503: clients and proxies would try again at once, and hours pass before that helps.
  archived: 409,
  corrupt: 500,
  'last-copy': 409,
}

/** Seconds after which a client should ask again, where nothing better is known. */
const RETRY_AFTER_SECONDS = 10

/**
 * Seconds for `Retry-After` of a 503: until the location is tried again, if an error in the chain of causes
 * says when. At least 1, at most an hour.
 */
export function retryAfterSeconds(error: unknown, now: Date): number {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof RetryLater) return bounded(cause.delayMs)
    const { retryAt } = cause as Error & { retryAt?: unknown }
    if (!(retryAt instanceof Date)) continue
    return bounded(retryAt.getTime() - now.getTime())
  }
  return RETRY_AFTER_SECONDS
}

const bounded = (ms: number) => Math.min(3_600, Math.max(1, Math.ceil(ms / 1_000)))

/**
 * Status and body for any thrown value. The answer for an unforeseen error tells nothing of the cause: the
 * log has that.
 */
export function toErrorResponse(error: unknown): { status: number; body: ErrorBody } {
  if (isAppError(error)) {
    const body: ErrorBody = { message: error.message }
    if (error.fields) body.errors = error.fields
    if (error.details) Object.assign(body, { code: error.code, ...error.details })
    return { status: STATUS[error.code], body }
  }
  if (isDatabaseOutage(error)) {
    return {
      status: 503,
      body: { message: 'The database cannot be reached at the moment; try again shortly' },
    }
  }
  // What a job would put off. Its message names objects and locations, and stays in the log.
  if (error instanceof RetryLater)
    return { status: 503, body: { message: 'This is being worked on at the moment; try again shortly' } }
  const storage = storageOutage(error)
  if (storage !== null) return storage
  const status = clientErrorStatus(error)
  if (status !== null) return { status, body: { message: (error as Error).message } }
  return { status: 500, body: { message: 'Internal server error' } }
}

/**
 * Errors of `storage/` and of the file system: their messages name paths and buckets, and stay in the
 * log.
 */
function storageOutage(error: unknown): { status: number; body: ErrorBody } | null {
  switch (storageFailureOf(error)) {
    case 'full':
      return {
        status: STATUS['storage-full'],
        body: { message: 'There is no room left where files are kept' },
      }
    case 'unavailable': {
      const message = 'A place where files are kept cannot be reached at the moment; try again shortly'
      return { status: STATUS.unavailable, body: { message } }
    }
    default:
      return null
  }
}

/**
 * Errors of Fastify and its plugins that are the client's doing: malformed JSON, unknown media type, a
 * cut-off form.
 */
function clientErrorStatus(error: unknown): number | null {
  if (!(error instanceof Error)) return null
  const { statusCode, code } = error as Error & { statusCode?: number; code?: string }
  if (statusCode === undefined || statusCode < 400 || statusCode > 499) {
    return isMalformedForm(error) ? 400 : null
  }
  if (code === 'FST_INVALID_MULTIPART_CONTENT_TYPE' || code === 'FST_INVALID_JSON_FIELD_ERROR') return 400
  return statusCode
}
