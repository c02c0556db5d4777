import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { deleteUserFor, restoreUserFor } from '../../../library/users/deletion.ts'
import { actorOf } from '../../access/authenticate.ts'
import type { HttpParts } from '../../parts.ts'
import { idParams, parse } from '../../validate.ts'

const deletion = z.object({ force: z.boolean().default(false) })

/** The end of users, and the way back while there is one. */
export function registerUserDeletionRoutes(app: FastifyInstance, parts: HttpParts): void {
  const config = { access: { who: 'admin' as const, permission: 'adminUser.delete' } }

  app.delete('/api/admin/users/:id', { config }, (request) =>
    deleteUserFor(
      parts.db,
      actorOf(request),
      parse(idParams, request.params).id,
      parse(deletion, request.body),
    ),
  )
  app.post('/api/admin/users/:id/restore', { config }, async (request, reply) =>
    reply.status(200).send(await restoreUserFor(parts, actorOf(request), parse(idParams, request.params).id)),
  )
}
