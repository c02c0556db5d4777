import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { Archive, Body, Copies, ObjectKey, PutOptions, PutResult, StorageBackend } from './backend.ts'
import { isStorageError } from './backend.ts'
import { checkHeld } from './check-held.ts'

export type RetryOptions = {
  /** Calls in all, the first included. */
  attempts: number
  /** Wait before the second call; doubled each time, with half of it left to chance. */
  delayMs: number
  maxDelayMs?: number
}

/**
 * Runs again what failed as `unavailable`, unless the error says that asking is in vain until a later time. The last
 * failure is thrown. An abort ends the waiting.
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

/**
 * Quick tries against hiccups; what fails for longer is the job queue's. A put opens its body anew each time, and when
 * a later try finds the key taken, an earlier one may have taken it: then what is held is compared.
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
      log.warn({ call, attempt, error: String(error) }, 'storage did not answer; trying again')
    return retryUnavailable(options, run, { signal, onRetry })
  }

  const { multipart } = inner

  async function put(key: ObjectKey, body: Body, putOptions?: PutOptions): Promise<PutResult> {
    const signal = putOptions?.signal
    return again('put', signal, async (attempt) => {
      try {
        return await inner.put(key, body, putOptions)
      } catch (error) {
        if (attempt === 1 || !isStorageError(error, 'already-exists')) throw error
        const held = await checkHeld(inner, key, body, { signal })
        if (held.answer !== 'same') throw error
        return held.result
      }
    })
  }

  return {
    get features() {
      return inner.features
    },
    useFeatures: (features) => inner.useFeatures(features),
    head: (key, given) => again('head', given?.signal, () => inner.head(key, given)),
    get: (key, given) => again('get', given?.signal, () => inner.get(key, given)),
    put,
    delete: (keys, given) => again('delete', given?.signal, () => inner.delete(keys, given)),
    // A page that fails is asked for again by the backend itself, which knows where it was.
    list: (prefix, given) => inner.list(prefix, given),
    readMarker: (given) => again('readMarker', given?.signal, () => inner.readMarker(given)),
    writeMarker: (id) => again('writeMarker', undefined, () => inner.writeMarker(id)),
    ...(inner.localFiles && { localFiles: inner.localFiles }),
    ...(inner.presign && { presign: inner.presign }),
    // Begun again, an upload whose answer got lost would stay at the service; what completes one asks again by itself.
    ...(multipart && {
      multipart: {
        ...multipart,
        listParts: (key, uploadId, given) =>
          again('listParts', given?.signal, () => multipart.listParts(key, uploadId, given)),
        abort: (key, uploadId) => again('abort', undefined, () => multipart.abort(key, uploadId)),
      },
    }),
    ...(inner.growing && { growing: inner.growing }),
    // Copying again to the same key is harmless: the bytes are the same.
    ...(inner.copies && {
      copies: {
        copy: (from: ObjectKey, to: ObjectKey, given: Parameters<Copies['copy']>[2]) =>
          again('copy', given.signal, () => inner.copies!.copy(from, to, given)),
      },
    }),
    ...(inner.archive && {
      archive: {
        restore: (key: ObjectKey, given: Parameters<Archive['restore']>[1]) =>
          again('restore', undefined, () => inner.archive!.restore(key, given)),
      },
    }),
    close: () => inner.close(),
  }
}
