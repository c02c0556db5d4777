import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Database } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import type { Access, Actor } from '../library/access.ts'
import { findActorByApiKey } from '../library/api-keys.ts'
import { findActorBySessionToken } from '../library/sessions.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks. Null on public routes, which look at no credentials; `actorOf` elsewhere. */
    actor: Actor | null
  }
  interface FastifyContextConfig {
    access?: Access
  }
}

/** The names of the cookies that Immich's clients know. */
export const COOKIES = {
  accessToken: 'immich_access_token',
  authType: 'immich_auth_type',
  isAuthenticated: 'immich_is_authenticated',
} as const

type Presented = {
  headers: IncomingHttpHeaders
  query: Record<string, unknown>
  cookies: Record<string, string | undefined>
}
type Credentials = { kind: 'share-key' | 'share-slug' | 'session' | 'api-key'; value: string }

/** The first credentials present, in Immich's order: share key, share slug, session, API key. */
export function findCredentials({ headers, query, cookies }: Presented): Credentials | null {
  const first = (...values: unknown[]) => values.find((value) => typeof value === 'string' && value !== '')
  const bearer = /^bearer (.+)$/i.exec(headers.authorization ?? '')?.[1]?.trim()
  const found: [Credentials['kind'], unknown][] = [
    ['share-key', first(headers['x-immich-share-key'], query.key)],
    ['share-slug', first(headers['x-immich-share-slug'], query.slug)],
    [
      'session',
      first(
        headers['x-immich-user-token'],
        headers['x-immich-session-token'],
        query.sessionKey,
        bearer,
        cookies[COOKIES.accessToken],
      ),
    ],
    ['api-key', first(headers['x-api-key'], query.apiKey)],
  ]
  for (const [kind, value] of found) if (typeof value === 'string') return { kind, value }
  return null
}

/** Who these credentials belong to. @throws AppError unauthenticated with Immich's message for each kind. */
export async function findActor(db: Database, credentials: Credentials | null): Promise<Actor> {
  if (credentials === null) throw new AppError('unauthenticated', 'Authentication required')
  switch (credentials.kind) {
    // Sharing links are not there yet, so no key of one is valid.
    case 'share-key':
      throw new AppError('unauthenticated', 'Invalid share key')
    case 'share-slug':
      throw new AppError('unauthenticated', 'Invalid share slug')
    case 'session': {
      const actor = await findActorBySessionToken(db, credentials.value)
      if (actor === null) throw new AppError('unauthenticated', 'Invalid user token')
      return actor
    }
    case 'api-key': {
      const actor = await findActorByApiKey(db, credentials.value)
      if (actor === null) throw new AppError('unauthenticated', 'Invalid API key')
      return actor
    }
  }
}

/** @throws AppError forbidden when the actor is not what the route demands. */
export function demandAccess(actor: Actor, access: Access): void {
  if (access.who === 'admin' && !actor.isAdmin) throw new AppError('forbidden', 'Forbidden')
  const permissions = actor.apiKey?.permissions
  if (permissions === undefined || access.permission === null || permissions.includes('all')) return
  const needed = access.permission ?? 'all'
  if (!permissions.includes(needed)) throw new AppError('forbidden', `Missing required permission: ${needed}`)
}

/** Sets `request.actor` before anything of the body is read, and refuses who may not enter. */
export function addAuthentication(app: FastifyInstance, db: Database): void {
  app.decorateRequest('actor', null)
  app.addHook('onRequest', async (request) => {
    const access = request.routeOptions.config.access
    // A request that matched no route has none; the 404 handler answers it.
    if (access === undefined || access.who === 'public') return
    const actor = await findActor(
      db,
      findCredentials({
        headers: request.headers,
        query: request.query as Record<string, unknown>,
        cookies: request.cookies,
      }),
    )
    demandAccess(actor, access)
    request.actor = actor
  })
}

/** The actor of a route that is not public. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.actor === null)
    throw new Error(`${request.routeOptions.url} has no actor: is it a public route?`)
  return request.actor
}
