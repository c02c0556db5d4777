/**
 * The awaited steps that no scenario comes to, by function: they have failpoints, and nobody is killed there.
 * The list is kept under version control, so that a new step that nothing reaches is seen.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Matrix } from './matrix.ts'

export const UNREACHED_PATH = join(import.meta.dirname, 'unreached.txt')

/** How many steps of each function, as `file function`. */
export type Unreached = ReadonlyMap<string, number>

export function unreachedOf({ points, recorded }: Pick<Matrix, 'points' | 'recorded'>): Unreached {
  const reached = new Set([...recorded.values()].flatMap((hits) => Object.keys(hits)))
  const counts = new Map<string, number>()
  for (const { id, file, functionName } of points) {
    if (reached.has(id)) continue
    const name = `${file} ${functionName}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
}

export function readUnreached(): Unreached {
  const lines = readFileSync(UNREACHED_PATH, 'utf8').split('\n').filter(Boolean)
  return new Map(
    lines.map((line) => {
      const [count, file, functionName] = line.split(' ')
      return [`${file} ${functionName}`, Number(count)]
    }),
  )
}

/** What is listed already stays, with the larger number: some steps are reached at times only. */
export function addUnreached(found: Unreached, listed: Unreached): void {
  const names = [...new Set([...found.keys(), ...listed.keys()])].sort()
  const lines = names.map((name) => `${Math.max(found.get(name) ?? 0, listed.get(name) ?? 0)} ${name}\n`)
  writeFileSync(UNREACHED_PATH, lines.join(''))
}

/** Functions with more such steps than the list has, in words. */
export function newlyUnreached(found: Unreached, listed: Unreached): string[] {
  return [...found].flatMap(([name, count]) => {
    const known = listed.get(name) ?? 0
    return count > known ? [`${name}: ${count} awaited steps are never reached, ${known} are listed`] : []
  })
}

export function countOf(unreached: Unreached): number {
  return [...unreached.values()].reduce((sum, count) => sum + count, 0)
}
