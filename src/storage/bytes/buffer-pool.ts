/**
 * A buffer on loan. `release(true)` only when nobody can write from it any more, such as a socket that was
 * cut off.
 */
export type Loan = { buffer: Buffer; release(reusable: boolean): void }

export type BufferPool = { take(bytes: number, signal?: AbortSignal): Promise<Loan> }

const MIN_BUFFER_BYTES = 64 * 1024
/** What is kept for the next taker. Fresh memory costs a page fault per 4 KiB. */
const MAX_KEPT = 8
/** After so long without a taker nothing is kept: an idle server is a small one. */
const KEPT_MS = 10_000

/**
 * Bounds the memory of all puts of one location together: a taker waits, first come first served, until
 * `maxBytes` allow its loan. One that wants more than `maxBytes` gets it when nobody else has any.
 */
export function openBufferPool(maxBytes: number): BufferPool {
  let lentBytes = 0
  const waiting: { bytes: number; start(): void }[] = []
  const kept: Buffer[] = []
  let dropKept: NodeJS.Timeout | undefined

  function startWaiting(): void {
    while (waiting.length > 0 && fits(waiting[0]!.bytes)) waiting.shift()!.start()
  }

  function fits(bytes: number): boolean {
    return lentBytes === 0 || lentBytes + bytes <= maxBytes
  }

  function lend(bytes: number, capacity: number): Loan {
    lentBytes += capacity
    const at = kept.findIndex((candidate) => candidate.length === capacity)
    const whole = at === -1 ? Buffer.allocUnsafeSlow(capacity) : kept.splice(at, 1)[0]!
    let isOut = true
    return {
      buffer: whole.subarray(0, bytes),
      release(reusable) {
        if (!isOut) return
        isOut = false
        lentBytes -= capacity
        if (reusable && lentBytes + (kept.length + 1) * capacity <= maxBytes && kept.length < MAX_KEPT)
          kept.push(whole)
        // Not at once: between two puts of one burst there are moments when nothing is lent, and new buffers
        // bring the garbage collector with them, a third of the CPU of an offload.
        dropKept ??= setTimeout(() => (kept.length = 0), KEPT_MS).unref()
        dropKept.refresh()
        startWaiting()
      },
    }
  }

  return {
    take(bytes, signal) {
      signal?.throwIfAborted()
      const capacity = capacityFor(bytes)
      if (waiting.length === 0 && fits(capacity)) return Promise.resolve(lend(bytes, capacity))
      return new Promise((resolve, reject) => {
        const entry = {
          bytes: capacity,
          start() {
            signal?.removeEventListener('abort', abort)
            resolve(lend(bytes, capacity))
          },
        }
        const abort = () => {
          waiting.splice(waiting.indexOf(entry), 1)
          reject(signal?.reason)
          startWaiting()
        }
        signal?.addEventListener('abort', abort, { once: true })
        waiting.push(entry)
      })
    },
  }
}

/**
 * Sizes come in steps of an eighth of a power of two, so that buffers of photos of about one size are used
 * again.
 */
function capacityFor(bytes: number): number {
  if (bytes <= MIN_BUFFER_BYTES) return MIN_BUFFER_BYTES
  const step = 2 ** Math.floor(Math.log2(bytes)) / 8
  return Math.ceil(bytes / step) * step
}
