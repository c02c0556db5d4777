import { z } from 'zod'
import { AppError } from '../errors.ts'

/** Checks a query, a body or path parameters. @throws AppError invalid with every mistake by field. */
export function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value ?? {})
  if (result.success) return result.data
  throw new AppError('invalid', 'Validation failed', {
    fields: result.error.issues.map((issue) => ({
      path: issue.path.map(String),
      message: issue.message,
      code: issue.code,
    })),
  })
}

/** Any UUID in the usual spelling; PostgreSQL would answer others with an error. Lower case comes out. */
export const uuid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, 'Invalid UUID')
  .transform((text) => text.toLowerCase())

export const idParams = z.object({ id: uuid })

/** `true` or `false` as text, as queries and multipart fields carry them. */
export const booleanText = z
  .union([z.boolean(), z.enum(['true', 'false', '1', '0', ''])])
  .transform((value) => value === true || value === 'true' || value === '1')

/** Text without NUL, which PostgreSQL can't store. */
export const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .transform((value) => value.replaceAll('\0', ''))

/** An instant: ISO 8601 with a time zone, or a date alone (UTC), within the years that PostgreSQL and JavaScript share. */
export const instant = z.union([z.string(), z.date()]).transform((value, context) => {
  const date = value instanceof Date ? value : new Date(value)
  const year = date.getUTCFullYear()
  if (Number.isNaN(date.getTime()) || year < 0 || year > 9999) {
    context.addIssue({ code: 'custom', message: 'Invalid date: use ISO 8601, e.g. 2024-05-01T12:00:00.000Z' })
    return z.NEVER
  }
  return date
})
