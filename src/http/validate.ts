import { z } from 'zod'
import { AppError } from '../errors.ts'
import { isRealDay, isStorableTime, toStorableTime } from '../library/wall-clock.ts'

/** How many mistakes are reported; nobody reads more, even of a list with 200,000 wrong elements. */
const MAX_MISTAKES = 20

/**
 * Checks a query, a body or path parameters. @throws AppError invalid with the first 20 mistakes by field.
 */
export function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value ?? {})
  if (result.success) return result.data
  throw new AppError('invalid', 'Validation failed', {
    fields: result.error.issues.slice(0, MAX_MISTAKES).map((issue) => ({
      path: issue.path.map(String),
      message: issue.message,
      code: issue.code,
    })),
  })
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Any UUID in the usual spelling; PostgreSQL would answer others with an error. Lower case comes out. */
export const uuid = z
  .string()
  .regex(UUID, 'Invalid UUID')
  .transform((text) => text.toLowerCase())

/**
 * A list that may be long: it is looked at until the first 20 mistakes. Zod's own goes on, and 250,000
 * mistakes took a third of a second and as many objects.
 */
export function list<Element extends z.ZodType>(element: Element, { max = Number.POSITIVE_INFINITY } = {}) {
  return z.unknown().transform((value, context): z.output<Element>[] => {
    if (!Array.isArray(value)) return noList(context)
    if (value.length > max) return tooMany(context, max)
    const checked: z.output<Element>[] = []
    for (const [index, one] of value.entries()) {
      const result = element.safeParse(one)
      if (result.success) checked.push(result.data)
      else
        for (const issue of result.error.issues) context.addIssue({ ...issue, path: [index, ...issue.path] })
      if (context.issues.length >= MAX_MISTAKES) break
    }
    return checked
  })
}

/** Like `list(uuid)`, in a quarter of its time, for lists that may hold all photos of a user. */
export const ids = idsUpTo(Number.POSITIVE_INFINITY)

export function idsUpTo(max: number) {
  return z.unknown().transform((value, context): string[] => checkIds(value, max, context))
}

function checkIds(value: unknown, max: number, context: z.RefinementCtx): string[] {
  if (!Array.isArray(value)) return noList(context)
  if (value.length > max) return tooMany(context, max)
  const checked: string[] = []
  for (const [index, id] of value.entries()) {
    if (typeof id === 'string' && UUID.test(id)) checked.push(id.toLowerCase())
    else context.addIssue({ code: 'custom', message: 'Invalid UUID', path: [index] })
    if (context.issues.length >= MAX_MISTAKES) break
  }
  return checked
}

function noList(context: z.RefinementCtx): typeof z.NEVER {
  context.addIssue({ code: 'invalid_type', expected: 'array', message: 'Invalid input: expected array' })
  return z.NEVER
}

function tooMany(context: z.RefinementCtx, max: number): typeof z.NEVER {
  context.addIssue({
    code: 'too_big',
    origin: 'array',
    maximum: max,
    message: `Too big: expected array to have <=${max} items`,
  })
  return z.NEVER
}

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

const anyDate = z.union([z.string(), z.date()]).transform((value) => new Date(value))
const WRONG_DATE = 'Invalid date: use ISO 8601, e.g. 2024-05-01T12:00:00.000Z'

/** An instant: ISO 8601 with a time zone, or a date alone (UTC), of the years that are stored. */
export const instant = z
  .union([z.string().refine(isRealDay, WRONG_DATE), z.date()])
  .pipe(anyDate)
  .refine(isStorableTime, WRONG_DATE)

/**
 * The date of a file, as its file system has it: of any year, and moved into those that are stored. A day
 * that no calendar has is no reason to refuse a photo.
 */
export const fileTime = anyDate
  .refine((date) => !Number.isNaN(date.getTime()), WRONG_DATE)
  .transform(toStorableTime)
