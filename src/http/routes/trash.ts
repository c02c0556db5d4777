import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { emptyTrash, restoreAssets } from '../../library/trash.ts'
import { actorOf } from '../authenticate.ts'
import type { HttpParts } from '../server.ts'
import { parse, uuid } from '../validate.ts'

const ids = z.object({ ids: z.array(uuid) })

export function registerTrashRoutes(app: FastifyInstance, { db }: HttpParts): void {
  const access = { who: 'user', permission: 'asset.delete' } as const

  app.post('/api/trash/empty', { config: { access } }, async (request, reply) =>
    reply.status(200).send({ count: await emptyTrash(db, actorOf(request)) }),
  )
  app.post('/api/trash/restore', { config: { access } }, async (request, reply) =>
    reply.status(200).send({ count: await restoreAssets(db, actorOf(request), null) }),
  )
  app.post('/api/trash/restore/assets', { config: { access } }, async (request, reply) =>
    reply
      .status(200)
      .send({ count: await restoreAssets(db, actorOf(request), parse(ids, request.body).ids) }),
  )
}
