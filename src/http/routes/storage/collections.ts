import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { publish } from '../../../database/events.ts'
import { type ReconcileReport, reconcileReport } from '../../../library/server/reconcile.ts'
import { decideCollection, undoCollection } from '../../../placement/collect/decide.ts'
import { requireLocation } from '../../../placement/locations/locations.ts'
import { actorOf } from '../../access/authenticate.ts'
import type { HttpParts } from '../../parts.ts'
import { idParams, parse } from '../../validate.ts'

const reconcileQuery = z.object({ location: z.string().min(1).max(100).optional() })
const locationParams = z.object({ locationId: z.string().min(1).max(100) })
const decisionBody = z.object({
  planId: z.string().regex(/^[0-9a-f]{16}$/, 'must be that of a plan: 16 digits and letters a to f'),
  confirm: z.string().min(1).max(200),
})

/** Glassine's own: what lies at the locations that belongs to nothing, and giving it up. */
export function registerCollectionRoutes(app: FastifyInstance, { db, placement }: HttpParts): void {
  app.get(
    '/api/storage/reconcile',
    { config: { access: { who: 'admin', permission: 'server.storage' } } },
    async (request): Promise<ReconcileReport> =>
      reconcileReport(placement, parse(reconcileQuery, request.query).location),
  )

  app.post(
    '/api/storage/locations/:locationId/collections',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request, reply) => {
      const { locationId } = parse(locationParams, request.params)
      const { planId, confirm } = parse(decisionBody, request.body)
      requireLocation(placement, locationId)
      const actor = `user ${actorOf(request).userId}`
      const id = await decideCollection(placement, locationId, { planId, confirm, actor })
      await publish(db, { type: 'storage-changed' })
      return reply.status(201).send({ id })
    },
  )

  app.delete(
    '/api/storage/collections/:id',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request) => {
      const { id } = parse(idParams, request.params)
      const kept = await undoCollection(placement, id, `user ${actorOf(request).userId}`)
      await publish(db, { type: 'storage-changed' })
      return { id, kept }
    },
  )
}
