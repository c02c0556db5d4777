/** Waiting for what happens by itself, in an unknown time. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 100

/**
 * Calls `look` until it no longer throws, and gives its answer. After `limitMs` its last error is the test's.
 */
export async function eventually<T>(look: () => T | Promise<T>, limitMs = 20_000): Promise<T> {
  const endsAt = performance.now() + limitMs
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
    try {
      return await look()
    } catch (error) {
      if (performance.now() > endsAt) throw error
    }
    await sleep(pauseMs)
  }
}

/** Calls `check` until it answers true. After `limitMs` the test fails with `what`. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  limitMs = 10_000,
): Promise<void> {
  await eventually(async () => assert.ok(await check(), `not within ${limitMs} ms: ${what}`), limitMs)
}
