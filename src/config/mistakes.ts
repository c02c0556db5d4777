/** One mistake in the configuration. Neither text ever holds a value: it might be a secret. */
export type Mistake = { path: string[]; wrong: string; right: string }

/** All mistakes at once; the message lists them, one a line. */
export class ConfigError extends Error {
  readonly mistakes: Mistake[]

  constructor(source: string, mistakes: Mistake[]) {
    const lines = mistakes.map(({ path, wrong, right }) => {
      const place = path.length > 0 ? `${path.join('.')}: ` : ''
      return `  ${place}${wrong}; ${right}`
    })
    super(
      `${mistakes.length === 1 ? 'A mistake' : `${mistakes.length} mistakes`} in ${source}:\n${lines.join('\n')}`,
    )
    this.name = 'ConfigError'
    this.mistakes = mistakes
  }
}

/**
 * The known name that is meant by a misspelt one: at most a third of its letters differ, or it is the
 * beginning of one.
 */
export function closestName(name: string, known: readonly string[]): string | null {
  const begun = known.filter(
    (candidate) => name.length >= 4 && normal(candidate).startsWith(normal(name).slice(0, -1)),
  )
  if (begun.length === 1 && begun[0] !== undefined) return begun[0]
  let best: string | null = null
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(normal(name), normal(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function normal(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, replaced))
    }
    previous = row
  }
  return previous[b.length]!
}
