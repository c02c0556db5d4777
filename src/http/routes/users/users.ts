import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import { AppError } from '../../../errors.ts'
import { AVATAR_COLORS } from '../../../library/users/avatar-colors.ts'
import { isUserOnboarded, setUserOnboarded } from '../../../library/users/onboarding.ts'
import { getPreferences, preferencesChange, updatePreferences } from '../../../library/users/preferences.ts'
import { replaceTemporaryPassword } from '../../../library/users/set-password.ts'
import { getOwnUser, getUser, listUsers, updateOwnUser } from '../../../library/users/users.ts'
import { actorOf } from '../../access/authenticate.ts'
import { idParams, parse } from '../../validate.ts'
import { email, newPassword, userName } from './account-fields.ts'

const updateMeBody = z.object({
  name: userName.optional(),
  email: email.optional(),
  avatarColor: z.enum(AVATAR_COLORS).nullish(),
  // Only for a password that somebody else has set; see replaceTemporaryPassword. A session left open on a
  // borrowed computer must not be enough to take the account over.
  password: newPassword.optional(),
})
const onboardingBody = z.object({ isOnboarded: z.boolean() })

/** `/api/users`: the caller, the caller's preferences, and the other users of this server. */
export function registerUserRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })

  app.get('/api/users', may('user.read'), () => listUsers(db))
  app.get('/api/users/me', may('user.read'), (request) => getOwnUser(db, actorOf(request).userId))
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/users/me',
    ...may('user.update'),
    handler: async (request) => {
      const { password, ...change } = parse(updateMeBody, request.body)
      if (password !== undefined) await replaceTemporaryPassword(db, actorOf(request), password)
      return updateOwnUser(db, actorOf(request), change)
    },
  })
  app.get('/api/users/:id', may('user.read'), (request) => getUser(db, parse(idParams, request.params).id))

  app.get('/api/users/me/preferences', may('userPreference.read'), (request) =>
    getPreferences(db, actorOf(request).userId),
  )
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/users/me/preferences',
    ...may('userPreference.update'),
    handler: (request) =>
      updatePreferences(db, actorOf(request).userId, parse(preferencesChange, request.body)),
  })

  app.get('/api/users/me/onboarding', may('userOnboarding.read'), async (request) => ({
    isOnboarded: await isUserOnboarded(db, actorOf(request).userId),
  }))
  app.put('/api/users/me/onboarding', may('userOnboarding.update'), async (request) => {
    const { isOnboarded } = parse(onboardingBody, request.body)
    await setUserOnboarded(db, actorOf(request).userId, isOnboarded)
    return { isOnboarded }
  })
  app.delete('/api/users/me/onboarding', may('userOnboarding.delete'), async (request, reply) => {
    await setUserOnboarded(db, actorOf(request).userId, null)
    return reply.status(204).send()
  })

  // Nobody has a licence here: there is nothing to buy.
  app.get('/api/users/me/license', may('userLicense.read'), () => {
    throw new AppError('not-found', 'License not found')
  })
}
