import { finished, type Readable } from 'node:stream'
import type { Body, GetOptions, ObjectKey, PutOptions, StorageBackend, StreamingPuts } from '../backend.ts'
import { isStorageError, StorageError } from '../backend.ts'
import type { Breaker, BreakerCall, CallKind, Outcome } from './breaker.ts'
import { type CallName, mapCalls } from './map-calls.ts'

/** A call, and the stream that it was answered with. */
type UnderWay = BreakerCall & { stream: Readable | null }

const KIND_OF: Record<CallName, CallKind> = {
  head: 'read',
  readMarker: 'read',
  listsMarker: 'read',
  readCounter: 'read',
  listParts: 'read',
  delete: 'other',
  writeMarker: 'other',
  writeCounter: 'other',
  begin: 'other',
  complete: 'other',
  abort: 'other',
  copy: 'other',
  restore: 'other',
  look: 'read',
  extend: 'other',
  bringBack: 'other',
}

/**
 * Lets calls through while the place answers, and refuses them at once (`unavailable`, with `retryAt`) while
 * it doesn't. Reads are given up after `answerWithinMs` without an answer; a block cuts whatever is under
 * way, streams included.
 *
 * The trial is a read of the marker, not the next caller's call: it is small, the same everywhere, and never
 * waits for the 100 GB of an upload. The first caller after it is due waits for it.
 *
 * It belongs under the limits: a wait for a slot is not the place's silence, and when it opens the slots are
 * free at once.
 */
