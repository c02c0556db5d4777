import type { TestContext } from 'node:test'

/**
 * Runs what is deferred when the test is over, the last first; `t.after` alone begins with the first, and
 * stops at an error.
 */
export function cleanUpAfter(t: TestContext): (work: () => unknown) => void {
  const stack = new AsyncDisposableStack()
  t.after(() => stack.disposeAsync())
  return (work) => stack.defer(async () => void (await work()))
}
