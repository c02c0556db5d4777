import { randomUUID } from 'node:crypto'
import fastifyCookie from '@fastify/cookie'
import fastifyMultipart from '@fastify/multipart'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Access } from '../library/access.ts'
import { bucketOrigins, deliveryOrigins } from '../placement/reads/deliver.ts'
import { addAuthentication } from './access/authenticate.ts'
import { strictTransport } from './access/https.ts'
import { addBodies } from './bodies/add-bodies.ts'
import type { BodyLimits } from './bodies/limits.ts'
import { retryAfterSeconds, toErrorResponse } from './error-response.ts'
import type { HttpParts } from './parts.ts'
import { registerRoutes } from './routes.ts'
import { addJsonCompression } from './send/compress-json.ts'
import { addSpeculativeReads } from './send/speculative-read.ts'
import { addStaticWeb } from './static-web.ts'
import { attachWebsocket } from './websocket/websocket.ts'

/** A 100 GB video over a slow line. */
const REQUEST_TIMEOUT_MS = 24 * 3_600_000
/** Headers have to arrive in this time (slow-header attacks). */
const HEADERS_TIMEOUT_MS = 30_000
/**
 * A connection on which nothing moves for so long is closed; a paused video player asks again with a range.
 */
const IDLE_CONNECTION_MS = 5 * 60_000

/**
 * How long requests in flight may go on after `close`; a client that is cut off then asks or uploads again.
 */
const SHUTDOWN_GRACE_MS = 5_000

/** What a route says of itself. */
export type StatedRoute = {
  method: string
  url: string
  access: Access
  body: BodyLimits | undefined
  takesForm: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route, in the order of registration. */
    statedRoutes: readonly StatedRoute[]
  }
}

/**
 * The HTTP server, not yet listening. `close` ends the websocket too.
 */
export async function buildHttpServer(parts: HttpParts): Promise<FastifyInstance> {
  const publicUrl = parts.config.publicUrl ?? null
  const app = Fastify({
    trustProxy: [...(parts.config.trustedProxies ?? [])],
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
    const strict = strictTransport(request, publicUrl)
    if (strict !== null) reply.raw.setHeader('strict-transport-security', strict)
    if (request.url.startsWith('/api/')) reply.raw.setHeader('cache-control', 'no-store')
  })
  app.addHook('preClose', async () => {
    setTimeout(() => app.server.closeAllConnections(), SHUTDOWN_GRACE_MS).unref()
  })
  app.setErrorHandler((error, request, reply) => answerError(parts, error, request, reply))
  addBodies(app)
  addJsonCompression(app)

  await app.register(fastifyCookie)
  await app.register(fastifyMultipart, { limits: { fileSize: Number.POSITIVE_INFINITY } })
  addSpeculativeReads(app, parts.placement)
  addAuthentication(app, parts.db, publicUrl)

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

/**
 * Throws, while routes are registered, when one does not state who may use it. `app.statedRoutes` lists the
 * others.
 */
export function denyByDefault(app: FastifyInstance): void {
  const stated: StatedRoute[] = []
  app.decorate('statedRoutes', stated)
  app.addHook('onRoute', ({ method, url, config }) => {
    const access = config?.access
    if (access === undefined || !AUDIENCES.has(access.who)) {
      throw new Error(`route ${String(method)} ${url} does not state config.access`)
    }
    for (const one of [method].flat()) {
      stated.push({ method: one, url, access, body: config?.body, takesForm: config?.takesForm ?? false })
    }
  })
}

const AUDIENCES: ReadonlySet<string> = new Set<Access['who']>(['public', 'user', 'admin'])

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
