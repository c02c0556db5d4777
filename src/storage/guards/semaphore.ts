export type Semaphore = {
  /**
   * Waits for a slot, first come first served; the returned function gives it back, once, however often
   * called.
   */
  take(signal?: AbortSignal): Promise<() => void>
  run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T>
}

/** A counting semaphore. */
export function openSemaphore(count: number): Semaphore {
  let free = count
  const waiting: (() => void)[] = []

  function give(): () => void {
    let isOut = true
    return () => {
      if (!isOut) return
      isOut = false
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    }
  }

  async function take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    if (free > 0) {
      free -= 1
      return give()
    }
    return new Promise((resolve, reject) => {
      const start = () => {
        signal?.removeEventListener('abort', abort)
        resolve(give())
      }
      const abort = () => {
        waiting.splice(waiting.indexOf(start), 1)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      waiting.push(start)
    })
  }

  return {
    take,
    async run(signal, work) {
      const release = await take(signal)
      try {
        return await work()
      } finally {
        release()
      }
    },
  }
}
