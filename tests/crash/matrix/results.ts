/** What is known of each case: one line of JSON for each in a file, from which a run that was cut goes on. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'

export type Result = {
  id: string
  /** `unreached`: the process ended without coming to the step that time. */
  outcome: 'passed' | 'failed' | 'unreached'
  /** Milliseconds, of a machine that does other things as well. */
  tookMs: number
  error: string | null
}

export function readResults(path: string): Map<string, Result> {
  if (!existsSync(path)) return new Map()
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
  // The last one counts.
  return new Map(lines.map((line) => JSON.parse(line) as Result).map((result) => [result.id, result]))
}

export function saveResult(path: string, result: Result): void {
  appendFileSync(path, `${JSON.stringify(result)}\n`)
}

export function countOutcomes(results: Iterable<Result>): Record<Result['outcome'], number> {
  const counts = { passed: 0, failed: 0, unreached: 0 }
  for (const { outcome } of results) counts[outcome] += 1
  return counts
}
