import { AppError } from '../errors.ts'

/** Work in turns: a limited number at once, and an owner who asks for much waits alone for it. */
export type FairQueue = {
  /** Runs `work` when it is its turn. @throws AppError unavailable at once where too much waits already */
  run<T>(owner: string, work: () => Promise<T>): Promise<T>
}

type Waiting = { start(): void; refuse(): void }

/**
 * The owners (users, network addresses) take turns, and each one's work is done in its order. With
 * `waitingOfOne` jobs waiting an owner is refused. With `waitingInAll` somebody is: the owner with most of
 * them, unless the newcomer is one like that.
 */
export function createFairQueue(limits: {
  atOnce: number
  waitingOfOne: number
  waitingInAll: number
  refusal: string
}): FairQueue {
  // In the order of their next turns; an owner without waiting work is not in it.
  const lines = new Map<string, Waiting[]>()
  let running = 0
  let waiting = 0

  function finish(): void {
    running--
    const next = lines.entries().next()
    if (next.done) return
    const [owner, line] = next.value
    const { start } = line.shift()!
    waiting--
    lines.delete(owner)
    if (line.length > 0) lines.set(owner, line)
    start()
  }

  function makeRoom(line: readonly Waiting[]): boolean {
    if (line.length >= limits.waitingOfOne) return false
    if (waiting < limits.waitingInAll) return true
    const [owner, longest] = [...lines].reduce((most, next) =>
      next[1].length > most[1].length ? next : most,
    )
    if (longest.length <= line.length + 1) return false
    longest.pop()!.refuse()
    waiting--
    if (longest.length === 0) lines.delete(owner)
    return true
  }

  function wait(owner: string): Promise<void> {
    const line = lines.get(owner) ?? []
    if (!makeRoom(line)) return Promise.reject(new AppError('unavailable', limits.refusal))
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    line.push({
      // Counted before anybody else can ask.
      start: () => {
        running++
        resolve()
      },
      refuse: () => reject(new AppError('unavailable', limits.refusal)),
    })
    waiting++
    lines.set(owner, line)
    return promise
  }

  return {
    async run(owner, work) {
      if (running < limits.atOnce) running++
      else await wait(owner)
      try {
        return await work()
      } finally {
        finish()
      }
    },
  }
}
