/**
 * What an error says of itself, wherever in the program it comes from: the queue knows no other folder's
 * classes of errors. Told by fields, never by words of a message.
 */

/** How many causes are looked at: a chain may be a circle. */
const MOST_CAUSES = 5

/** The code of what nobody foresaw; its stack belongs in the log. */
export const UNEXPECTED = 'unexpected'

export type FailureFacts = {
  /** `denied`, `unavailable`, `corrupt`, `ENOSPC` ...; `unexpected` where the error says none. */
  code: string
  /** The place that it is about is left alone until then, since it can't be reached. */
  placeBackAt: Date | null
}

/**
 * The first code in the chain of causes: a storage error's `kind`, an `AppError`'s or a system's `code`, a
 * decoder's `fault`. And whether a place is away, as the breaker's refusals say.
 */
export function failureFacts(error: Error): FailureFacts {
  const facts: FailureFacts = { code: UNEXPECTED, placeBackAt: null }
  for (const cause of causesOf(error)) {
    const { kind, code, fault, retryAt } = cause as Error & Record<string, unknown>
    const said = [kind, code, fault].find((one) => typeof one === 'string')
    if (facts.code === UNEXPECTED && typeof said === 'string') facts.code = said
    if (retryAt instanceof Date) facts.placeBackAt ??= retryAt
  }
  return facts
}

/** The message and those of its causes, for people; at most 2,000 characters. The stack is in the log. */
export function describeFailure(error: Error): string {
  const lines = causesOf(error).map(({ message, name }) => message || name)
  return lines.join(': ').slice(0, 2_000)
}

function causesOf(error: Error): Error[] {
  const causes: Error[] = []
  for (let cause: unknown = error; cause instanceof Error && causes.length < MOST_CAUSES; cause = cause.cause)
    causes.push(cause)
  return causes
}
