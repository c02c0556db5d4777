import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { emptyTrash, restoreAssets } from '../../../library/assets/trash.ts'
import { actorOf } from '../../access/authenticate.ts'
import { ID_LISTS } from '../../bodies/limits.ts'
import type { HttpParts } from '../../parts.ts'
import { ids, parse } from '../../validate.ts'

const idsBody = z.object({ ids })

export function registerTrashRoutes(app: FastifyInstance, parts: HttpParts): void {
  const access = { who: 'user', permission: 'asset.delete' } as const

  app.post('/api/trash/empty', { config: { access } }, async (request, reply) =>
    reply.status(200).send({ count: await emptyTrash(parts.db, actorOf(request)) }),
  )
  app.post('/api/trash/restore', { config: { access } }, async (request, reply) =>
    reply.status(200).send({ count: await restoreAssets(parts, actorOf(request), null) }),
  )
  app.post('/api/trash/restore/assets', { config: { access, body: ID_LISTS } }, async (request, reply) =>
    reply
      .status(200)
      .send({ count: await restoreAssets(parts, actorOf(request), parse(idsBody, request.body).ids) }),
  )
}
