import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { runAssetJobs } from '../../../library/assets/asset-jobs.ts'
import { assetStatistics } from '../../../library/assets/asset-statistics.ts'
import { getAsset } from '../../../library/assets/assets.ts'
import { deleteAssets } from '../../../library/assets/trash.ts'
import { updateAssets } from '../../../library/assets/update-assets.ts'
import { actorOf } from '../../access/authenticate.ts'
import { ID_LISTS, LONG_BODY } from '../../bodies/limits.ts'
import type { HttpParts } from '../../parts.ts'
import { idParams, ids, parse, text, uuid } from '../../validate.ts'
import { statisticsQuery } from '../users/statistics-query.ts'

const visibility = z
  .enum(['timeline', 'archive', 'hidden', 'locked'])
  .refine((value) => value !== 'locked', 'The locked folder is not available on this server yet')

const change = {
  isFavorite: z.boolean().optional(),
  visibility: visibility.optional(),
  description: text(100_000).optional(),
  // 0 is what older clients send for "unrated".
  rating: z.union([z.literal(0).transform(() => null), z.number().int().min(-1).max(5), z.null()]).optional(),
  latitude: z.number().min(-90).max(90).optional(),
  longitude: z.number().min(-180).max(180).optional(),
  dateTimeOriginal: z.string().max(100).optional(),
}
const isPlaceWhole = (value: { latitude?: number; longitude?: number }) =>
  (value.latitude === undefined) === (value.longitude === undefined)
const PLACE_MESSAGE = { message: 'latitude and longitude go together', path: ['latitude'] }

const updateOne = z
  .object({ ...change, livePhotoVideoId: uuid.nullable().optional() })
  .refine(isPlaceWhole, PLACE_MESSAGE)
const updateMany = z
  .object({
    ...change,
    ids,
    dateTimeRelative: z.number().int().min(-50_000_000).max(50_000_000).optional(),
    timeZone: z.string().max(100).optional(),
  })
  .refine(isPlaceWhole, PLACE_MESSAGE)
const deletion = z.object({ ids, force: z.boolean().optional() })
const jobs = z.object({
  assetIds: ids,
  name: z.enum(['refresh-faces', 'refresh-metadata', 'regenerate-thumbnail', 'transcode-video']),
})

export function registerAssetRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { db } = parts
  app.get(
    '/api/assets/statistics',
    { config: { access: { who: 'user', permission: 'asset.statistics' } } },
    async (request) => assetStatistics(db, actorOf(request), parse(statisticsQuery, request.query)),
  )

  app.get(
    '/api/assets/:id',
    { config: { access: { who: 'user', permission: 'asset.read' } } },
    async (request) => getAsset(db, actorOf(request), parse(idParams, request.params).id),
  )

  // PUT is what the SDK calls; PATCH is served by Immich beside it.
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/assets/:id',
    config: { access: { who: 'user', permission: 'asset.update' }, body: LONG_BODY },
    handler: async (request) => {
      const { id } = parse(idParams, request.params)
      await updateAssets(parts, actorOf(request), [id], parse(updateOne, request.body))
      return getAsset(db, actorOf(request), id)
    },
  })
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/assets',
    config: { access: { who: 'user', permission: 'asset.update' }, body: ID_LISTS },
    handler: async (request, reply) => {
      const { ids, ...wanted } = parse(updateMany, request.body)
      await updateAssets(parts, actorOf(request), ids, wanted)
      return reply.status(204).send()
    },
  })

  app.delete(
    '/api/assets',
    { config: { access: { who: 'user', permission: 'asset.delete' }, body: ID_LISTS } },
    async (request, reply) => {
      const { ids, force } = parse(deletion, request.body)
      await deleteAssets(db, actorOf(request), ids, { force: force ?? false })
      return reply.status(204).send()
    },
  )

  app.post(
    '/api/assets/jobs',
    { config: { access: { who: 'user', permission: 'job.create' }, body: ID_LISTS } },
    async (request, reply) => {
      const { assetIds, name } = parse(jobs, request.body)
      await runAssetJobs(db, actorOf(request), assetIds, name)
      return reply.status(204).send()
    },
  )
}
