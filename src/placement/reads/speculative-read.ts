/**
 * Reads that begin before it is known whether they may. Seeking in a video means one range after another,
 * with the same credentials; each time the ledger is asked who they are, what they may see and where it is.
 * Meanwhile the bucket may already be asked for what it was asked for a moment ago. Nothing of it leaves
 * before the ledger has said, for this very request, that this replica is verified and may be read by who
 * asks; else it is thrown away.
 */
import type { Readable } from 'node:stream'
import type { ObjectKey } from '../../storage/backend.ts'
import type { Replica } from '../ledger/objects.ts'
import type { Placement } from '../placement.ts'
import { readReplica } from '../replica-io/read-replica.ts'

type Range = { start: number; end: number }
/** Bytes of so many at a location under a key, as they were proven there. */
export type ReadSource = { locationId: string; key: ObjectKey; size: number; etag: string | undefined }

export type SpeculativeRead = {
  /** The stream, once, if it is of this source and range and has not failed. */
  take(replica: Replica, range: Range, signal?: AbortSignal): Readable | null
  /** Frees the connection of what was not taken. */
  discard(): void
}

export type SpeculativeReads = {
  /**
   * `name`: of the request that was just answered from the source; the same request may be read for
   * speculatively for a while.
   */
  remember(name: string, source: ReadSource): void
  /**
   * Null where nothing is remembered. `rangeOf` says what of so many bytes is asked for; null: nothing.
   */
  begin(name: string, rangeOf: (size: number) => Range | null): SpeculativeRead | null
}

const REMEMBERED_FOR_MS = 60_000
const MAX_REMEMBERED = 1_000

export function openSpeculativeReads(placement: Pick<Placement, 'locations'>): SpeculativeReads {
  const known = new Map<string, ReadSource & { until: number }>()
  return {
    remember(name, source) {
      known.delete(name)
      known.set(name, { ...source, until: performance.now() + REMEMBERED_FOR_MS })
      const oldest = known.size > MAX_REMEMBERED ? known.keys().next().value : undefined
      if (oldest !== undefined) known.delete(oldest)
    },
    begin(name, rangeOf) {
      const source = known.get(name)
      if (source === undefined) return null
      const location = placement.locations.get(source.locationId)
      const range = rangeOf(source.size)
      if (performance.now() > source.until || location === undefined) {
        known.delete(name)
        return null
      }
      if (range === null) return null
      const { key, size, etag } = source
      const stream = readReplica(location, key, range, undefined, {
        size,
        ...(etag !== undefined && { etag }),
      })
      let isTaken = false
      // Whoever takes it listens on its own; one that fails before is not taken, and is read again in the
      // usual way.
      stream.on('error', () => known.delete(name))
      stream.read(0)
      return {
        take(wanted, { start, end }, signal) {
          const isSame =
            wanted.locationId === source.locationId &&
            wanted.key === key &&
            wanted.proof?.etag === etag &&
            start === range.start &&
            end === range.end
          if (!isSame) known.delete(name)
          if (!isSame || isTaken || stream.destroyed || signal?.aborted) return null
          isTaken = true
          const onAbort = () => stream.destroy(signal?.reason as Error)
          signal?.addEventListener('abort', onAbort, { once: true })
          stream.once('close', () => signal?.removeEventListener('abort', onAbort))
          return stream
        },
        discard() {
          if (isTaken) return
          // Answered from elsewhere or not at all: the next one would be read in vain as well.
          known.delete(name)
          stream.destroy()
        },
      }
    },
  }
}
