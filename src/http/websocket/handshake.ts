import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Server } from 'socket.io'
import { isAppError } from '../../errors.ts'
import { findCredentials } from '../access/authenticate.ts'
import { requireOwnPage } from '../access/own-page.ts'
import type { HttpParts } from '../parts.ts'

/** The credentials of a handshake: those that a request may carry, in the same places. */
export function handshakeCredentials(app: FastifyInstance, request: IncomingMessage) {
  const url = new URL(request.url ?? '/', 'http://localhost')
  return findCredentials({
    headers: request.headers,
    query: Object.fromEntries(url.searchParams),
    cookies: app.parseCookie(request.headers.cookie ?? ''),
  })
}

/**
 * A browser lets every page open a websocket anywhere, and sends the cookie along: foreign ones get a 403
 * before it is open.
 */
export function refusePagesOfOthers(
  app: FastifyInstance,
  engine: Server['engine'],
  { config, log }: HttpParts,
): void {
  engine.use((request: IncomingMessage, _response: unknown, next: (error?: Error) => void) => {
    try {
      if (handshakeCredentials(app, request)?.isCookie)
        requireOwnPage(request.headers, config.publicUrl ?? null)
    } catch (error) {
      if (!isAppError(error, 'forbidden')) return next(error as Error)
      log.debug({ message: error.message }, 'a websocket was refused')
      const body = JSON.stringify({ message: error.message })
      // The library would answer 400, and not say why.
      return request.socket.end(
        `HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      )
    }
    next()
  })
}
