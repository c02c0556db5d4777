/** A request's connection: its body, its silence, its end. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Counts } from '../counts.ts'
import type { Fault } from '../faults.ts'
import { S3Error } from '../wire/s3-error.ts'
import { writeXml } from '../wire/xml.ts'

/** Ends the exchange without an answer. */
export class Disconnect extends Error {
  readonly how: 'close' | 'reset'
  constructor(how: 'close' | 'reset') {
    super(`connection ${how}`)
    this.how = how
  }
}

/** The request's body as it comes: counted, cut by faults, given up when the client falls silent. */
export async function* readSocket(
  parts: { counts: Counts; idleBodyMs: number },
  request: IncomingMessage,
  response: ServerResponse,
  faults: Fault[],
  state: { hasBegun: boolean },
): AsyncIterable<Buffer> {
  state.hasBegun = true
  if (request.headers.expect?.toLowerCase() === '100-continue') response.writeContinue()
  const cut = faults.find((fault) => fault.kind === 'cut-request')
  if (cut?.atByte === 0) throw new Disconnect('close')
  // Not destroyed when a check fails half-way: the answer must still go out on its connection.
  const chunks: AsyncIterator<Buffer> = request.iterator({ destroyOnReturn: false })
  let taken = 0
  try {
    for (;;) {
      const silence = setTimeout(() => refuseSilence(parts, response), parts.idleBodyMs)
      let next: IteratorResult<Buffer>
      try {
        next = await chunks.next()
      } catch {
        throw new Disconnect('close')
      } finally {
        clearTimeout(silence)
      }
      if (next.done) return
      parts.counts.bytesIn += next.value.length
      taken += next.value.length
      if (cut && taken >= cut.atByte) throw new Disconnect('close')
      yield next.value
    }
  } finally {
    // Lets go of the stream, so that what is left of the body can be read over and the connection used again.
    await chunks.return?.()
  }
}

function refuseSilence(parts: { counts: Counts }, response: ServerResponse): void {
  parts.counts.errors.RequestTimeout = (parts.counts.errors.RequestTimeout ?? 0) + 1
  const { status, message } = new S3Error('RequestTimeout')
  const body = writeXml('Error', { Code: 'RequestTimeout', Message: message }, { namespaced: false })
  response.writeHead(status, { 'content-type': 'application/xml', connection: 'close' })
  response.end(body, () => response.req.destroy())
}

/** Waits for the client to leave, then says so. */
export async function gone(response: ServerResponse): Promise<never> {
  if (!response.destroyed) await new Promise((resolve) => response.once('close', resolve))
  throw new Disconnect('close')
}
