import { availableParallelism, totalmem } from 'node:os'
import type { Log } from '../../log.ts'
import { openProcessPool, type ProcessPool } from './process-pool.ts'

/** The processes that work on media files. None runs until it is needed; idle ones end after a minute. */
export type MediaTools = {
  log: Log
  /** Metadata, pictures, frames: seconds each. */
  quick: ProcessPool
  /** Video encoding: minutes each, so that no picture waits behind one. */
  slow: ProcessPool
  /** Threads for one video encoding. */
  encodeThreads: number
  /** Where Perl is looked for; absent: the usual places. */
  perlPlaces: string[] | undefined
  /** Every media process that runs now, for metrics and tests. */
  processIds(): number[]
  /** Ends all of it within 2 s; work under way fails as transient. */
  close(): Promise<void>
}

const IDLE_MS = 60_000
/** A picture takes a second or two; one that takes longer no longer holds up the files of others. */
const SLOW_PICTURE_MS = 5_000
/** A film takes as long as it is, about. */
const SLOW_FILM_MS = 120_000
const LEAST_MEMORY_BYTES = 2 ** 30

/**
 * `threads`: how many pictures are worked on at once (default: as many as there are cores, since media
 * processes have a lower priority); `encodings`: how many videos; `memoryBytes`: for all pictures at once,
 * and again for all videos (default: half of what this machine or container has, at least 1 GiB);
 * `slowAfterMs`: for tests.
 */
export function openMediaTools(options: {
  log: Log
  threads?: number
  encodings?: number
  idleMs?: number
  perlPlaces?: string[]
  memoryBytes?: number | null
  slowAfterMs?: number
}): MediaTools {
  const cores = availableParallelism()
  const { log, threads = cores, encodings = 1, idleMs = IDLE_MS, perlPlaces } = options
  const common = { memoryBytes: options.memoryBytes ?? halfOfMemory(), idleMs, log }
  const { slowAfterMs } = options
  const quick = openProcessPool({ ...common, limit: threads, slowAfterMs: slowAfterMs ?? SLOW_PICTURE_MS })
  const slow = openProcessPool({ ...common, limit: encodings, slowAfterMs: slowAfterMs ?? SLOW_FILM_MS })
  return {
    log,
    quick,
    slow,
    encodeThreads: Math.max(1, Math.floor(cores / encodings)),
    perlPlaces,
    processIds: () => [...quick.processIds(), ...slow.processIds()],
    async close() {
      await Promise.all([quick.close(), slow.close()])
    },
  }
}

function halfOfMemory(): number {
  // 0, or more than there is, where no container limits it.
  const allowed = process.constrainedMemory() || Number.POSITIVE_INFINITY
  return Math.max(LEAST_MEMORY_BYTES, Math.floor(Math.min(totalmem(), allowed) / 2))
}
