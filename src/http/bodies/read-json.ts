import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { type BodyBudget, crowded, type HeldBody } from './budget.ts'
import { createJsonScan } from './json-scan.ts'
import { type BodyLimits, JSON_PACE } from './limits.ts'
import { type PaceWatch, tooSlow } from './pace.ts'

/** Above this the steps from bytes to values let other requests in between. */
export const LONG_BYTES = 256 * 1024

export type JsonSource = {
  payload: IncomingMessage
  limits: BodyLimits
  budget: BodyBudget
  pace: PaceWatch
  /** See `BodyBudget`. */
  owner: string
}

/**
 * The text of a JSON body; '' where there is none. What it holds of the budget is free when `until` is
 * called.
 * @throws AppError invalid (too complex, not UTF-8, cut off), too-large, too-slow, unavailable (no room for
 * it)
 */
export async function readJsonText(source: JsonSource): Promise<{ text: string; release(): void }> {
  const { payload, limits } = source
  const announced = Number(payload.headers['content-length'] ?? 0)
  if (announced > limits.maxBytes) throw tooLarge(limits)
  const { promise: failed, reject: fail } = Promise.withResolvers<never>()
  const held = source.budget.open(source.owner, () => fail(crowded()))
  const received = gather(payload, limits, announced, held)
  const stopWatching = source.pace.watch({
    pace: JSON_PACE,
    received: received.size,
    isOurTurn: () => payload.readableLength > 0,
    onTooSlow: () => fail(tooSlow()),
  })
  try {
    const bytes = await Promise.race([received.done, failed])
    held.complete()
    if (bytes.length > LONG_BYTES) await setImmediate()
    if (!isUtf8(bytes)) throw new AppError('invalid', 'The body is not UTF-8')
    const text = bytes.toString('utf8')
    if (bytes.length > LONG_BYTES) await setImmediate()
    return { text, release: held.release }
  } catch (error) {
    held.release()
    throw error
  } finally {
    stopWatching()
    received.stop()
  }
}

/**
 * The bytes in one buffer, which grows with what is here and not with what was announced. Kept as they come,
 * chunks of one byte would take 250 times their size.
 */
function gather(
  payload: IncomingMessage,
  limits: BodyLimits,
  announced: number,
  held: HeldBody,
): { done: Promise<Buffer>; size(): number; stop(): void } {
  const scan = createJsonScan(limits)
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  let buffer = Buffer.alloc(0)
  let size = 0

  function makeRoom(needed: number): void {
    if (needed <= buffer.length) return
    const most = announced > 0 ? Math.max(announced, needed) : limits.maxBytes
    const grown = Buffer.allocUnsafeSlow(Math.min(most, Math.max(needed, buffer.length * 2, 512)))
    held.grow(grown.length - buffer.length)
    buffer.copy(grown, 0, 0, size)
    buffer = grown
  }

  function onData(chunk: Buffer): void {
    try {
      if (size + chunk.length > limits.maxBytes) throw tooLarge(limits)
      scan.add(chunk)
      makeRoom(size + chunk.length)
      size += chunk.copy(buffer, size)
    } catch (error) {
      stop()
      reject(error as Error)
    }
  }
  const onEnd = () => resolve(buffer.subarray(0, size))
  const onClose = () => reject(new AppError('invalid', 'The body was cut off'))

  function stop(): void {
    payload.off('data', onData).off('end', onEnd).off('close', onClose)
  }

  payload.on('data', onData).on('end', onEnd).on('close', onClose)
  // A broken connection emits two events, an error and the end; this listens to the second.
  payload.on('error', onClose)
  promise.catch(() => undefined)
  return { done: promise, size: () => size, stop }
}

function tooLarge({ maxBytes }: BodyLimits): AppError {
  return new AppError('too-large', `The body is larger than the limit of ${maxBytes} bytes`)
}
