import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { publish } from '../../database/events.ts'
import { receiptForActor } from '../../library/receipts.ts'
import { probeLocation } from '../../placement/locations.ts'
import { storageStatus } from '../../placement/status.ts'
import { recentFailures } from '../../queue/queues.ts'
import { actorOf } from '../authenticate.ts'
import type { HttpParts } from '../server.ts'
import { parse, uuid } from '../validate.ts'

const receiptParams = z.object({ assetId: uuid })

/** Glassine's own: is everything safe, where is it, what failed, are the places healthy. */
export function registerStorageRoutes(app: FastifyInstance, { db, placement }: HttpParts): void {
  app.get(
    '/api/storage/status',
    { config: { access: { who: 'admin', permission: 'server.storage' } } },
    async () => storageStatus(placement),
  )

  app.get(
    '/api/storage/receipts/:assetId',
    { config: { access: { who: 'user', permission: 'asset.read' } } },
    async (request) =>
      receiptForActor({ db, placement }, actorOf(request), parse(receiptParams, request.params).assetId),
  )

  app.post(
    '/api/storage/probe',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (_request, reply) => {
      const probed = [...placement.locations.keys()].map((id) => probeLocation(placement, id))
      // A place that can't be probed is an answer, too: its health says so.
      await Promise.allSettled(probed)
      await publish(db, { type: 'storage-changed' })
      return reply.status(200).send(await storageStatus(placement))
    },
  )

  app.get(
    '/api/storage/failures',
    { config: { access: { who: 'admin', permission: 'job.read' } } },
    async () => ({ failures: await recentFailures(db) }),
  )
}
