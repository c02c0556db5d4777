import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { DEFAULT_SESSION_LIMITS, endSession, sessionExpiry } from '../../../library/credentials/sessions.ts'
import { changePassword, logIn } from '../../../library/users/login.ts'
import { createLoginSlowdown } from '../../../library/users/login-slowdown.ts'
import { getOwnUser, signUpAdmin } from '../../../library/users/users.ts'
import { actorOf, COOKIES } from '../../access/authenticate.ts'
import { deviceOf } from '../../access/device.ts'
import { isHttps } from '../../access/https.ts'
import type { HttpParts } from '../../parts.ts'
import { parse } from '../../validate.ts'
import { email, newPassword, userName } from './account-fields.ts'

/** 400 days, the longest that browsers keep a cookie. */
const COOKIE_SECONDS = 400 * 24 * 3600

const signUpBody = z.object({ email, password: newPassword, name: userName })
// Any password is accepted here: the rules for new passwords do not apply to a log-in.
const loginBody = z.object({ email: z.string().min(1).max(320), password: z.string().min(1) })
const changePasswordBody = z.object({
  password: z.string().min(1),
  newPassword,
  // Immich's clients leave it out, and its server ends the sessions either way.
  invalidateSessions: z.boolean().default(true),
  invalidateApiKeys: z.boolean().default(false),
})

/** `/api/auth`: sign-up, login and logout, as Immich's clients do them. */
export function registerAuthRoutes(
  app: FastifyInstance,
  {
    db,
    placement,
    config,
  }: Pick<HttpParts, 'db'> & {
    placement: Pick<HttpParts['placement'], 'delivery'>
    config: Pick<HttpParts['config'], 'sessions' | 'publicUrl'>
  },
): void {
  const slowdown = createLoginSlowdown()
  const limits = config.sessions ?? DEFAULT_SESSION_LIMITS

  app.post('/api/auth/admin-sign-up', { config: { access: { who: 'public' } } }, async (request, reply) => {
    const wish = parse(signUpBody, request.body)
    // It hashes a password like a log-in, and has to wait for its turn like one.
    const user = await slowdown.run('sign-up', request.ip, () => signUpAdmin(db, wish))
    return reply.status(201).send(user)
  })

  app.post('/api/auth/login', { config: { access: { who: 'public' } } }, async (request, reply) => {
    const from = { address: request.ip, device: deviceOf(request) }
    const login = await logIn(db, slowdown, parse(loginBody, request.body), from, limits)
    const maxAge = Math.min(COOKIE_SECONDS, limits.maxDays * 86_400)
    const secure = isHttps(request, config.publicUrl ?? null)
    setLoginCookies(reply, login.accessToken, { maxAge, secure })
    return reply.status(201).send(login)
  })

  app.post('/api/auth/logout', { config: { access: { who: 'user' } } }, async (request, reply) => {
    const actor = actorOf(request)
    if (actor.sessionId !== null) await endSession(db, actor.userId, actor.sessionId)
    clearLoginCookies(reply)
    // The next user of this browser must not get this person's files.
    const network = placement.delivery.cdn?.cdn.endCookies(actor.userId) ?? []
    if (network.length > 0) reply.header('set-cookie', network)
    return { successful: true, redirectUri: '/auth/login?autoLaunch=0' }
  })

  // 401 for a bad token comes from authentication; that a key lacks permissions does not make it invalid.
  app.post(
    '/api/auth/validateToken',
    { config: { access: { who: 'user', permission: null } } },
    async () => ({
      authStatus: true,
    }),
  )

  app.get('/api/auth/status', { config: { access: { who: 'user' } } }, async (request) => {
    const actor = actorOf(request)
    const expiresAt = actor.sessionId === null ? null : await sessionExpiry(db, actor.sessionId)
    return {
      password: true,
      // PIN codes and the locked folder behind them are not there yet.
      pinCode: false,
      isElevated: false,
      ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
    }
  })

  app.post(
    '/api/auth/change-password',
    { config: { access: { who: 'user', permission: 'auth.changePassword' } } },
    async (request) => {
      const actor = actorOf(request)
      await changePassword(db, slowdown, actor, parse(changePasswordBody, request.body), request.ip)
      return getOwnUser(db, actor.userId)
    },
  )
}

/**
 * The three cookies that Immich's clients expect. The phone app has no other credential; its page asks
 * `immich_is_authenticated` whether to show the login. `Secure` only on https: on plain http a browser would
 * drop them.
 */
function setLoginCookies(
  reply: FastifyReply,
  token: string,
  { maxAge, secure }: { maxAge: number; secure: boolean },
): void {
  const options: CookieSerializeOptions = { path: '/', sameSite: 'lax', maxAge, secure }
  reply.setCookie(COOKIES.accessToken, token, { ...options, httpOnly: true })
  reply.setCookie(COOKIES.authType, 'password', { ...options, httpOnly: true })
  reply.setCookie(COOKIES.isAuthenticated, 'true', options)
}

function clearLoginCookies(reply: FastifyReply): void {
  for (const name of Object.values(COOKIES)) reply.clearCookie(name, { path: '/' })
}
