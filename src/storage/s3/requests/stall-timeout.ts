/**
 * How long a request that is no download may be silent. Progress is bounded, never the total: a large file on
 * a slow line is not cut while its bytes move.
 */
import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import { StorageError } from '../../backend.ts'

export type StallRules = {
  /**
   * So long no byte of a put may be taken and, after its last byte, no answer be given; for the answer, as
   * long as the bytes took and a second for each MiB are added, since what the kernel or a proxy has taken
   * may still be on its way.
   */
  answerWithinMs: number
  /**
   * Called for any request after half of that time: is the whole location silent? The request fails with
   * what it throws.
   */
  onSilence(): Promise<void>
}

type Head = { method: string; query?: Record<string, unknown>; headers: Record<string, string> }

const MIB = 1024 * 1024
/**
 * Bytes given to the socket at a time. A connection that takes fewer in `answerWithinMs` counts as stalled.
 */
const SLICE_BYTES = 128 * 1024
/** So that the next slice is at hand when the one before has gone. */
const SLICES_AT_ONCE = 2

/**
 * Reads, which those who wait for them bound, and what may legitimately take minutes without a byte (copies,
 * the completion of a multipart upload, the deletion of many) are never cut for their own silence, only for
 * that of the whole place.
 */
function mayTakeLong({ method, query = {}, headers }: Head): boolean {
  if (method === 'PUT') return Object.keys(headers).some((name) => name.toLowerCase() === 'x-amz-copy-source')
  return method !== 'HEAD' && !(method === 'POST' && 'uploads' in query)
}

/**
 * Sends the body and ends the request, which is destroyed when it is silent for too long. Downloads are only
 * sent.
 */
export function sendWatched(
  outgoing: ClientRequest,
  head: Head,
  body: unknown,
  { answerWithinMs, onSilence }: StallRules,
): void {
  if (head.method === 'GET') {
    outgoing.end(body)
    return
  }
  const isPatient = mayTakeLong(head)
  let isOver = false
  let beganAt = 0
  let movedAt = 0
  let allOutAt: number | null = null
  let nextQuestionAt = 0
  let timer: NodeJS.Timeout | undefined

  function moved(): void {
    movedAt = performance.now()
    nextQuestionAt = movedAt + answerWithinMs / 2
  }

  function silentUntil(): number {
    if (isPatient) return Number.POSITIVE_INFINITY
    if (allOutAt === null) return movedAt + answerWithinMs
    const bytes = body instanceof Uint8Array ? body.length : 0
    return allOutAt + answerWithinMs + (allOutAt - beganAt) + (bytes / MIB) * 1_000
  }

  function look(): void {
    if (isOver) return
    const now = performance.now()
    if (now >= silentUntil()) {
      const what = allOutAt === null ? 'took no byte' : 'gave no answer'
      const silentMs = Math.round(now - movedAt)
      outgoing.destroy(new StorageError('unavailable', `the S3 service ${what} for ${silentMs} ms`))
      return
    }
    if (now >= nextQuestionAt) {
      nextQuestionAt = now + answerWithinMs
      onSilence().catch((error: Error) => {
        if (!isOver) outgoing.destroy(error)
      })
    }
    timer = setTimeout(look, Math.min(silentUntil(), nextQuestionAt) - now).unref()
  }

  function end(): void {
    isOver = true
    clearTimeout(timer)
  }

  // Waiting for a connection of the pool is nobody's silence, and the time to connect has a bound of its own.
  outgoing.once('socket', (socket: Socket) => {
    const begin = () => {
      moved()
      beganAt = movedAt
      look()
    }
    if (socket.connecting) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', begin)
    else begin()
  })
  outgoing.once('response', end)
  outgoing.once('close', end)
  outgoing.once('finish', () => {
    moved()
    allOutAt = movedAt
  })
  if (body instanceof Uint8Array) sendInSlices(outgoing, body, moved)
  else outgoing.end(body)
}

/** One after the other: handed over whole, a body would say nothing before all of it has gone. */
function sendInSlices(outgoing: ClientRequest, body: Uint8Array, onMoved: () => void): void {
  let position = 0
  let isEnded = false
  function next(): void {
    if (position < body.length) {
      const slice = body.subarray(position, position + SLICE_BYTES)
      position += slice.length
      outgoing.write(slice, (error) => {
        if (error) return // the request fails with it
        onMoved()
        next()
      })
    } else if (!isEnded) {
      isEnded = true
      outgoing.end()
    }
  }
  for (let n = 0; n < SLICES_AT_ONCE; n += 1) next()
}
