import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import { AppError } from '../../../errors.ts'
import {
  createApiKey,
  deleteApiKey,
  getApiKey,
  listApiKeys,
  updateApiKey,
} from '../../../library/credentials/api-keys.ts'
import { PERMISSIONS } from '../../../library/credentials/permissions.ts'
import { actorOf } from '../../access/authenticate.ts'
import { idParams, parse, text } from '../../validate.ts'

const name = text(200).pipe(z.string().min(1))
const permissions = z.array(z.enum(PERMISSIONS)).min(1)
const createBody = z.object({ name: name.optional(), permissions })
const updateBody = z.object({ name: name.optional(), permissions: permissions.optional() })

/** `/api/api-keys`: keys for programs, each with what it may do. */
export function registerApiKeyRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string | null) => ({ config: { access: { who: 'user' as const, permission } } })

  app.get('/api/api-keys', may('apiKey.read'), (request) => listApiKeys(db, actorOf(request).userId))
  app.post('/api/api-keys', may('apiKey.create'), async (request, reply) => {
    const { secret, apiKey } = await createApiKey(db, actorOf(request), parse(createBody, request.body))
    // Immich's clients read the key from `apiKey` or, since 3.2, from the answer itself.
    return reply.status(201).send({ ...apiKey, secret, apiKey })
  })
  app.get('/api/api-keys/me', may(null), (request) => {
    const { userId, apiKey } = actorOf(request)
    if (apiKey === null) throw new AppError('forbidden', 'Not authenticated with an API Key')
    return getApiKey(db, userId, apiKey.id)
  })
  app.get('/api/api-keys/:id', may('apiKey.read'), (request) =>
    getApiKey(db, actorOf(request).userId, parse(idParams, request.params).id),
  )
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/api-keys/:id',
    ...may('apiKey.update'),
    handler: (request) =>
      updateApiKey(db, actorOf(request), parse(idParams, request.params).id, parse(updateBody, request.body)),
  })
  app.delete('/api/api-keys/:id', may('apiKey.delete'), async (request, reply) => {
    await deleteApiKey(db, actorOf(request).userId, parse(idParams, request.params).id)
    return reply.status(204).send()
  })
}
