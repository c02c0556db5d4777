/**
 * What streaming leaves behind. Node keeps each chunk that it reads outside of V8's heap, and V8 answers such
 * memory with a full collection every 35 MB or so (44 of them in 1.5 GB, 20 to 100 ms of CPU each), though
 * the chunks died young. A young collection frees them for less than a millisecond. Measured, 500 MB proxied
 * from S3: 1.3 CPU-seconds without,
 * 0.4 with, where a bare node:http pipe with next to nothing on its heap takes 0.5; peak memory 271 and 193
 * MB.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * For a long answer 24 MB came too late at times, and 2 MB cost more than they saved: 0.59 CPU-seconds for
 * 500 MB against
 * 0.45 with 4 MB.
 */
const COLLECT_EVERY_BYTES = 4 * 1024 * 1024
/**
 * Short ones, such as the ranges of a film, leave more behind: 170 of 1 MiB cost 3.1 CPU-seconds with 4 MB,
 * 2.2 with 8 MB and
 * 1.1 with 2 MB. Between two of them nobody waits for the millisecond.
 */
const COLLECT_BETWEEN_BYTES = 2 * 1024 * 1024
const LONG_BYTES = 8 * 1024 * 1024

type Collect = (options: { type: 'minor' }) => void

let collector: Collect | null | undefined
let streamedBytes = 0

/** To be told of every chunk that was passed on. */
export function countStreamed(bytes: number): void {
  streamedBytes += bytes
  if (streamedBytes >= COLLECT_EVERY_BYTES) collect()
}

/** To be told when the last byte of an answer of that length is on its way. */
export function countAnswered(answerBytes: number): void {
  if (answerBytes <= LONG_BYTES && streamedBytes >= COLLECT_BETWEEN_BYTES) setImmediate(collect)
}

function collect(): void {
  streamedBytes = 0
  collector = collector === undefined ? findCollector() : collector
  collector?.({ type: 'minor' })
}

/**
 * V8's own function, which scripts see only behind a flag. Without it streaming works, it costs more.
 *
 * There is next to nothing to share in so small a collection, and on a busy machine waiting for the other
 * threads was most of it: with them half of the collections took more than 2.0 ms, and a tenth more than 18;
 * without 0.6 and 3.5 to 16.
 */
function findCollector(): Collect | null {
  setFlagsFromString('--no-parallel-scavenge')
  setFlagsFromString('--no-concurrent-array-buffer-sweeping')
  setFlagsFromString('--expose-gc')
  const found: unknown = runInNewContext('typeof gc === "function" ? gc : null')
  setFlagsFromString('--no-expose-gc')
  return found as Collect | null
}
