import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  deleteNotifications,
  getNotification,
  listNotifications,
  markNotifications,
} from '../../../library/notifications/notifications.ts'
import { actorOf } from '../../access/authenticate.ts'
import { booleanText, idParams, idsUpTo, instant, parse, uuid } from '../../validate.ts'

/** A user has at most 500. */
const manyIds = idsUpTo(1_000)
const listQuery = z.object({
  id: uuid.optional(),
  level: z.enum(['success', 'error', 'warning', 'info']).optional(),
  type: z.string().max(100).optional(),
  unread: booleanText.optional(),
})
const readAt = instant.nullable().optional()
const updateAllBody = z.object({ ids: manyIds, readAt })
const updateBody = z.object({ readAt })
const deleteAllBody = z.object({ ids: manyIds })

/** `/api/notifications`, as Immich answers it: what the user was told, and whether they have read it. */
export function registerNotificationRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })

  app.get('/api/notifications', may('notification.read'), (request) =>
    listNotifications(db, actorOf(request), parse(listQuery, request.query)),
  )
  app.get('/api/notifications/:id', may('notification.read'), (request) =>
    getNotification(db, actorOf(request), parse(idParams, request.params).id),
  )
  app.put('/api/notifications', may('notification.update'), async (request, reply) => {
    const body = parse(updateAllBody, request.body)
    if (body.readAt !== undefined) await markNotifications(db, actorOf(request), body.ids, body.readAt)
    return reply.status(204).send()
  })
  app.put('/api/notifications/:id', may('notification.update'), async (request) => {
    const { id } = parse(idParams, request.params)
    const body = parse(updateBody, request.body)
    if (body.readAt !== undefined) await markNotifications(db, actorOf(request), [id], body.readAt)
    return getNotification(db, actorOf(request), id, 'notification.update')
  })
  app.delete('/api/notifications', may('notification.delete'), async (request, reply) => {
    await deleteNotifications(db, actorOf(request), parse(deleteAllBody, request.body).ids)
    return reply.status(204).send()
  })
  app.delete('/api/notifications/:id', may('notification.delete'), async (request, reply) => {
    await deleteNotifications(db, actorOf(request), [parse(idParams, request.params).id])
    return reply.status(204).send()
  })
}
