import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Database } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import type { Access, Actor } from '../library/access.ts'
import { findActorByApiKey } from '../library/api-keys.ts'
import type { FirstLook } from '../library/first-look.ts'
import { findActorBySessionToken } from '../library/sessions.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks. Null on public routes, which look at no credentials; `actorOf` elsewhere. */
    actor: Actor | null
    /** What the `firstLook` of the route found; read by the function that it came with. */
    found: unknown
  }
  interface FastifyContextConfig {
    access?: Access
    /** What the request is about, looked up together with who asks; null: it is malformed, and will be refused. */
    firstLook?: (request: FastifyRequest) => FirstLook<unknown> | null
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
    case 'session':
      return known(credentials, await findActorBySessionToken(db, credentials.value))
    case 'api-key':
      return known(credentials, await findActorByApiKey(db, credentials.value))
  }
}

function known<Found>({ kind }: Credentials, found: Found | null): Found {
  if (found !== null) return found
  throw new AppError('unauthenticated', kind === 'session' ? 'Invalid user token' : 'Invalid API key')
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
  app.decorateRequest('found', null)
  app.addHook('onRequest', async (request) => {
    const { access, firstLook } = request.routeOptions.config
    // A request that matched no route has none; the 404 handler answers it.
    if (access === undefined || access.who === 'public') return
    const credentials = findCredentials({
      headers: request.headers,
      query: request.query as Record<string, unknown>,
      cookies: request.cookies,
    })
    const look = firstLook?.(request) ?? null
    const { actor, found } =
      look !== null && (credentials?.kind === 'session' || credentials?.kind === 'api-key')
        ? known(credentials, await look(db, { ...credentials, kind: credentials.kind }))
        : { actor: await findActor(db, credentials), found: null }
    demandAccess(actor, access)
    request.actor = actor
    request.found = found
  })
}

/** The actor of a route that is not public. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.actor === null)
    throw new Error(`${request.routeOptions.url} has no actor: is it a public route?`)
  return request.actor
}

/** For a route's `config.firstLook`, and for its handler the function that reads what was found. */
export function firstLookOf<Found>(lookFor: (request: FastifyRequest) => FirstLook<Found> | null): {
  firstLook: typeof lookFor
  foundBy(request: FastifyRequest): Found
} {
  return {
    firstLook: lookFor,
    foundBy(request) {
      if (request.found === null)
        throw new Error(`${request.routeOptions.url} has no config.firstLook, or the request is malformed`)
      return request.found as Found
    },
  }
}
