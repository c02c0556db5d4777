/** Values of tags as numbers and texts; what makes no sense is null. */
import type { Tags } from 'exiftool-vendored'

const MAX_INT = 2 ** 31 - 1
const MAX_TEXT = 10_000

/**
 * Text that PostgreSQL can store and a person can read: no NUL, no control characters, no half characters.
 */
export function cleanText(value: unknown): string | null {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string') return null
  const cleaned = text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to go
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '')
    .toWellFormed()
    .trim()
    .slice(0, MAX_TEXT)
    .toWellFormed()
  return cleaned === '' ? null : cleaned
}

/**
 * What the first source says that has one of these tags at all, in the order of the sources: a sidecar that
 * states a blank, or a rating of 0, has taken away what the file says. Of a source's own tags, the first that
 * `read` makes something of; of a list, the first item.
 */
export function stated<T>(
  sources: readonly (Tags | null)[],
  names: readonly string[],
  read: (value: unknown) => T | null,
): T | null {
  for (const source of sources) {
    const values = names
      .map((name) => (source as Record<string, unknown> | null)?.[name])
      .filter((value) => value !== undefined && value !== null)
    for (const value of values) {
      const found = read(Array.isArray(value) ? value[0] : value)
      if (found !== null) return found
    }
    if (values.length > 0) return null
  }
  return null
}

export function number(value: unknown): number | null {
  const parsed = typeof value === 'string' ? Number.parseFloat(value) : value
  return typeof parsed === 'number' && Number.isFinite(parsed) ? parsed : null
}

/** Above 0, and storable. */
export function positive(value: unknown): number | null {
  const parsed = number(value)
  return parsed !== null && parsed > 0 && parsed < MAX_INT ? parsed : null
}

/** A whole number, 1 or more. */
export function count(value: unknown): number | null {
  const parsed = positive(value)
  return parsed === null || Math.round(parsed) < 1 ? null : Math.round(parsed)
}
