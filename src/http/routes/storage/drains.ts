import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import { beginDrain, cancelDrain } from '../../../placement/locations/drains.ts'
import { retireLocation } from '../../../placement/locations/retire.ts'
import { drainStatuses } from '../../../placement/reports/drain-status.ts'
import type { HttpParts } from '../../parts.ts'
import { parse } from '../../validate.ts'

const locationParams = z.object({ locationId: z.string().min(1).max(100) })

/** Glassine's own: to empty a location, and to forget it. */
export function registerDrainRoutes(app: FastifyInstance, { placement }: HttpParts): void {
  const access = { who: 'admin', permission: 'job.create' } as const
  const known = (params: unknown): string => {
    const { locationId } = parse(locationParams, params)
    if (placement.locations.has(locationId)) return locationId
    throw new AppError('not-found', `unknown location "${locationId}"`)
  }
  const statusOf = async (locationId: string) => (await drainStatuses(placement)).get(locationId) ?? null

  app.post('/api/storage/locations/:locationId/drain', { config: { access } }, async (request, reply) => {
    const locationId = known(request.params)
    await beginDrain(placement, locationId)
    return reply.status(202).send(await statusOf(locationId))
  })

  app.delete('/api/storage/locations/:locationId/drain', { config: { access } }, async (request, reply) => {
    await cancelDrain(placement, known(request.params))
    return reply.status(204).send()
  })

  app.post('/api/storage/locations/:locationId/retire', { config: { access } }, async (request, reply) => {
    const locationId = known(request.params)
    await retireLocation(placement, locationId)
    return reply.status(200).send(await statusOf(locationId))
  })
}
