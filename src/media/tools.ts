import { availableParallelism } from 'node:os'
import type { Log } from '../log.ts'
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

/**
 * `threads`: how many pictures are worked on at once (default: one less than there are cores, at least 1);
 * `encodings`: how many videos.
 */
export function openMediaTools(options: {
  log: Log
  threads?: number
  encodings?: number
  idleMs?: number
  perlPlaces?: string[]
}): MediaTools {
  const cores = availableParallelism()
  const { log, threads = Math.max(1, cores - 1), encodings = 1, idleMs = IDLE_MS, perlPlaces } = options
  const quick = openProcessPool({ limit: threads, idleMs, log })
  const slow = openProcessPool({ limit: encodings, idleMs, log })
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