export function withBreaker(inner: StorageBackend, breaker: Breaker): StorageBackend {
  async function admit(): Promise<void> {
    if (breaker.isTrialDue()) {
      await run('trial', undefined, (signal) => inner.readMarker({ signal })).catch(() => {})
    }
    breaker.assertAdmits()
  }

  /**
   * `isOurs`: whether a failure is of this place at all, asked when it has failed. `provesNothing`: it may
   * return without having heard from the place.
   */
  async function run<T>(
    kind: CallKind,
    callerSignal: AbortSignal | undefined,
    act: (signal: AbortSignal, call: UnderWay) => Promise<T>,
    {
      isOurs = () => true,
      staysUnderWay = false,
      provesNothing = false,
    }: { isOurs?: () => boolean; staysUnderWay?: boolean; provesNothing?: boolean } = {},
  ): Promise<T> {
    callerSignal?.throwIfAborted()
    const begun = breaker.begin(kind)
    // One signal for all reasons: AbortSignal.any costs weak references, which every collection has to look
    // at.
    const controller = new AbortController()
    const { signal } = controller
    const { answerWithinMs } = breaker.rules
    const giveUp = () => controller.abort(new StorageError('unavailable', silence(answerWithinMs)))
    const leave = () => controller.abort(callerSignal?.reason)
    const cut = () => {
      // The stream first: the backend's own end of it would have no reason to tell.
      call.stream?.destroy(begun.signal.reason as Error)
      controller.abort(begun.signal.reason)
    }
    const timer = kind === 'other' ? undefined : setTimeout(giveUp, answerWithinMs)
    callerSignal?.addEventListener('abort', leave, { once: true })
    begun.signal.addEventListener('abort', cut, { once: true })
    const call: UnderWay = {
      ...begun,
      stream: null,
      end() {
        callerSignal?.removeEventListener('abort', leave)
        begun.signal.removeEventListener('abort', cut)
        begun.end()
      },
    }
    let isUnderWay = false
    try {
      const result = await orAborted(act(signal, call), signal)
      call.decide(provesNothing ? 'unknown' : 'answered')
      isUnderWay = staysUnderWay
      return result
    } catch (error) {
      const isLeft = callerSignal?.aborted ?? false
      const ageMs = call.ageMs()
      const reason = isLeft ? silence(Math.round(ageMs)) : messageOf(error)
      call.decide(outcomeOf(error, isLeft, ageMs >= answerWithinMs / 2, isOurs()), reason)
      throw error
    } finally {
      clearTimeout(timer)
      if (!isUnderWay) call.end()
    }
  }

  async function get(key: ObjectKey, options: GetOptions = {}) {
    await admit()
    return run(
      'read',
      options.signal,
      async (signal, call) => {
        const got = await inner.get(key, { ...options, signal })
        if (signal.aborted) got.stream.destroy()
        watchStream(got.stream, call)
        return got
      },
      { staysUnderWay: true },
    )
  }

  /** What comes after the answer: a block cuts it, and an end before its time counts as one more failure. */
  function watchStream(stream: Readable, call: UnderWay): void {
    call.stream = stream
    finished(stream, { writable: false }, (error) => {
      if (isStorageError(error, 'unavailable')) call.breakOff(error.message)
      call.end()
    })
  }

  async function put(key: ObjectKey, body: Body, options: PutOptions = {}) {
    await admit()
    const source = watchSource(body)
    return run('other', options.signal, (signal) => inner.put(key, source.body, { ...options, signal }), {
      isOurs: () => !source.hasFailed(),
    })
  }

  async function other<T>(signal: AbortSignal | undefined, act: (signal: AbortSignal) => Promise<T>) {
    await admit()
    return run('other', signal, act)
  }

  async function* list<T>(
    callerSignal: AbortSignal | undefined,
    open: (signal: AbortSignal) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    await admit()
    const call = breaker.begin('other')
    const signal = callerSignal ? AbortSignal.any([call.signal, callerSignal]) : call.signal
    try {
      for await (const entry of open(signal)) {
        call.decide('answered')
        signal.throwIfAborted()
        yield entry
      }
      call.decide('answered')
    } catch (error) {
      call.decide(outcomeOf(error, callerSignal?.aborted ?? false, false, true), messageOf(error))
      throw error
    } finally {
      call.end()
    }
  }

  function streamingPut(puts: StreamingPuts): StreamingPuts {
    return {
      partBytes: puts.partBytes,
      async begin(key, options) {
        const put = await other(options.signal, (signal) => puts.begin(key, { ...options, signal }))
        return {
          uploadId: put.uploadId,
          async advance(availableBytes) {
            await admit()
            // Parts are sent beside it, and mostly there is not enough for one yet.
            await run('other', undefined, () => put.advance(availableBytes), { provesNothing: true })
          },
          complete: (body, signal) => other(signal, (ours) => put.complete(body, ours)),
          stop: () => put.stop(),
          async abort() {
            await put.stop()
            // A caller that ends it must not wait for a location that is away: a journal remembers the
            // upload.
            await other(undefined, () => put.abort())
          },
        }
      },
    }
  }

  return mapCalls(inner, {
    get,
    put,
    async call(name, signal, act) {
      await admit()
      return run(KIND_OF[name], signal, act)
    },
    async sign(act) {
      breaker.assertAdmits()
      return act()
    },
    list,
    streamingPut,
  })
}

function outcomeOf(error: unknown, isLeft: boolean, wasStalledLong: boolean, isOurs: boolean): Outcome {
  // A caller that loses patience proves nothing, unless the place was silent for long by then.
  if (isLeft) return wasStalledLong && isOurs ? 'failed' : 'unknown'
  if (!isStorageError(error) || !isOurs) return 'unknown'
  return error.kind !== 'unavailable' || error.isOfOneObject ? 'answered' : 'failed'
}

/** A body may come from another place, whose failures are not this one's. */
function watchSource(body: Body): { body: Body; hasFailed(): boolean } {
  let hasFailed = false
  const note = () => {
    hasFailed = true
  }
  const { openFile } = body
  return {
    hasFailed: () => hasFailed,
    body: {
      ...body,
      open: (range) => body.open(range).on('error', note),
      ...(openFile && {
        openFile: () =>
          openFile.call(body).catch((error: unknown) => {
            note()
            throw error
          }),
      }),
    },
  }
}

/** Rejects with the signal's reason as soon as it is aborted, also where the call takes no notice of it. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    if (signal.aborted) abort()
  })
}

function silence(ms: number): string {
  return `no answer for ${ms} ms`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
