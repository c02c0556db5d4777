import type { StorageBackend } from '../backend.ts'
import { mapCalls } from './map-calls.ts'
import { openSemaphore } from './semaphore.ts'

/**
 * Bounds the calls that a location has not answered, also those that nobody waits for any more. A call to a
 * share of the network that hangs keeps a thread of Node's until it is answered, whatever its caller does,
 * and the local disk needs threads, too. Under a breaker, which gives up waiting: whoever comes after
 * `atOnce` stuck calls waits for a slot, which costs nothing, and is given up in the same way. Puts are
 * bounded by the limits above.
 */
export function withCallLimit(inner: StorageBackend, atOnce: number): StorageBackend {
  const slots = openSemaphore(atOnce)
  return mapCalls(inner, {
    get: (key, options) => slots.run(options?.signal, () => inner.get(key, options)),
    put: (key, body, options) => inner.put(key, body, options),
    call: (_name, signal, run) => slots.run(signal, () => run(signal)),
    sign: (run) => run(),
    list: (signal, open) => open(signal),
    streamingPut: (puts) => puts,
  })
}
