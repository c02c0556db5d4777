/** How bodies come in: which kinds, how large, how fast, and what happens to those that nobody reads. */
import type { IncomingMessage } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify'
import { networkOf } from '../../library/credentials/network-of.ts'
import { createBodyBudget } from './budget.ts'
import { drainRequest } from './drain-request.ts'
import { type BodyLimits, HELD_BYTES, JSON_PACE, PUBLIC_BODY, SMALL_BODY } from './limits.ts'
import { createPaceWatch, type PaceWatch, tooSlow } from './pace.ts'
import { LONG_BYTES, readJsonText } from './read-json.ts'
import { makeStorable } from './storable.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Of all bodies that this server receives. */
    bodyPace: PaceWatch
  }
  interface FastifyRequest {
    /** The memory of its body, where it has one. */
    heldBody: { isOver: boolean; release(): void } | null
  }
  interface FastifyContextConfig {
    /** Absent: `PUBLIC_BODY` on public routes, `SMALL_BODY` on others. */
    body?: BodyLimits
    /** The route reads the form (`multipart/form-data`) itself. */
    takesForm?: boolean
  }
}

/** NUL, and surrogates, of which there may be halves. */
const ESCAPES_TO_LOOK_AT = /\\u(0000|d[89a-f])/i

/** Before `addAuthentication`, which sets the actor: a request without one came to a public route. */
export function addBodies(app: FastifyInstance): void {
  const budgets = {
    public: createBodyBudget(HELD_BYTES.public),
    users: createBodyBudget(HELD_BYTES.users),
  }
  const pace = createPaceWatch()
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.decorate('bodyPace', pace)
  app.decorateRequest('heldBody', null)
  app.removeAllContentTypeParsers()

  app.addHook('onRequest', (request, reply, done) => {
    // Only with a body: it is in memory until the request is answered or its client is gone.
    if (hasBody(request.raw)) {
      const held = { isOver: false, release: () => {} }
      request.heldBody = held
      reply.raw.once('close', () => {
        held.isOver = true
        held.release()
      })
    }
    if (request.raw.url?.includes('%')) {
      makeStorable(request.query)
      makeStorable(request.params)
    }
    done()
  })

  app.addHook('preParsing', (request, _reply, payload, done) => {
    const isForm = /^multipart\//i.test(request.headers['content-type'] ?? '')
    if (!isForm || request.is404 || request.routeOptions.config.takesForm) done(null, payload)
    else done(new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE())
  })

  app.addHook('onSend', (request, reply, payload, done) => {
    // The answer came before the whole body was here. The server does not wait for clients that send slowly
    // on purpose.
    if (request.heldBody !== null && !request.raw.complete && reply.statusCode !== 408) {
      // If the connection were closed at once, it would be reset, and the answer could get lost.
      reply.removeHeader('connection')
      reply.raw.shouldKeepAlive = true
      drainRequest(request.raw, reply.raw)
    }
    done(null, payload)
  })

  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: IncomingMessage) => {
    // The body is not used: it is read and dropped when the answer is sent.
    if (request.is404) return undefined
    const { heldBody } = request
    const actor = request.authenticated?.actor ?? null
    const { text, release } = await readJsonText({
      payload,
      pace,
      limits: request.routeOptions.config.body ?? (actor === null ? PUBLIC_BODY : SMALL_BODY),
      budget: actor === null ? budgets.public : budgets.users,
      owner: actor === null ? networkOf(request.ip) : actor.userId,
    })
    if (heldBody === null || heldBody.isOver) release()
    else heldBody.release = release
    // Generated clients send `Content-Type: application/json` with nothing after it; that means no body.
    if (text === '') return undefined
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    void parseJson(request, text, (error, value) => (error ? reject(error) : resolve(value)))
    const value = await promise
    if (text.length > LONG_BYTES) await setImmediate()
    return ESCAPES_TO_LOOK_AT.test(text) ? makeStorable(value) : value
  })

  // Dart's client calls an empty body text/plain. Apart from that, only JSON and forms are accepted.
  app.addContentTypeParser('*', async (request: FastifyRequest, payload: IncomingMessage) => {
    if (request.is404 || (await isEmpty(payload))) return undefined
    throw new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE()
  })

  async function isEmpty(payload: IncomingMessage): Promise<boolean> {
    if (payload.headers['content-length'] === '0') return true
    const { promise, resolve, reject } = Promise.withResolvers<boolean>()
    const stopWatching = pace.watch({
      pace: JSON_PACE,
      received: () => 0,
      isOurTurn: () => false,
      onTooSlow: () => reject(tooSlow()),
    })
    payload.once('data', () => resolve(false)).once('end', () => resolve(true))
    payload.once('close', () => resolve(false))
    return promise.finally(stopWatching)
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
