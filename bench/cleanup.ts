const open = new Set<AsyncDisposableStack>()

/**
 * A stack for what a benchmark starts, to hold with `await using`; an interrupted run disposes of it, too.
 */
export function openStack(): AsyncDisposableStack {
  const stack = new AsyncDisposableStack()
  open.add(stack)
  stack.defer(() => {
    open.delete(stack)
  })
  return stack
}

/** Ends every process and removes every folder of the benchmarks under way. */
export async function disposeAll(): Promise<void> {
  await Promise.allSettled([...open].map((stack) => stack.disposeAsync()))
}
