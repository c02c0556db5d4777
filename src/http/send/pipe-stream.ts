import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { countAnswered, countStreamed } from './minor-gc.ts'

/**
 * How much waits for the client's connection before the source does. Node says "full" at 64 KiB, which is one
 * chunk: the source would be stopped and started again for each.
 */
const AHEAD_BYTES = 512 * 1024

/**
 * Like `pipe`, with the two endings that it lacks: the source is destroyed when the client leaves, and a
 * source that fails or ends early aborts the connection. Bytes are counted because node would keep a client
 * waiting for the rest of a short body.
 */
export function pipeStream(
  source: Readable,
  response: ServerResponse,
  length: number,
  onCut: (error: Error) => void,
): void {
  if (response.destroyed) {
    // The client left before: neither `close` nor `drain` is ever emitted again, and the source would wait
    // for ever.
    source.on('error', () => undefined).destroy()
    return
  }
  let sent = 0
  let isSettled = false
  const cut = (error: Error) => {
    if (isSettled) return
    isSettled = true
    response.destroy()
    onCut(error)
  }
  source.on('data', (chunk: Buffer) => {
    sent += chunk.length
    countStreamed(chunk.length)
    if (sent > length) return cut(new Error(`the source gave more than ${length} bytes`))
    if (!response.write(chunk) && response.writableLength >= AHEAD_BYTES) source.pause()
  })
  response.on('drain', () => source.resume())
  source.on('end', () => {
    if (sent !== length) return cut(new Error(`the source ended after ${sent} of ${length} bytes`))
    isSettled = true
    response.end()
    countAnswered(length)
  })
  source.on('error', cut)
  // Destroyed without an error counts as failed, too.
  source.on('close', () => {
    if (!isSettled) cut(new Error(`the source was closed after ${sent} of ${length} bytes`))
  })
  response.on('close', () => {
    isSettled = true
    source.destroy()
  })
  if (source.destroyed) cut(source.errored ?? new Error('the source was closed before it was read'))
  else source.resume()
}
