import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import { assetStatistics } from '../../../library/assets/asset-statistics.ts'
import { listSessions } from '../../../library/credentials/sessions.ts'
import { getUserForAdmin, updateUserFor } from '../../../library/users/administration.ts'
import { AVATAR_COLORS } from '../../../library/users/avatar-colors.ts'
import { getPreferences, preferencesChange, updatePreferences } from '../../../library/users/preferences.ts'
import { createUserFor, listUsersForAdmin } from '../../../library/users/users.ts'
import { actorOf } from '../../access/authenticate.ts'
import { booleanText, idParams, parse, text, uuid } from '../../validate.ts'
import { email, newPassword, userName } from './account-fields.ts'
import { statisticsQuery } from './statistics-query.ts'

const listQuery = z.object({ withDeleted: booleanText.optional(), id: uuid.optional() })
const createBody = z.object({
  email,
  name: userName,
  password: newPassword,
  isAdmin: z.boolean().default(false),
  avatarColor: z.enum(AVATAR_COLORS).nullish(),
  quotaSizeInBytes: z.number().int().min(0).nullish(),
  shouldChangePassword: z.boolean().default(true),
  storageLabel: text(200).nullish(),
  /** Mails are not sent. */
  notify: z.boolean().optional(),
})
const updateBody = z.object({
  email: email.optional(),
  name: userName.optional(),
  password: newPassword.optional(),
  isAdmin: z.boolean().optional(),
  avatarColor: z.enum(AVATAR_COLORS).nullish(),
  quotaSizeInBytes: z.number().int().min(0).nullish(),
  shouldChangePassword: z.boolean().optional(),
  storageLabel: text(200).nullish(),
})

/** `/api/admin/users`: administrators see, add and change users. */
export function registerAdminUserRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'admin' as const, permission } } })

  app.get('/api/admin/users', may('adminUser.read'), (request) =>
    listUsersForAdmin(db, parse(listQuery, request.query)),
  )
  app.get('/api/admin/users/:id', may('adminUser.read'), (request) =>
    getUserForAdmin(db, parse(idParams, request.params).id),
  )
  app.post('/api/admin/users', may('adminUser.create'), async (request, reply) => {
    const { quotaSizeInBytes, notify: _, ...user } = parse(createBody, request.body)
    return reply
      .status(201)
      .send(await createUserFor(db, actorOf(request), { ...user, quotaBytes: quotaSizeInBytes }))
  })
  // PUT is what the SDK calls; PATCH is served by Immich beside it.
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/admin/users/:id',
    ...may('adminUser.update'),
    handler: (request) => {
      const { quotaSizeInBytes, ...change } = parse(updateBody, request.body)
      const { id } = parse(idParams, request.params)
      return updateUserFor(db, actorOf(request), id, { ...change, quotaBytes: quotaSizeInBytes })
    },
  })

  app.get('/api/admin/users/:id/statistics', may('adminUser.read'), async (request) => {
    const user = await getUserForAdmin(db, parse(idParams, request.params).id)
    return assetStatistics(db, { userId: user.id }, parse(statisticsQuery, request.query))
  })
  app.get('/api/admin/users/:id/sessions', may('adminSession.read'), async (request) => {
    const user = await getUserForAdmin(db, parse(idParams, request.params).id)
    return listSessions(db, { userId: user.id, sessionId: actorOf(request).sessionId })
  })
  app.get('/api/admin/users/:id/preferences', may('adminUser.read'), async (request) => {
    const user = await getUserForAdmin(db, parse(idParams, request.params).id)
    return getPreferences(db, user.id)
  })
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/admin/users/:id/preferences',
    ...may('adminUser.update'),
    handler: async (request) => {
      const user = await getUserForAdmin(db, parse(idParams, request.params).id)
      return updatePreferences(db, user.id, parse(preferencesChange, request.body))
    },
  })
}
