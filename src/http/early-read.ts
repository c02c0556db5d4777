import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type EarlyRead, type EarlyReads, openEarlyReads, type ReadSource } from '../placement/early-read.ts'
import type { Placement } from '../placement/placement.ts'
import { findCredentials } from './authenticate.ts'
import { parseRange } from './range.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What was begun before the request was authenticated; see placement/early-read. */
    earlyRead: EarlyRead | null
    /** To be called when the request is answered from that source. */
    rememberRead: ((source: ReadSource) => void) | null
  }
}

/** Only of files; what is asked for under a condition may be answered without the bucket. */
const PATHS = /^\/api\/assets\/[^/]+\/(original|video\/playback)$/
const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-range']

/** Begins reads early. Before `addAuthentication`, whose statements they do not wait for. */
export function addEarlyReads(app: FastifyInstance, placement: Placement): void {
  let reads: EarlyReads | undefined
  app.decorateRequest('earlyRead', null)
  app.decorateRequest('rememberRead', null)
  app.addHook('onRequest', async (request, reply) => {
    const name = nameOf(request)
    if (name === null) return
    reads ??= openEarlyReads(placement)
    const { remember, begin } = reads
    request.rememberRead = (source) => remember(name, source)
    const early = begin(name, (size) => {
      const range = parseRange(request.headers.range, size)
      return range === 'unsatisfiable' ? null : range
    })
    if (early === null) return
    request.earlyRead = early
    // Also the end of an answer that was refused, or went another way.
    reply.raw.once('close', early.discard)
  })
}

/** The same credentials, address and kind of client; null where nothing is read early. */
function nameOf(request: FastifyRequest): string | null {
  const { headers, url, method } = request
  if (method !== 'GET' || headers.range === undefined || !PATHS.test(url.split('?')[0]!)) return null
  if (CONDITIONS.some((name) => headers[name] !== undefined)) return null
  const credentials = findCredentials({
    headers,
    query: request.query as Record<string, unknown>,
    cookies: request.cookies,
  })
  if (credentials === null) return null
  return createHash('sha256')
    .update(
      [credentials.kind, credentials.value, url, headers['sec-fetch-dest'], headers['sec-fetch-mode']].join(
        '\n',
      ),
    )
    .digest('base64')
}
