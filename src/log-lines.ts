/**
 * How a line of the log looks to a person at a terminal. Programs get the JSON that it is made of. Pure.
 */
import { styleText } from 'node:util'

type Entry = { level: number; time: number; msg?: string; err?: { message?: string; stack?: string } }

/** pino's numbers of levels: the lowest number of each name. */
const LEVELS: readonly [least: number, name: string, format: 'red' | 'yellow' | 'dim' | 'none'][] = [
  [50, 'error', 'red'],
  [40, 'warn', 'yellow'],
  [30, 'info', 'none'],
  [0, 'debug', 'dim'],
]
/** Longer values are cut, so that the line can be read. The JSON has them in full. */
const MOST_LETTERS = 300

/**
 * `18:39:02 warn  an outage begins: photos at https://... (location=s3)`, in local time; an error that nobody
 * foresaw with its stack below. What is not one of our JSON lines is given back as it is.
 */
export function readableLine(json: string, hasColours: boolean): string {
  const entry = parse(json)
  if (entry === null) return json
  const { level, time, msg = '', err, ...fields } = entry
  const [, name, format] = LEVELS.find(([least]) => level >= least)!
  const paint = (text: string, how: typeof format) =>
    hasColours && how !== 'none' ? styleText(how, text, { validateStream: false }) : text
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined && !msg.includes(String(value)))
    .map(([key, value]) => `${key}=${shown(value)}`)
  const more = details.length === 0 ? '' : paint(` (${details.join(', ')})`, 'dim')
  const line = `${paint(clock(time), 'dim')} ${paint(name.padEnd(5), format)} ${msg}${more}`
  if (err === undefined) return `${line}\n`
  const stack = (err.stack ?? err.message ?? '').split('\n').map((part) => `    ${part.trimEnd()}`)
  return `${[line, ...stack].join('\n')}\n`
}

function parse(json: string): (Entry & Record<string, unknown>) | null {
  try {
    const entry = JSON.parse(json) as Entry & Record<string, unknown>
    return typeof entry.level === 'number' && typeof entry.time === 'number' ? entry : null
  } catch {
    return null
  }
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text
}

function clock(atMs: number): string {
  const at = new Date(atMs)
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':')
}
