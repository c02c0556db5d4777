import { pino } from 'pino'

/** The subset of a logger that rooms below the edges may use. */
export type Log = {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const SECRET_FIELDS = [
  'password',
  'secretAccessKey',
  'accessToken',
  'token',
  'authorization',
  'cookie',
  'headers.authorization',
  'headers.cookie',
  'headers["x-api-key"]',
  'headers["x-immich-user-token"]',
]

/** JSON lines on standard error. Secrets that reach a field of these names are cut out. */
export function createLog(level: string) {
  return pino(
    { level, base: undefined, redact: { paths: SECRET_FIELDS, censor: '[secret]' } },
    pino.destination({ dest: 2, sync: true }),
  )
}

/** A log that keeps quiet, for tests and one-shot commands. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
