import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log.ts'
import type { StorageBackend } from '../backend.ts'
import { isStorageError } from '../backend.ts'
import { checkHeld } from '../bytes/check-held.ts'
import { type CallName, mapCalls } from './map-calls.ts'

export type RetryOptions = {
  /** Calls in all, the first included. */
  attempts: number
  /** Wait before the second call; doubled each time, with half of it left to chance. */
  delayMs: number
  maxDelayMs?: number
}

/**
 * Runs again what failed as `unavailable`, unless the error says that asking is in vain until a later time.
 * The last failure is thrown. An abort ends the waiting.
 */
export async function retryUnavailable<T>(
  { attempts, delayMs, maxDelayMs = 30_000 }: RetryOptions,
  run: (attempt: number) => Promise<T>,
  {
    signal,
    onRetry,
  }: { signal?: AbortSignal | undefined; onRetry?: (error: unknown, attempt: number) => void } = {},
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run(attempt)
    } catch (error) {
      if (attempt >= attempts || !isStorageError(error, 'unavailable') || signal?.aborted) throw error
      if (error.retryAt !== undefined) throw error
      onRetry?.(error, attempt)
      const longest = Math.min(delayMs * 2 ** (attempt - 1), maxDelayMs)
      await sleep(longest * (0.5 + Math.random() / 2), undefined, { signal }).catch(() =>
        signal?.throwIfAborted(),
      )
    }
  }
}

/** Whether a call that failed may simply be made again. */
const IS_REPEATABLE: Record<CallName, boolean> = {
  head: true,
  delete: true,
  readMarker: true,
  listsMarker: true,
  writeMarker: true,
  readCounter: true,
  // An answer that got lost looks like somebody else's write, and its caller compares anyway.
  writeCounter: false,
  // Begun again, an upload whose answer got lost would stay at the service; what completes one asks again by
  // itself.
  begin: false,
  complete: false,
  listParts: true,
  abort: true,
  // To the same key: the bytes are the same.
  copy: true,
  restore: true,
  look: true,
  extend: true,
  bringBack: true,
}

/**
 * Quick tries against hiccups; what fails for longer is the job queue's. A put opens its body anew each time,
 * and when a later try finds the key taken, an earlier one may have taken it: then what is held is compared.
 */
export function withRetry(
  inner: StorageBackend,
  { log, ...options }: RetryOptions & { log: Log },
): StorageBackend {
  function again<T>(
    call: string,
    signal: AbortSignal | undefined,
    run: (attempt: number) => Promise<T>,
  ): Promise<T> {
    const onRetry = (error: unknown, attempt: number) =>
      log.debug({ call, attempt, error: String(error) }, 'storage did not answer; trying again')
    return retryUnavailable(options, run, { signal, onRetry })
  }

  return mapCalls(inner, {
    get: (key, given) => again('get', given?.signal, () => inner.get(key, given)),
    put(key, body, given) {
      const signal = given?.signal
      return again('put', signal, async (attempt) => {
        try {
          return await inner.put(key, body, given)
        } catch (error) {
          if (attempt === 1 || !isStorageError(error, 'already-exists')) throw error
          const held = await checkHeld(inner, key, body, { signal })
          if (held.answer !== 'same') throw error
          return held.result
        }
      })
    },
    call: (name, signal, run) => (IS_REPEATABLE[name] ? again(name, signal, () => run(signal)) : run(signal)),
    sign: (run) => run(),
    // A page that fails is asked for again by the backend itself, which knows where it was.
    list: (signal, open) => open(signal),
    streamingPut: (puts) => puts,
  })
}
