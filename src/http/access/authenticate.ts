import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { type Access, type Actor, holds } from '../../library/access.ts'
import { findActorByApiKey } from '../../library/credentials/api-keys.ts'
import type {
  Authenticated,
  Credentials as QueryCredentials,
} from '../../library/credentials/authenticated-query.ts'
import { findActorBySessionToken } from '../../library/credentials/sessions.ts'
import { requireOwnPage } from './own-page.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Who asks, and what the `authenticatedQuery` of the route found. Null on public routes, which look at no
     * credentials; `actorOf` and `foundBy` elsewhere.
     */
    authenticated: Authenticated<unknown> | null
  }
  interface FastifyContextConfig {
    access?: Access
    authenticatedQuery?: AuthenticatedQuery<unknown>
  }
}

/**
 * Looks up what the request is about together with who asks. It answers null where the credentials belong to
 * nobody. It is null itself where the request is malformed, and will be refused.
 */
export type AuthenticatedQuery<Found> = (
  request: FastifyRequest,
  db: Database,
  credentials: QueryCredentials,
) => Promise<Authenticated<Found> | null> | null

/** Methods that change nothing. */
const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']

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
type Credentials = {
  kind: 'share-key' | 'share-slug' | 'session' | 'api-key'
  value: string
  /**
   * The browser sends it by itself, for any page: `requireOwnPage` checks the requests that change something.
   */
  isCookie: boolean
}

/** The first credentials present, in Immich's order: share key, share slug, session, API key. */
export function findCredentials({ headers, query, cookies }: Presented): Credentials | null {
  const first = (...values: unknown[]) => values.find((value) => typeof value === 'string' && value !== '')
  const bearer = /^bearer (.+)$/i.exec(headers.authorization ?? '')?.[1]?.trim()
  const found: [Credentials['kind'], unknown, 'cookie'?][] = [
    ['share-key', first(headers['x-immich-share-key'], query.key)],
    ['share-slug', first(headers['x-immich-share-slug'], query.slug)],
    [
      'session',
      first(headers['x-immich-user-token'], headers['x-immich-session-token'], query.sessionKey, bearer),
    ],
    ['session', first(cookies[COOKIES.accessToken]), 'cookie'],
    ['api-key', first(headers['x-api-key'], query.apiKey)],
  ]
  for (const [kind, value, cookie] of found) {
    if (typeof value === 'string') return { kind, value, isCookie: cookie !== undefined }
  }
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
export function requireAccess(actor: Actor, access: Access): void {
  if (access.who === 'admin' && !actor.isAdmin) throw new AppError('forbidden', 'Forbidden')
  if (access.permission === null) return
  const needed = access.permission ?? 'all'
  if (!holds(actor, needed)) throw new AppError('forbidden', `Missing required permission: ${needed}`)
}

/**
 * Sets `request.authenticated` before anything of the body is read, and refuses clients without the right,
 * and pages of other origins.
 * @param publicUrl where browsers find this server, if the configuration says so
 */
export function addAuthentication(app: FastifyInstance, db: Database, publicUrl: string | null = null): void {
  app.decorateRequest('authenticated', null)
  app.addHook('onRequest', async (request) => {
    const { access, authenticatedQuery } = request.routeOptions.config
    // A request that matched no route has none; the 404 handler answers it.
    if (access === undefined) return
    const credentials = findCredentials({
      headers: request.headers,
      query: request.query as Record<string, unknown>,
      cookies: request.cookies,
    })
    // Also a log-in and the sign-up: another site must neither log this browser in, nor sign up for a new
    // server.
    const isBrowsersOwn = access.who === 'public' || credentials?.isCookie
    if (isBrowsersOwn && !SAFE_METHODS.includes(request.method)) requireOwnPage(request.headers, publicUrl)
    if (access.who === 'public') return
    const asked =
      credentials?.kind === 'session' || credentials?.kind === 'api-key'
        ? authenticatedQuery?.(request, db, { kind: credentials.kind, value: credentials.value })
        : null
    const authenticated =
      asked && credentials
        ? known(credentials, await asked)
        : { actor: await findActor(db, credentials), found: null }
    requireAccess(authenticated.actor, access)
    request.authenticated = authenticated
  })
}

/** The actor of a route that is not public. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.authenticated === null)
    throw new Error(`${request.routeOptions.url} has no actor: is it a public route?`)
  return request.authenticated.actor
}

/** What `query` found, the `config.authenticatedQuery` of the route, for a request that is not malformed. */
export function foundBy<Found>(
  query: AuthenticatedQuery<Found>,
  { authenticated, routeOptions }: FastifyRequest,
): Found {
  if (
    routeOptions.config.authenticatedQuery !== query ||
    authenticated === null ||
    authenticated.found === null
  )
    throw new Error(`${routeOptions.url}: this query was not run for it, or the request is malformed`)
  return authenticated.found as Found
}
