/** What the database said a few seconds ago, for questions that come with every request. */

const LOOK_AGAIN_MS = 5_000
/** Names may come from clients, so there can be any number of them. */
const MAX_NAMES = 100

/**
 * Keeps answers by owner and name for five seconds; of several callers at the same time only the first looks
 * it up. The next caller looks up again what failed, and what `isKept` says no to.
 */
export function ttlCache<Owner extends object, Answer>(
  isKept: (answer: Answer) => boolean = () => true,
): (owner: Owner, name: string, look: () => Promise<Answer>) => Promise<Answer> {
  const owners = new WeakMap<Owner, Map<string, { until: number; answer: Promise<Answer> }>>()
  return (owner, name, look) => {
    const known = owners.get(owner) ?? new Map()
    owners.set(owner, known)
    const last = known.get(name)
    if (last !== undefined && last.until > performance.now()) return last.answer
    if (known.size >= MAX_NAMES) known.clear()
    const entry = { until: performance.now() + LOOK_AGAIN_MS, answer: look() }
    known.set(name, entry)
    const forget = () => {
      if (known.get(name) === entry) known.delete(name)
    }
    entry.answer.then((answer) => {
      if (!isKept(answer)) forget()
    }, forget)
    return entry.answer
  }
}
