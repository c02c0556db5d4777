import { pino } from 'pino'
import { readableLine } from './log-lines.ts'

/** The part of a logger that folders below the edges may use. */
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

/** Where the log goes to: `hasColours` is for a terminal alone. */
export type LogReader = { isTerminal: boolean; hasColours: boolean }

/** Who reads the standard error of this process? @param noColor the variable NO_COLOR (no-color.org) */
export function logReader(noColor: string | undefined): LogReader {
  const isTerminal = process.stderr.isTTY === true
  return { isTerminal, hasColours: isTerminal && (noColor === undefined || noColor === '') }
}

/**
 * Lines on standard error: JSON for programs, readable ones where a person looks. Secrets that reach a field
 * of these names are cut out.
 */
export function createLog(
  level: string,
  { isTerminal, hasColours }: LogReader = { isTerminal: false, hasColours: false },
) {
  const readable = { write: (json: string) => void process.stderr.write(readableLine(json, hasColours)) }
  return pino(
    { level, base: undefined, redact: { paths: SECRET_FIELDS, censor: '[secret]' } },
    isTerminal ? readable : pino.destination({ dest: 2, sync: true }),
  )
}

/** A log that keeps quiet, for tests and one-shot commands. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
