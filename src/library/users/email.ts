import { z } from 'zod'
import { AppError } from '../../errors.ts'

/** What people log in with. At most 320 characters, as RFC 5321 has it: 64, the @, 255. */
export const EMAIL = z
  .string({ error: ({ input }) => `Invalid input: expected email, received ${kindOf(input)}` })
  .trim()
  .max(320)
  .pipe(z.email('Invalid email'))

/** As validation errors name it; Immich's clients and tests know these words. */
function kindOf(input: unknown): string {
  if (input === null) return 'null'
  return Array.isArray(input) ? 'array' : typeof input
}

/** @throws AppError invalid, naming `field`, where it is no address */
export function requireEmail(text: string, field: string): string {
  const parsed = EMAIL.safeParse(text)
  if (parsed.success) return parsed.data
  throw new AppError(
    'invalid',
    `${field}: "${text}" is not an e-mail address; write one such as anna@example.org`,
  )
}
