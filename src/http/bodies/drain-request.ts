import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * How much of an unwanted body is read and thrown away, so that the answer reaches a client that is still
 * sending.
 */
const MAX_DRAIN_BYTES = 64 * 1024 * 1024
const MAX_DRAIN_MS = 30_000

/** An answer that fails while it goes out is followed by that of its error. */
const draining = new WeakSet<IncomingMessage>()

/**
 * For answers given before the body was read (a duplicate, a file too large). Closing at once would reset the
 * connection and may cost the client the answer, and reading 3 GB to throw them away costs everybody: so
 * drain a while, then close.
 */
export function drainRequest(request: IncomingMessage, response: ServerResponse): void {
  if (request.readableEnded || request.destroyed || draining.has(request)) return
  draining.add(request)
  const { socket } = request
  let drained = 0
  const close = () => socket.destroy()
  const timer = setTimeout(close, MAX_DRAIN_MS)
  const stop = () => {
    clearTimeout(timer)
    socket.off('close', stop)
  }
  request.unpipe()
  request.on('data', (chunk: Buffer) => {
    drained += chunk.length
    if (drained > MAX_DRAIN_BYTES && response.writableFinished) close()
  })
  request.once('end', stop)
  request.once('close', stop)
  // Once the answer is out, node no longer tells the request that its client is gone.
  socket.once('close', stop)
  request.resume()
}
