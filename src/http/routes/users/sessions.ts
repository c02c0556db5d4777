import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  endOtherSessions,
  endOwnSession,
  getSession,
  listSessions,
  startDeviceSession,
} from '../../../library/credentials/sessions.ts'
import { setPendingReset } from '../../../library/sync/checkpoints.ts'
import { actorOf } from '../../access/authenticate.ts'
import { idParams, parse, text } from '../../validate.ts'

const createBody = z.object({
  deviceType: text(100).default(''),
  deviceOS: text(100).default(''),
  /** Seconds; absent: as long as the session that makes it. */
  duration: z
    .number()
    .int()
    .min(1)
    .max(400 * 24 * 3600)
    .optional(),
})

const updateBody = z.object({ isPendingSyncReset: z.boolean().optional() })

/**
 * `/api/sessions`: where the user is logged in, and further sessions for devices that can't log in (Google
 * Cast).
 */
export function registerSessionRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })

  app.get('/api/sessions', may('session.read'), (request) => listSessions(db, actorOf(request)))
  app.post('/api/sessions', may('session.create'), async (request, reply) => {
    const { duration, ...device } = parse(createBody, request.body)
    const { token, session } = await startDeviceSession(
      db,
      actorOf(request),
      { ...device, appVersion: null },
      duration === undefined ? null : duration * 1000,
    )
    return reply.status(201).send({ ...session, token })
  })
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/sessions/:id',
    ...may('session.update'),
    handler: async (request) => {
      const { id } = parse(idParams, request.params)
      const { isPendingSyncReset } = parse(updateBody, request.body)
      const actor = actorOf(request)
      if (isPendingSyncReset !== undefined) await setPendingReset(db, actor, id, isPendingSyncReset)
      return getSession(db, actor, id)
    },
  })
  app.delete('/api/sessions', may('session.delete'), async (request, reply) => {
    const { userId, sessionId } = actorOf(request)
    await endOtherSessions(db, userId, sessionId)
    return reply.status(204).send()
  })
  app.delete('/api/sessions/:id', may('session.delete'), async (request, reply) => {
    await endOwnSession(db, actorOf(request), parse(idParams, request.params).id)
    return reply.status(204).send()
  })
}
