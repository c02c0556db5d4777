/** From a reply to bytes on a connection, with the faults that happen there. */
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counts } from '../counts.ts'
import type { Fault } from '../faults.ts'
import type { Reply } from './call.ts'

const pick = <K extends Fault['kind']>(faults: Fault[], kind: K): Extract<Fault, { kind: K }> | undefined =>
  faults.find((fault): fault is Extract<Fault, { kind: K }> => fault.kind === kind)

/** Waits until the socket takes more, or is gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed || !response.writableNeedDrain) return resolve()
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}

/** Splits `chunks` so that they leave at the given rate, ten times a second. */
export async function* throttled(
  chunks: AsyncIterable<Buffer>,
  bytesPerSecond: number,
): AsyncIterable<Buffer> {
  const slice = Math.max(1, Math.floor(bytesPerSecond / 10))
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += slice) {
      const part = chunk.subarray(at, at + slice)
      yield part
      await sleep((part.length / bytesPerSecond) * 1000)
    }
  }
}

async function* once(text: string): AsyncIterable<Buffer> {
  yield Buffer.from(text)
}

async function* flipped(chunks: AsyncIterable<Buffer>, at: number): AsyncIterable<Buffer> {
  let offset = 0
  for await (const chunk of chunks) {
    if (at < offset || at >= offset + chunk.length) yield chunk
    else {
      const other = Buffer.from(chunk)
      other[at - offset] = other[at - offset]! ^ 0xff
      yield other
    }
    offset += chunk.length
  }
}

/** Sends `chunks` up to `limit` bytes; stops at once, and closes the source, when the client leaves. */
async function sendChunks(
  response: ServerResponse,
  chunks: AsyncIterable<Buffer>,
  limit: number,
  counts: Counts,
): Promise<void> {
  let left = limit
  for await (const chunk of chunks) {
    if (response.destroyed || response.socket?.destroyed) return
    const part = chunk.length > left ? chunk.subarray(0, left) : chunk
    left -= part.length
    counts.bytesOut += part.length
    if (!response.write(part)) await drained(response)
    if (left === 0) return
  }
}

/**
 * Resolves when the reply is sent, or its connection gone. A body that fails under way destroys the
 * connection: the client must not take what it has for the whole.
 */
export async function sendReply(
  response: ServerResponse,
  reply: Reply,
  options: { isHead: boolean; closeAfter: boolean; faults: Fault[]; counts: Counts },
): Promise<void> {
  const { faults, counts } = options
  const body =
    typeof reply.body === 'string'
      ? { length: Buffer.byteLength(reply.body), open: () => once(reply.body as string) }
      : reply.body
  const cut = pick(faults, 'cut-response')
  const truncate = pick(faults, 'truncate')
  const length = body?.length ?? 0
  const cutAt = cut?.atByte ?? (truncate ? (truncate.atByte ?? Math.floor(length / 2)) : undefined)
  const declares = truncate ? (truncate.declare ?? 'short') : 'full'
  const mayHaveBody = reply.status !== 204 && reply.status !== 304
  const headers: Record<string, string> = { ...reply.headers }
  if (mayHaveBody && declares !== 'none')
    headers['content-length'] = String(declares === 'short' ? Math.min(cutAt ?? length, length) : length)
  if (options.closeAfter || truncate) headers.connection = 'close'
  if (declares === 'none') response.useChunkedEncodingByDefault = false
  response.writeHead(reply.status, headers)

  if (options.isHead || !mayHaveBody || body === null || length === 0) {
    if (cut && !options.isHead) response.destroy()
    else response.end()
    return
  }
  const slow = pick(faults, 'slow')
  let chunks = body.open()
  if (pick(faults, 'wrong-bytes')) chunks = flipped(chunks, Math.floor(length / 2))
  if (slow) chunks = throttled(chunks, slow.bytesPerSecond)
  try {
    if (cut || slow) response.flushHeaders()
    if (cutAt !== 0) await sendChunks(response, chunks, Math.min(cutAt ?? length, length), counts)
  } catch (error) {
    response.destroy()
    throw error
  }
  if (cut || (truncate && declares === 'full')) {
    // What was written must reach the client before the connection goes.
    if (response.writableNeedDrain) await drained(response)
    response.socket?.destroySoon()
    return
  }
  response.end()
}
