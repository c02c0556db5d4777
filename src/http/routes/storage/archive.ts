import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { restoreMany } from '../../../library/downloads/restore-many.ts'
import { archiveForActor, restoreForActor } from '../../../library/downloads/zip-plan.ts'
import { actorOf } from '../../access/authenticate.ts'
import { LONG_BODY } from '../../bodies/limits.ts'
import type { HttpParts } from '../../parts.ts'
import { idsUpTo, parse, uuid } from '../../validate.ts'

const params = z.object({ assetId: uuid })
const days = z.coerce.number().int().min(1).max(365).default(7)
const tier = z.enum(['bulk', 'standard', 'expedited'])
const wish = z.object({ tier, days })
const batch = z.object({
  assetIds: idsUpTo(10_000).optional(),
  albumId: uuid.optional(),
  tier,
  days,
  // The first answer only says what it costs.
  dryRun: z.boolean().default(true),
})

/** Glassine's own: archived originals, how they stand and their restore. */
export function registerArchiveRoutes(app: FastifyInstance, { db, placement }: HttpParts): void {
  app.get(
    '/api/storage/archive/:assetId',
    { config: { access: { who: 'user', permission: 'asset.read' } } },
    async (request) => {
      const { assetId } = parse(params, request.params)
      const asked = parse(z.object({ days }), request.query)
      return archiveForActor({ db, placement }, actorOf(request), assetId, asked.days)
    },
  )

  app.post(
    '/api/storage/archive/:assetId/restore',
    { config: { access: { who: 'user', permission: 'asset.update' } } },
    async (request, reply) => {
      const { assetId } = parse(params, request.params)
      const asked = parse(wish, request.body)
      return reply
        .status(202)
        .send(await restoreForActor({ db, placement }, actorOf(request), assetId, asked))
    },
  )

  app.post(
    '/api/storage/archive/restore',
    { config: { access: { who: 'user', permission: 'asset.update' }, body: LONG_BODY } },
    async (request, reply) => {
      const { dryRun, assetIds, albumId, ...asked } = parse(batch, request.body)
      const result = await restoreMany({ db, placement }, actorOf(request), {
        ...asked,
        ...(assetIds && { assetIds }),
        ...(albumId && { albumId }),
        isDryRun: dryRun,
      })
      return reply.status(dryRun ? 200 : 202).send(result)
    },
  )
}
