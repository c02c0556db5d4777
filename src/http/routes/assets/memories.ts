import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  addMemoryAssets,
  countMemories,
  createMemory,
  deleteMemory,
  getMemory,
  removeMemoryAssets,
  searchMemories,
  updateMemory,
} from '../../../library/memories/memories.ts'
import { actorOf } from '../../access/authenticate.ts'
import { LONG_BODY } from '../../bodies/limits.ts'
import { booleanText, idParams, idsUpTo, instant, parse, uuid } from '../../validate.ts'

const ids = idsUpTo(10_000)
const type = z.literal('on_this_day')
const filterFields = {
  id: uuid.optional(),
  for: instant.optional(),
  isSaved: booleanText.optional(),
  isTrashed: booleanText.optional(),
  isUpcoming: booleanText.optional(),
  type: type.optional(),
}
const count = z.coerce.number().int().min(1)
const listQuery = z.object({
  ...filterFields,
  order: z.enum(['asc', 'desc', 'random']).default('desc'),
  size: count.max(1_000).default(1_000),
  page: count.max(1_000_000).default(1),
})
const statisticsQuery = z.object(filterFields)
const createBody = z.object({
  type,
  data: z.object({ year: z.number().int().min(1000).max(9999) }),
  memoryAt: instant,
  isSaved: z.boolean().default(false),
  seenAt: instant.nullish(),
  showAt: instant.nullish(),
  hideAt: instant.nullish(),
  assetIds: ids.default([]),
})
const updateBody = z.object({
  isSaved: z.boolean().optional(),
  memoryAt: instant.optional(),
  seenAt: instant.optional(),
})
const idsBody = z.object({ ids })

/** `/api/memories`. */
export function registerMemoryRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const access = (permission: string) => ({ who: 'user' as const, permission })
  const may = (permission: string) => ({ config: { access: access(permission) } })
  const mayListing = (permission: string) => ({ config: { access: access(permission), body: LONG_BODY } })

  app.get('/api/memories', may('memory.read'), (request) => {
    const { order, size, page, ...filter } = parse(listQuery, request.query)
    return searchMemories(db, actorOf(request), filter, { order, size, page })
  })
  app.post('/api/memories', mayListing('memory.create'), async (request, reply) => {
    const { data, seenAt = null, showAt = null, hideAt = null, ...rest } = parse(createBody, request.body)
    const wish = { ...rest, year: data.year, seenAt, showAt, hideAt }
    return reply.status(201).send(await createMemory(db, actorOf(request), wish))
  })
  app.get('/api/memories/statistics', may('memory.statistics'), async (request) => ({
    total: await countMemories(db, actorOf(request), parse(statisticsQuery, request.query)),
  }))
  app.get('/api/memories/:id', may('memory.read'), (request) =>
    getMemory(db, actorOf(request), parse(idParams, request.params).id),
  )
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/memories/:id',
    ...may('memory.update'),
    handler: (request) =>
      updateMemory(db, actorOf(request), parse(idParams, request.params).id, parse(updateBody, request.body)),
  })
  app.delete('/api/memories/:id', may('memory.delete'), async (request, reply) => {
    await deleteMemory(db, actorOf(request), parse(idParams, request.params).id)
    return reply.status(204).send()
  })
  app.put('/api/memories/:id/assets', mayListing('memoryAsset.create'), (request) => {
    const { id } = parse(idParams, request.params)
    return addMemoryAssets(db, actorOf(request), id, parse(idsBody, request.body).ids)
  })
  app.delete('/api/memories/:id/assets', mayListing('memoryAsset.delete'), (request) => {
    const { id } = parse(idParams, request.params)
    return removeMemoryAssets(db, actorOf(request), id, parse(idsBody, request.body).ids)
  })
}
