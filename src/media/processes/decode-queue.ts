/**
 * Who may decode next. Memory is reserved by an estimate, so that what runs at the same time fits; owners
 * take turns, so that one person's thousand photos, or one person's file that takes minutes, delay nobody
 * else's.
 */
export type DecodeRequest = {
  /** Whose file it is: owners take turns. */
  owner: string
  /** An estimate of what decoding it takes. */
  memoryBytes: number
}

export type DecodeQueue = {
  /**
   * Resolves to what gives the place back. Rejects with the signal's reason, or with the error of `close`.
   */
  enter(request: DecodeRequest, signal?: AbortSignal): Promise<() => void>
  /** Waiting callers are refused with `error`, and so are later ones. */
  close(error: Error): void
}

type Running = DecodeRequest & { isSlow: boolean }
type Waiting = DecodeRequest & {
  start: (leave: () => void) => void
  fail: (error: Error) => void
  passedBy: number
}

/** Of the memory, so much is open to one owner: a small photo of somebody else always finds room. */
const SHARE_OF_ONE_OWNER = 0.75
/** A large file that has seen so many pass by because they fit goes next. */
const MOST_PASSED_BY = 16

/** The most that the files of one owner may take together, hence the most that one file may. */
export function memoryForOne(memoryBytes: number): number {
  return Math.floor(memoryBytes * SHARE_OF_ONE_OWNER)
}

/**
 * At most `limit` at a time. A task that has run for `slowAfterMs` no longer counts for others than its
 * owner, up to twice the limit in all: even where one at a time is decoded, a file that hangs holds up the
 * others for no longer than that.
 */
export function openDecodeQueue(options: {
  limit: number
  memoryBytes: number
  slowAfterMs: number
}): DecodeQueue {
  const { limit, memoryBytes, slowAfterMs } = options
  const running = new Set<Running>()
  /** By owner, those first whose turn is next. */
  const waiting = new Map<string, Waiting[]>()
  let closedWith: Error | null = null

  const reserved = (owner?: string) =>
    [...running].reduce(
      (sum, one) => sum + (owner === undefined || one.owner === owner ? one.memoryBytes : 0),
      0,
    )

  function hasPlace(owner: string): boolean {
    if (running.size < limit) return true
    const slow = [...running].filter((one) => one.isSlow)
    return (
      running.size < 2 * limit &&
      running.size - slow.length < limit &&
      slow.every((one) => one.owner !== owner)
    )
  }

  function hasMemory(request: DecodeRequest): boolean {
    const ofOwner = reserved(request.owner) + request.memoryBytes <= memoryForOne(memoryBytes)
    return ofOwner && reserved() + request.memoryBytes <= memoryBytes
  }

  function next(): Waiting | null {
    for (const [owner, [first]] of waiting) {
      if (first === undefined || !hasPlace(owner)) continue
      if (hasMemory(first)) return first
      if (first.passedBy >= MOST_PASSED_BY) return null
      first.passedBy++
    }
    return null
  }

  function serve(): void {
    for (let chosen = next(); chosen !== null; chosen = next()) {
      remove(chosen)
      start(chosen)
    }
  }

  /** Takes it off the line; its owner goes to the end. */
  function remove(request: Waiting): void {
    const line = waiting.get(request.owner)
    const at = line?.indexOf(request) ?? -1
    if (line === undefined || at < 0) return
    line.splice(at, 1)
    waiting.delete(request.owner)
    if (line.length > 0) waiting.set(request.owner, line)
  }

  function start({ owner, memoryBytes, start }: Waiting): void {
    const task: Running = { owner, memoryBytes, isSlow: false }
    running.add(task)
    const timer = setTimeout(() => {
      task.isSlow = true
      serve()
    }, slowAfterMs)
    timer.unref()
    start(() => {
      clearTimeout(timer)
      if (running.delete(task)) serve()
    })
  }

  return {
    enter(request, signal) {
      return new Promise((resolve, reject) => {
        if (closedWith !== null) return reject(closedWith)
        if (signal?.aborted) return reject(reasonOf(signal))
        const onAbort = () => {
          remove(one)
          reject(reasonOf(signal))
          serve()
        }
        const done = () => signal?.removeEventListener('abort', onAbort)
        const one: Waiting = {
          owner: request.owner,
          memoryBytes: Math.min(request.memoryBytes, memoryForOne(memoryBytes)),
          passedBy: 0,
          start(leave) {
            done()
            resolve(leave)
          },
          fail(error) {
            done()
            reject(error)
          },
        }
        signal?.addEventListener('abort', onAbort, { once: true })
        waiting.set(one.owner, [...(waiting.get(one.owner) ?? []), one])
        serve()
      })
    },
    close(error) {
      closedWith = error
      for (const line of waiting.values()) for (const one of line) one.fail(error)
      waiting.clear()
    },
  }
}

function reasonOf(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new DOMException('Aborted', 'AbortError')
}
