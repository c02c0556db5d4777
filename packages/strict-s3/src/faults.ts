/**
 * Faults on demand: which requests they meet, and what they do to them. Carried out in `handle-request` and
 * `send-reply`.
 */
import type { OperationName } from './operation-names.ts'

export type Fault =
  /** Answered at once with an error; nothing is done. */
  | { kind: 'status'; status: number; code: string; retryAfterSeconds?: number }
  /** Done, and answered with 500. */
  | { kind: 'commit-then-500' }
  /** The answer's headers and `atByte` bytes of its body, then the connection is gone. */
  | { kind: 'cut-response'; atByte: number }
  /** `atByte` bytes of the request's body are taken, then the connection is gone; nothing is kept. */
  | { kind: 'cut-request'; atByte: number }
  /** Bodies flow at this rate in both directions. */
  | { kind: 'slow'; bytesPerSecond: number }
  /** Everything happens `ms` milliseconds later. */
  | { kind: 'delay'; ms: number }
  /** Everything happens once `until` resolves. */
  | { kind: 'hold'; until: Promise<void> }
  /**
   * One byte is another, the length is right. On a read: in the answer. On a write: in what is kept, behind a
   * right ETag.
   */
  | { kind: 'wrong-bytes' }
  /**
   * The answer's body ends early, at `atByte` or in its middle, and the connection is closed. `declare` says
   * what Content-Length is: that of the `short` body (the default: HTTP cannot tell), of the `full` one, or
   * absent (`none`).
   */
  | { kind: 'truncate'; atByte?: number; declare?: 'short' | 'full' | 'none' }
  /** GET, HEAD and PUT answer with an ETag that is another object's. */
  | { kind: 'wrong-etag' }
  /** A GET of a range is answered with as many bytes from the beginning, and says so. */
  | { kind: 'other-range' }
  /**
   * A listing leaves out all but the first `keep` keys of its page, and says that nothing follows;
   * `isReversed`: what it shows comes in the wrong order.
   */
  | { kind: 'short-listing'; keep: number; isReversed?: boolean }
  /** GET and HEAD say 404 of an object that is there; other operations are not touched. */
  | { kind: 'stale-404' }
  /** 200 with the XML of an error; `commit`: done all the same. */
  | { kind: 'error-in-200'; commit?: boolean }
  /** No answer, ever; `commit`: done all the same. */
  | { kind: 'hang'; commit?: boolean }
  /** The connection is reset; `commit`: done before. */
  | { kind: 'reset'; commit?: boolean }

export type FaultMatch = {
  operation?: OperationName
  /** The whole key, or a pattern. */
  key?: string | RegExp
  method?: string
  /** Signed in its query, by a URL that was given away, or else by its sender. */
  isPresigned?: boolean
}

export type FaultRequest = { operation: OperationName; key: string; method: string; isPresigned: boolean }

export type FaultPlan = {
  /** All that is given must hold; nothing given meets every request. */
  match?: FaultMatch
  /** How many requests are met; without it, all of them until it is removed. */
  times?: number
  /** How many matching requests go by unharmed first. */
  after?: number
  fault: Fault
}

/** `hits` counts the requests that were met. */
export type PlannedFault = { readonly hits: number; remove(): void }

export type Faults = {
  add(plan: FaultPlan): PlannedFault
  /**
   * Removes all of them. Requests that hang or are held stay so until their clients leave or they are let go.
   */
  clear(): void
}

type Entry = FaultPlan & { seen: number; hits: number }

const matches = (match: FaultMatch, request: FaultRequest): boolean =>
  (match.operation === undefined || match.operation === request.operation) &&
  (match.method === undefined || match.method === request.method) &&
  (match.isPresigned === undefined || match.isPresigned === request.isPresigned) &&
  (match.key === undefined ||
    (typeof match.key === 'string'
      ? match.key === request.key
      : new RegExp(match.key.source, match.key.flags.replace(/[gy]/g, '')).test(request.key)))

/** `take` gives the faults that meet this request, in the order they were added, and counts them. */
export function createFaults(): Faults & {
  take(request: FaultRequest): Fault[]
} {
  let entries: Entry[] = []
  return {
    add(plan) {
      const entry: Entry = { ...plan, seen: 0, hits: 0 }
      entries.push(entry)
      return {
        get hits() {
          return entry.hits
        },
        remove() {
          entries = entries.filter((other) => other !== entry)
        },
      }
    },
    clear() {
      entries = []
    },
    take(request) {
      const met: Fault[] = []
      for (const entry of entries) {
        if (!matches(entry.match ?? {}, request)) continue
        entry.seen += 1
        if (entry.seen <= (entry.after ?? 0) || entry.hits >= (entry.times ?? Number.POSITIVE_INFINITY))
          continue
        entry.hits += 1
        met.push(entry.fault)
      }
      return met
    },
  }
}
