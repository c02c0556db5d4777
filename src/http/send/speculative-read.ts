import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Placement } from '../../placement/placement.ts'
import {
  openSpeculativeReads,
  type ReadSource,
  type SpeculativeRead,
} from '../../placement/reads/speculative-read.ts'
import { findCredentials } from '../access/authenticate.ts'
import { parseRange } from './range.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * `read`: what was begun before the request was authenticated, if something was; `remember` is to be
     * called when the request is answered from that source. See placement/reads/speculative-read.
     */
    speculative: { read: SpeculativeRead | null; remember(source: ReadSource): void } | null
  }
  interface FastifyContextConfig {
    /**
     * Ranges of one file are asked for here, one after another: each is begun before it is known who asks.
     */
    readsSpeculatively?: boolean
  }
}

/** What is asked for under a condition may be answered without the bucket. */
const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-range']

/** Begins speculative reads. Before `addAuthentication`, whose statements they do not wait for. */
export function addSpeculativeReads(app: FastifyInstance, placement: Placement): void {
  const reads = openSpeculativeReads(placement)
  app.decorateRequest('speculative', null)
  app.addHook('onRequest', async (request, reply) => {
    const name = nameOf(request)
    if (name === null) return
    const read = reads.begin(name, (size) => {
      const range = parseRange(request.headers.range, size)
      return range === 'unsatisfiable' ? null : range
    })
    request.speculative = { read, remember: (source) => reads.remember(name, source) }
    // Also the end of an answer that was refused, or went another way.
    if (read !== null) reply.raw.once('close', read.discard)
  })
}

/** The same credentials, address and kind of client; null where nothing is read speculatively. */
function nameOf(request: FastifyRequest): string | null {
  const { headers, url, method } = request
  if (method !== 'GET' || headers.range === undefined) return null
  if (!request.routeOptions.config.readsSpeculatively) return null
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
