import type { JobHandlers } from '../../src/queue/worker.ts'

/** Handlers for a test: the given ones, and for every other job one that fails, since nobody enqueued it. */
export function testHandlers(given: Partial<JobHandlers>): JobHandlers {
  const unexpected = async () => {
    throw new Error('no such job was expected')
  }
  return {
    'process-asset': unexpected,
    'transcode-video': unexpected,
    'prove-upload': unexpected,
    'replicate-object': unexpected,
    'evict-replica': unexpected,
    'purge-object': unexpected,
    'check-locations': unexpected,
    'sweep-placement': unexpected,
    'sweep-library': unexpected,
    'change-class': unexpected,
    'restore-replica': unexpected,
    'sweep-classes': unexpected,
    'check-restores': unexpected,
    ...given,
  }
}

/** Waits until `check` is true, at most `withinMs`. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const endsAt = performance.now() + withinMs
  while (!(await check())) {
    if (performance.now() > endsAt) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
