import { finished } from 'node:stream'
import type { StorageBackend } from '../backend.ts'
import { type CallName, mapCalls } from './map-calls.ts'
import { openSemaphore } from './semaphore.ts'

/**
 * How many calls may be under way at once. Reads and writes wait apart: an offload never makes a viewer wait.
 */
export type Limits = { reads: number; writes: number; others: number }

/** Parts are sent by others; what we ask about them is small. */
const SLOT_OF: Record<CallName, 'writes' | 'others'> = {
  head: 'others',
  delete: 'others',
  readMarker: 'others',
  listsMarker: 'others',
  writeMarker: 'others',
  readCounter: 'others',
  writeCounter: 'others',
  begin: 'others',
  listParts: 'others',
  complete: 'writes',
  abort: 'others',
  copy: 'writes',
  restore: 'others',
  look: 'others',
  extend: 'others',
  bringBack: 'others',
}

/**
 * Bounds what one location is asked at once. A get holds its slot until its stream has ended or was
 * destroyed; a caller that is aborted while it waits leaves the queue.
 */
export function withLimits(inner: StorageBackend, limits: Limits): StorageBackend {
  const reads = openSemaphore(limits.reads)
  const slots = { writes: openSemaphore(limits.writes), others: openSemaphore(limits.others) }

  return mapCalls(inner, {
    async get(key, options) {
      const release = await reads.take(options?.signal)
      try {
        const got = await inner.get(key, options)
        finished(got.stream, { writable: false }, release)
        return got
      } catch (error) {
        release()
        throw error
      }
    },
    put: (key, body, options) => slots.writes.run(options?.signal, () => inner.put(key, body, options)),
    call: (name, signal, run) => slots[SLOT_OF[name]].run(signal, () => run(signal)),
    sign: (run) => run(),
    // A listing lasts as long as its reader likes, so it holds no slot; its pages come one at a time anyway.
    list: (signal, open) => open(signal),
    streamingPut: (puts) => puts,
  })
}
