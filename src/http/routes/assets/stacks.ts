import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  createStack,
  deleteStacks,
  getStack,
  listStacks,
  removeFromStack,
  updateStack,
} from '../../../library/stacks/stacks.ts'
import { actorOf } from '../../access/authenticate.ts'
import { LONG_BODY } from '../../bodies/limits.ts'
import { idParams, idsUpTo, parse, uuid } from '../../validate.ts'

const MAX_ASSETS = 1_000
const listQuery = z.object({ primaryAssetId: uuid.optional() })
const createBody = z.object({
  assetIds: idsUpTo(MAX_ASSETS).refine(
    (ids) => ids.length >= 2,
    'Too small: expected array to have >=2 items',
  ),
})
const updateBody = z.object({ primaryAssetId: uuid.optional() })
const idsBody = z.object({ ids: idsUpTo(MAX_ASSETS) })
const memberParams = z.object({ id: uuid, assetId: uuid })

/** `/api/stacks`. */
export function registerStackRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const access = (permission: string) => ({ who: 'user' as const, permission })
  const may = (permission: string) => ({ config: { access: access(permission) } })
  const mayListing = (permission: string) => ({ config: { access: access(permission), body: LONG_BODY } })

  app.get('/api/stacks', may('stack.read'), (request) =>
    listStacks(db, actorOf(request), parse(listQuery, request.query)),
  )
  app.post('/api/stacks', mayListing('stack.create'), async (request, reply) => {
    const { assetIds } = parse(createBody, request.body)
    return reply.status(201).send(await createStack(db, actorOf(request), assetIds))
  })
  app.delete('/api/stacks', mayListing('stack.delete'), async (request, reply) => {
    await deleteStacks(db, actorOf(request), parse(idsBody, request.body).ids)
    return reply.status(204).send()
  })
  app.get('/api/stacks/:id', may('stack.read'), (request) =>
    getStack(db, actorOf(request), parse(idParams, request.params).id),
  )
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/stacks/:id',
    ...may('stack.update'),
    handler: (request) =>
      updateStack(db, actorOf(request), parse(idParams, request.params).id, parse(updateBody, request.body)),
  })
  app.delete('/api/stacks/:id', may('stack.delete'), async (request, reply) => {
    await deleteStacks(db, actorOf(request), [parse(idParams, request.params).id])
    return reply.status(204).send()
  })
  app.delete('/api/stacks/:id/assets/:assetId', may('stack.update'), async (request, reply) => {
    const { id, assetId } = parse(memberParams, request.params)
    await removeFromStack(db, actorOf(request), id, assetId)
    return reply.status(204).send()
  })
}
