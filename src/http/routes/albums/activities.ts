import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  activityStatistics,
  createActivity,
  deleteActivity,
  listActivities,
} from '../../../library/albums/activities.ts'
import { actorOf } from '../../access/authenticate.ts'
import { idParams, parse, text, uuid } from '../../validate.ts'

const type = z.enum(['comment', 'like'])
const place = { albumId: uuid, assetId: uuid.optional() }
const listQuery = z.object({
  ...place,
  level: z.enum(['album', 'asset']).optional(),
  type: type.optional(),
  userId: uuid.optional(),
})
const statisticsQuery = z.object(place)
const createBody = z.object({ ...place, type, comment: text(10_000).optional() })

/** `/api/activities`. */
export function registerActivityRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })

  app.get('/api/activities', may('activity.read'), (request) =>
    listActivities(db, actorOf(request), parse(listQuery, request.query)),
  )
  app.post('/api/activities', may('activity.create'), async (request, reply) => {
    const { activity, isNew } = await createActivity(db, actorOf(request), parse(createBody, request.body))
    return reply.status(isNew ? 201 : 200).send(activity)
  })
  app.get('/api/activities/statistics', may('activity.statistics'), (request) =>
    activityStatistics(db, actorOf(request), parse(statisticsQuery, request.query)),
  )
  app.delete('/api/activities/:id', may('activity.delete'), async (request, reply) => {
    await deleteActivity(db, actorOf(request), parse(idParams, request.params).id)
    return reply.status(204).send()
  })
}
