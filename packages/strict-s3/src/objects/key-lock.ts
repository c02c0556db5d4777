/** One piece of work at a time per name, in the order of asking. */
export type KeyLock = <T>(name: string, work: () => Promise<T>) => Promise<T>

export function createKeyLock(): KeyLock {
  const last = new Map<string, Promise<unknown>>()
  return async (name, work) => {
    const before = last.get(name) ?? Promise.resolve()
    const mine = before.then(work, work)
    // The queue must not break, nor count as an unhandled rejection, when one piece of work fails: the caller
    // gets `mine`.
    const settled = mine.catch(() => undefined)
    last.set(name, settled)
    try {
      return await mine
    } finally {
      if (last.get(name) === settled) last.delete(name)
    }
  }
}
