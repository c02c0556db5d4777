/** The one place where errors become HTTP. The body is Immich v3's: `{message}`, and `errors` where fields are wrong. */
import type { ErrorCode, FieldError } from '../errors.ts'
import { isAppError } from '../errors.ts'

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
  'storage-full': 507,
  unavailable: 503,
  // Not 503: clients and proxies would try again at once, and hours pass before that helps.
  archived: 409,
  corrupt: 500,
  'last-copy': 409,
}

/** Seconds after which a client asks again where nothing better is known. */
const RETRY_AFTER_SECONDS = 10

/**
 * Seconds for `Retry-After` of a 503: until the place is tried again, where an error in the chain of causes says when. At least
 * 1, at most an hour.
 */
export function retryAfterSeconds(error: unknown, now: Date): number {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { retryAt } = cause as Error & { retryAt?: unknown }
    if (!(retryAt instanceof Date)) continue
    return Math.min(3_600, Math.max(1, Math.ceil((retryAt.getTime() - now.getTime()) / 1_000)))
  }
  return RETRY_AFTER_SECONDS
}

/** Status and body for any thrown value. What we did not foresee says nothing of its inside: the log has that. */
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
  const storage = storageOutage(error)
  if (storage !== null) return storage
  const status = clientErrorStatus(error)
  if (status !== null) return { status, body: { message: (error as Error).message } }
  return { status: 500, body: { message: 'Internal server error' } }
}

/** Errors of the storage room and of the file system, by name: their messages name paths and buckets and stay in the log. */
function storageOutage(error: unknown): { status: number; body: ErrorBody } | null {
  if (!(error instanceof Error)) return null
  const { kind, code } = error as Error & { kind?: string; code?: string }
  if (code === 'ENOSPC' || code === 'EDQUOT' || (error.name === 'StorageError' && kind === 'too-large')) {
    return { status: STATUS['storage-full'], body: { message: 'There is no room left where files are kept' } }
  }
  if (error.name === 'StorageError' && kind === 'unavailable') {
    const message = 'A place where files are kept cannot be reached at the moment; try again shortly'
    return { status: STATUS.unavailable, body: { message } }
  }
  return null
}

/** Errors of Fastify and its plugins that are the client's doing: malformed JSON, unknown media type, a cut-off form. */
function clientErrorStatus(error: unknown): number | null {
  if (!(error instanceof Error)) return null
  const { statusCode, code } = error as Error & { statusCode?: number; code?: string }
  if (statusCode === undefined || statusCode < 400 || statusCode > 499) {
    // Busboy's own complaints carry no status.
    return /multipart|Part terminated early|Malformed part header/i.test(error.message) ? 400 : null
  }
  if (code === 'FST_INVALID_MULTIPART_CONTENT_TYPE' || code === 'FST_INVALID_JSON_FIELD_ERROR') return 400
  return statusCode
}

// Classes 08 (connection), 53 (resources), 57P (shutdown and crash) of PostgreSQL, and what node and pg say.
const OUTAGE_CODES =
  /^(08...|53...|57P0[1-5]|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOENT|EAI_AGAIN|ENOTFOUND)$/
const OUTAGE_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after|.*terminating connection)/

/** True where PostgreSQL is gone, restarting or full rather than refusing what we said. */
export function isDatabaseOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, syscall } = error as Error & { code?: string; syscall?: string }
  if (OUTAGE_MESSAGES.test(error.message)) return true
  if (code === undefined || !OUTAGE_CODES.test(code)) return false
  // System errors share names with other work; only those of connecting and talking count.
  return syscall === undefined
    ? /^(08|53|57)/.test(code)
    : ['connect', 'read', 'write', 'getaddrinfo'].includes(syscall)
}
