/**
 * Runs work for one key after another, work for different keys at once. It stands in for the conditional put
 * where a location has none: of several writers of this process one wins. (Keys hold a random part and are
 * used once, so two processes never meet at one.)
 */
export function openKeyQueue(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>()
  return async (key, work) => {
    const before = last.get(key) ?? Promise.resolve()
    const mine = before.then(work, work)
    last.set(key, mine)
    try {
      return await mine
    } finally {
      if (last.get(key) === mine) last.delete(key)
    }
  }
}
