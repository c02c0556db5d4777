/**
 * The API routes with real authentication on a real database, over HTTP on a port of their own: no storage,
 * no web page.
 */

import { tmpdir } from 'node:os'
import type { TestContext } from 'node:test'
import fastifyCookie from '@fastify/cookie'
import Fastify from 'fastify'
import { addAuthentication } from '../../../src/http/access/authenticate.ts'
import { addBodies } from '../../../src/http/bodies/add-bodies.ts'
import { toErrorResponse } from '../../../src/http/error-response.ts'
import { registerActivityRoutes } from '../../../src/http/routes/albums/activities.ts'
import { registerAlbumContentRoutes } from '../../../src/http/routes/albums/album-contents.ts'
import { registerAlbumRoutes } from '../../../src/http/routes/albums/albums.ts'
import { registerAssetMetadataRoutes } from '../../../src/http/routes/assets/asset-metadata.ts'
import { registerMapRoutes } from '../../../src/http/routes/assets/map.ts'
import { registerMemoryRoutes } from '../../../src/http/routes/assets/memories.ts'
import { registerSearchRoutes } from '../../../src/http/routes/assets/search.ts'
import { registerStackRoutes } from '../../../src/http/routes/assets/stacks.ts'
import { registerTagRoutes } from '../../../src/http/routes/assets/tags.ts'
import { registerTimelineRoutes } from '../../../src/http/routes/assets/timeline.ts'
import { registerEmptyReadRoutes } from '../../../src/http/routes/server/empty-reads.ts'
import { registerNotificationRoutes } from '../../../src/http/routes/server/notifications.ts'
import { registerServerRoutes } from '../../../src/http/routes/server/server.ts'
import { registerAdminUserRoutes } from '../../../src/http/routes/users/admin-users.ts'
import { registerApiKeyRoutes } from '../../../src/http/routes/users/api-keys.ts'
import { registerAuthRoutes } from '../../../src/http/routes/users/auth.ts'
import { registerPartnerRoutes } from '../../../src/http/routes/users/partners.ts'
import { registerSessionRoutes } from '../../../src/http/routes/users/sessions.ts'
import { registerSyncRoutes } from '../../../src/http/routes/users/sync.ts'
import { registerUserRoutes } from '../../../src/http/routes/users/users.ts'
import type { SessionLimits } from '../../../src/library/credentials/sessions.ts'
import type { NewUser } from '../../../src/library/users/users.ts'
import { PROXY_EVERYTHING } from '../../../src/placement/delivery-rules.ts'
import { createTestUser } from '../../support/http/users.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'

export type Answer = {
  status: number
  headers: Headers
  /** Parsed JSON of no known type: the tests find out. Null for an empty body. */
  body: ReturnType<typeof JSON.parse>
}
export type Route = { method: string; url: string; who: string; permission: string | null | undefined }
/** Somebody logged in: sends requests with their session. */
export type Client = { userId: string; token: string; send: Send }
type Send = (request: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>

export type ApiUnderTest = TestDatabase & {
  origin: string
  routes: Route[]
  /** `send('PUT /api/users/me', { name })` without credentials. */
  send: Send
  /** A new user, logged in. The first is an administrator. */
  newClient(user?: Partial<NewUser>): Promise<Client>
  /** A client that comes with an API key of that user. */
  keyClient(client: Client, permissions: string[]): Promise<Client>
}

export const PASSWORD = 'correct horse battery'

export async function startApi(
  t: TestContext,
  config: { sessions?: SessionLimits } = {},
): Promise<ApiUnderTest> {
  const database = await testDatabase(t)
  const parts = {
    db: database.db,
    pool: database.pool,
    config,
    placement: { mediaLocation: tmpdir(), delivery: PROXY_EVERYTHING },
  }
  const routes: Route[] = []
  const app = Fastify({ trustProxy: '127.0.0.1' })
  app.addHook('onRoute', ({ method, url, config }) => {
    const access = config?.access
    for (const one of [method].flat()) {
      if (one !== 'HEAD')
        routes.push({ method: one, url, who: access?.who ?? 'nobody', permission: access?.permission })
    }
  })
  app.setErrorHandler((error, _request, reply) => {
    const { status, body } = toErrorResponse(error)
    if (status === 500) console.error(error)
    return reply.status(status).send(body)
  })
  await app.register(fastifyCookie)
  addBodies(app)
  addAuthentication(app, database.db)
  for (const register of [
    registerAdminUserRoutes,
    registerAlbumContentRoutes,
    registerAlbumRoutes,
    registerApiKeyRoutes,
    registerAuthRoutes,
    registerEmptyReadRoutes,
    registerPartnerRoutes,
    registerActivityRoutes,
    registerAssetMetadataRoutes,
    registerMemoryRoutes,
    registerStackRoutes,
    registerTagRoutes,
    registerMapRoutes,
    registerSearchRoutes,
    registerServerRoutes,
    registerNotificationRoutes,
    registerSessionRoutes,
    registerSyncRoutes,
    registerTimelineRoutes,
    registerUserRoutes,
  ]) {
    register(app, parts)
  }
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())

  const sender =
    (own: Record<string, string>): Send =>
    async (request, body, headers = {}) => {
      const [method, path] = request.split(' ')
      const response = await fetch(origin + path, {
        method: method!,
        headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...own, ...headers },
        body: body === undefined ? null : JSON.stringify(body),
      })
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        body: text === '' ? null : JSON.parse(text),
      }
    }
  const send = sender({})
  let count = 0
  return {
    ...database,
    origin,
    routes,
    send,
    async newClient(user = {}) {
      count++
      const email = user.email ?? `user${count}@example.org`
      const { id } = await createTestUser(database.db, {
        name: `User ${count}`,
        password: PASSWORD,
        ...user,
        email,
      })
      const login = await send('POST /api/auth/login', { email, password: user.password ?? PASSWORD })
      const token = login.body.accessToken as string
      return { userId: id, token, send: sender({ authorization: `Bearer ${token}` }) }
    },
    async keyClient(client, permissions) {
      const made = await client.send('POST /api/api-keys', { permissions })
      const key = made.body.secret as string
      return { userId: client.userId, token: key, send: sender({ 'x-api-key': key }) }
    },
  }
}
