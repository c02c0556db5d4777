import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import { AVATAR_COLORS } from '../../../library/users/avatar-colors.ts'
import { createUserFor, getOwnUser, listUsersForAdmin } from '../../../library/users/users.ts'
import { actorOf } from '../../access/authenticate.ts'
import { booleanText, idParams, parse, text, uuid } from '../../validate.ts'
import { email, newPassword, userName } from './account-fields.ts'

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

/** `/api/admin/users`: administrators see and add users. */
export function registerAdminUserRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'admin' as const, permission } } })

  app.get('/api/admin/users', may('adminUser.read'), (request) =>
    listUsersForAdmin(db, parse(listQuery, request.query)),
  )
  app.get('/api/admin/users/:id', may('adminUser.read'), (request) =>
    getOwnUser(db, parse(idParams, request.params).id),
  )
  app.post('/api/admin/users', may('adminUser.create'), async (request, reply) => {
    const { quotaSizeInBytes, notify: _, ...user } = parse(createBody, request.body)
    return reply
      .status(201)
      .send(await createUserFor(db, actorOf(request), { ...user, quotaBytes: quotaSizeInBytes }))
  })
}
