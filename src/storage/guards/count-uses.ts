import { finished } from 'node:stream'
import type { StorageBackend } from '../backend.ts'
import { mapCalls } from './map-calls.ts'

/**
 * `underWay`: calls, streams, listings and uploads in parts that have not ended. `idleMs`: since the last
 * end.
 */
export type Uses = () => { underWay: number; idleMs: number }

/** Counts who uses a backend now, so that it is closed only when nobody does. Outermost. */
export function countUses(inner: StorageBackend): { backend: StorageBackend; uses: Uses } {
  let underWay = 0
  let endedAt = performance.now()

  /** What it returns ends the use, once however often it is called. */
  function begin(): () => void {
    underWay += 1
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      underWay -= 1
      endedAt = performance.now()
    }
  }

  async function during<T>(run: () => Promise<T>): Promise<T> {
    const end = begin()
    try {
      return await run()
    } finally {
      end()
    }
  }

  const backend = mapCalls(inner, {
    async get(key, options) {
      const end = begin()
      try {
        const got = await inner.get(key, options)
        finished(got.stream, { writable: false }, end)
        return got
      } catch (error) {
        end()
        throw error
      }
    },
    put: (key, body, options) => during(() => inner.put(key, body, options)),
    call: (_name, signal, run) => during(() => run(signal)),
    sign: (run) => during(run),
    async *list(signal, open) {
      const end = begin()
      try {
        yield* open(signal)
      } finally {
        end()
      }
    },
    streamingPut: (puts) => ({
      partBytes: puts.partBytes,
      async begin(key, options) {
        const end = begin()
        try {
          const put = await puts.begin(key, options)
          return {
            uploadId: put.uploadId,
            advance: (availableBytes) => put.advance(availableBytes),
            complete: (body, signal) => put.complete(body, signal).finally(end),
            stop: () => put.stop().finally(end),
            abort: () => put.abort().finally(end),
          }
        } catch (error) {
          end()
          throw error
        }
      },
    }),
  })
  return { backend, uses: () => ({ underWay, idleMs: performance.now() - endedAt }) }
}
