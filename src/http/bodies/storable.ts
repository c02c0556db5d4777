/** Text without what PostgreSQL can't hold: NUL, and halves of surrogate pairs. */
export function storableText(text: string): string {
  return text.replaceAll('\0', '').toWellFormed()
}

/**
 * Makes every text in a parsed query, path or body storable, in place. Keys are names that we know, and stay
 * as they are.
 */
export function makeStorable(root: unknown): unknown {
  if (typeof root === 'string') return storableText(root)
  const open = [root]
  for (let holder = open.pop(); holder !== undefined; holder = open.pop()) {
    if (typeof holder !== 'object' || holder === null) continue
    const values = holder as Record<string, unknown>
    for (const key of Object.keys(values)) {
      const value = values[key]
      if (typeof value === 'string') values[key] = storableText(value)
      else if (typeof value === 'object' && value !== null) open.push(value)
    }
  }
  return root
}
