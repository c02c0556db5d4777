/** Whether an error of a statement says that PostgreSQL is away, or says something about the statement. */

/**
 * Classes of SQLSTATE: 08 connection, 40 one of two transactions that are in each other's way, 53 resources,
 * 57P shutdown and crash.
 */
const STATES = /^(08...|40...|53...|57P..)$/
/** What the system says of connecting and talking. */
const SYSTEM_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EAI_AGAIN',
  'ENOTFOUND',
  // Of a socket file; the second when more wait for PostgreSQL than it has places for.
  'ENOENT',
  'EAGAIN',
])
/** System errors share codes with other work; only those of these calls are the connection's. */
const SYSTEM_CALLS = new Set(['connect', 'read', 'write', 'getaddrinfo'])
/** pg and its pool give these neither a code nor a class of their own. */
const MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after|.*terminating connection)/

/**
 * True where PostgreSQL is gone, restarting or full rather than refusing what we said: the same may work in a
 * moment.
 */
export function isDatabaseOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, syscall } = error as Error & { code?: string; syscall?: string }
  if (MESSAGES.test(error.message)) return true
  if (code === undefined) return false
  return syscall === undefined ? STATES.test(code) : SYSTEM_CODES.has(code) && SYSTEM_CALLS.has(syscall)
}
