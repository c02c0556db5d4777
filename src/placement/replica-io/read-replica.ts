import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { isStorageError, type ObjectKey, StorageError } from '../../storage/backend.ts'
import type { Location } from '../location.ts'
import { type Expected, requireExpected } from './expected.ts'

const BUFFER_BYTES = 256 * 1024
/** How often in a row a broken connection is taken up again without a byte of progress in between. */
const MAX_RESUMES = 4
const FIRST_RESUME_DELAY_MS = 200

/**
 * The bytes `start` to `end` (inclusive; `end` < `start` means none) of a replica. A broken connection is
 * resumed from the offset that was reached; when that fails too, the stream is destroyed with the error,
 * never ended short. Destroying it frees its connection at once. An answer that says it is of other content
 * than what is expected, or than the answer before it, makes it fail as `corrupt`.
 */
export function readReplica(
  location: Location,
  key: ObjectKey,
  range: { start: number; end: number },
  signal?: AbortSignal,
  expected?: Expected,
): Readable {
  if (range.end < range.start) return Readable.from([])
  let first: Expected | undefined
  return readResuming(
    async (start, connection) => {
      const held = await location.backend.get(key, { range: { start, end: range.end }, signal: connection })
      try {
        if (expected) requireExpected(held, expected)
        if (first) requireExpected(held, first)
      } catch (error) {
        held.stream.destroy()
        throw error
      }
      first ??= { size: held.size, ...(held.etag !== undefined && { etag: held.etag }) }
      return held
    },
    range,
    signal,
  )
}

type OpenFrom = (start: number, signal: AbortSignal) => Promise<{ stream: Readable }>

function readResuming(
  openFrom: OpenFrom,
  range: { start: number; end: number },
  signal?: AbortSignal,
): Readable {
  const connection = new AbortController()
  let position = range.start
  let failures = 0
  let source: Readable | null = null
  let isOpening = false
  let hasConnected = false
  let isComplete = false

  const output = new Readable({
    highWaterMark: BUFFER_BYTES,
    read() {
      if (source) source.resume()
      else if (!isOpening) void connect()
    },
    destroy(error, done) {
      // A source that gave all its bytes ends by itself, and its connection is used again.
      if (!isComplete) connection.abort()
      source?.destroy()
      done(error)
    },
  })
  if (signal) {
    if (signal.aborted) output.destroy(signal.reason as Error)
    else {
      const onAbort = () => output.destroy(signal.reason as Error)
      signal.addEventListener('abort', onAbort, { once: true })
      output.once('close', () => signal.removeEventListener('abort', onAbort))
    }
  }

  async function connect(): Promise<void> {
    isOpening = true
    try {
      const { stream } = await openFrom(position, connection.signal)
      if (output.destroyed) {
        stream.destroy()
        return
      }
      source = stream
      hasConnected = true
      attach(stream)
    } catch (error) {
      await resumeOrFail(error as Error)
    } finally {
      isOpening = false
    }
  }

  function attach(stream: Readable): void {
    let isOver = false
    const over = (error: Error) => {
      if (isOver) return
      isOver = true
      isOpening = true // or a read in the meantime would open a second connection
      source = null
      stream.destroy()
      void resumeOrFail(error)
    }
    stream.on('data', (chunk: Buffer) => {
      position += chunk.length
      failures = 0
      if (position > range.end + 1)
        return over(new StorageError('corrupt', 'the location sent more bytes than asked for'))
      if (!output.push(chunk)) stream.pause()
      if (position === range.end + 1) {
        isOver = true
        isComplete = true
        source = null
        stream.resume()
        output.push(null)
      }
    })
    // Asked first: every stream closes, and an error costs its stack.
    const endedShort = () => {
      if (isOver) return
      over(new StorageError('unavailable', `the connection ended after ${position - range.start} bytes`))
    }
    stream.on('error', over)
    stream.on('close', endedShort)
    stream.on('end', endedShort)
  }

  async function resumeOrFail(error: Error): Promise<void> {
    if (output.destroyed) return
    failures += 1
    // A first connection that fails was tried again below already (storage/guards/with-retry.ts).
    const isHopeless = !hasConnected || (isStorageError(error) && error.kind !== 'unavailable')
    if (isHopeless || failures > MAX_RESUMES) {
      output.destroy(error)
      return
    }
    await sleep(FIRST_RESUME_DELAY_MS * 2 ** (failures - 1))
    if (!output.destroyed) await connect()
  }

  return output
}
