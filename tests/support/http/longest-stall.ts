import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import type { ServerFacts } from './attacked-server.ts'

/** What Glassine promises: no request keeps the others waiting for longer, in time of the processor. */
const LONGEST_STALL_MS = 250
/** The largest body that a route reads: 10 MB of ids, as in `every-route.test.ts`. */
const PARSE_THE_LARGEST_BODY = `
  const list = '["' + Array(250_000).fill('11111111-1111-4111-8111-111111111111').join('","') + '"]'
  const before = process.threadCpuUsage()
  JSON.parse(list)
  const { user, system } = process.threadCpuUsage(before)
  console.log((user + system) / 1_000)`

/**
 * That the server was away from its event loop for 250 ms at most or, where a machine needs longer than that
 * for the parsing alone, for twice as long as that takes: on virtual machines that are slow to give memory,
 * it was 310 ms instead of 60.
 */
export function assertNobodyWaited({ longestStallMs }: ServerFacts): void {
  if (longestStallMs <= LONGEST_STALL_MS) return
  const parsingMs = Number(
    execFileSync(process.execPath, ['-e', PARSE_THE_LARGEST_BODY], { encoding: 'utf8' }),
  )
  assert.ok(
    longestStallMs <= 2 * parsingMs,
    `away from its event loop for ${longestStallMs} ms; parsing the largest body takes ${parsingMs} ms`,
  )
}
