import { randomUUID } from 'node:crypto'
import fastifyCookie from '@fastify/cookie'
import fastifyMultipart from '@fastify/multipart'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type pg from 'pg'
import type { Database } from '../database/connect.ts'
import type { UploadWays } from '../library/storage-overview.ts'
import type { Log } from '../log.ts'
import type { MediaTools } from '../media/tools.ts'
import { bucketOrigins, deliveryOrigins } from '../placement/deliver.ts'
import type { Placement } from '../placement/placement.ts'
import { addAuthentication } from './authenticate.ts'
import { addEarlyReads } from './early-read.ts'
import { retryAfterSeconds, toErrorResponse } from './error-response.ts'
import { registerRoutes } from './routes.ts'
import { addStaticWeb } from './static-web.ts'
import { attachWebsocket } from './websocket.ts'

/** JSON bodies: the CLI sends 5,000-entry bulk checks, the phone app lists of all ids. Uploads are streams, see receive-upload. */
const JSON_BODY_BYTES = 10 * 1024 * 1024
/** A 100 GB video over a slow line. */
const REQUEST_TIMEOUT_MS = 24 * 3_600_000
/** Headers have to arrive in this time (slow-header attacks). */
const HEADERS_TIMEOUT_MS = 30_000
/** A connection on which nothing moves for so long is closed; a paused video player asks again with a range. */
const IDLE_CONNECTION_MS = 5 * 60_000

/** How long requests in flight may go on after `close`; a client cut off then asks or uploads again. */
const SHUTDOWN_GRACE_MS = 5_000

/** The parts of the app that HTTP needs. */
export type HttpParts = {
  config: {
    /** Bytes. */
    uploads: { maxBytes: number }
    /** Absent: local-first for all, and past the server where the bucket is fit for it. */
    storage?: UploadWays
    /** Addresses or networks whose X-Forwarded-* headers are believed; absent: nobody's. */
    trustedProxies?: readonly string[]
  }
  log: Log
  db: Database
  pool: pg.Pool
  placement: Placement
  mediaTools: MediaTools
}

/**
 * The HTTP server, not yet listening. `close` ends the websocket too.
 */
export async function buildHttpServer(parts: HttpParts): Promise<FastifyInstance> {
  const app = Fastify({
    trustProxy: [...(parts.config.trustedProxies ?? [])],
    bodyLimit: JSON_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_CONNECTION_MS,
    keepAliveTimeout: 72_000,
    // In-flight requests get an answer on shutdown, idle connections are closed at once.
    forceCloseConnections: 'idle',
    genReqId: () => randomUUID(),
    logger: false,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 5_000 },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 200 },
    frameworkErrors: (error, request, reply) => answerError(parts, error, request, reply),
  })

  denyByDefault(app)
  app.addHook('onRequest', async (request, reply) => {
    // On the raw response, so that answers which leave by another way than reply.send carry them too.
    reply.raw.setHeader('x-correlation-id', request.id)
    reply.raw.setHeader('x-content-type-options', 'nosniff')
    reply.raw.setHeader('referrer-policy', 'no-referrer')
    reply.raw.setHeader('x-frame-options', 'DENY')
    if (request.url.startsWith('/api/')) reply.raw.setHeader('cache-control', 'no-store')
  })
  app.addHook('preClose', async () => {
    setTimeout(() => app.server.closeAllConnections(), SHUTDOWN_GRACE_MS).unref()
  })
  app.setErrorHandler((error, request, reply) => answerError(parts, error, request, reply))
  acceptEmptyJson(app)

  await app.register(fastifyCookie)
  await app.register(fastifyMultipart, { limits: { fileSize: Number.POSITIVE_INFINITY } })
  addEarlyReads(app, parts.placement)
  addAuthentication(app, parts.db)

  app.get('/.well-known/immich', { config: { access: { who: 'public' } } }, async () => ({
    api: { endpoint: '/api' },
  }))
  registerRoutes(app, parts)
  const findOrigins = async () => ({
    media: await deliveryOrigins(parts.placement),
    buckets: await bucketOrigins(parts.placement),
  })
  await addStaticWeb(app, { log: parts.log, findOrigins })
  attachWebsocket(app, parts)
  return app
}

/** Throws while routes are registered when one does not state who may use it. */
export function denyByDefault(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.config?.access === undefined) {
      throw new Error(`route ${String(route.method)} ${route.url} does not state config.access`)
    }
  })
}

function answerError(
  parts: HttpParts,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { status, body } = toErrorResponse(error)
  const context = { requestId: request.id, method: request.method, path: request.url.split('?')[0], status }
  if (status >= 500) parts.log.error({ ...context, err: error }, 'a request failed')
  else parts.log.debug({ ...context, message: body.message }, 'a request was refused')
  if (status === 503) reply.header('retry-after', retryAfterSeconds(error, new Date()))
  return reply.status(status).type('application/json; charset=utf-8').send(body)
}

/** Generated clients send `Content-Type: application/json` with nothing after it; that means no body. */
function acceptEmptyJson(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else void parseJson(request, body as string, done)
  })
}
