import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Runs `act` at most once in `intervalMs`, at once when it is due; calls in between become one call at the
 * end.
 */
export function throttle(intervalMs: number, act: () => Promise<void>): () => Promise<void> {
  let waiting: Promise<void> | null = null
  let lastAt = Number.NEGATIVE_INFINITY

  async function runWhenDue(): Promise<void> {
    // Waits even when it is due: `waiting` must be set before it is cleared, or it would stay set for ever.
    await sleep(Math.max(0, lastAt + intervalMs - performance.now()), undefined, { ref: false })
    waiting = null
    lastAt = performance.now()
    await act()
  }

  return () => {
    waiting ??= runWhenDue()
    return waiting
  }
}
