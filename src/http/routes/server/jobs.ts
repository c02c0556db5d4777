import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { commandQueue, IMMICH_QUEUES, listQueues } from '../../../library/server/queue-control.ts'
import { QUEUE_NAMES } from '../../../queue/queue-names.ts'
import { actorOf } from '../../access/authenticate.ts'
import type { HttpParts } from '../../parts.ts'
import { parse } from '../../validate.ts'

/** Immich's names, and ours where Immich has none (`eviction`). */
const params = z.object({ name: z.enum([...IMMICH_QUEUES, ...QUEUE_NAMES]) })
const body = z.object({
  command: z.enum(['start', 'pause', 'resume', 'empty', 'clear-failed']),
  force: z.boolean().nullish(),
})

export function registerJobRoutes(app: FastifyInstance, { db }: HttpParts): void {
  app.get('/api/jobs', { config: { access: { who: 'admin', permission: 'job.read' } } }, async () =>
    listQueues(db),
  )

  app.put(
    '/api/jobs/:name',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request, reply) => {
      const { name } = parse(params, request.params)
      const { command, force } = parse(body, request.body)
      return reply.status(200).send(await commandQueue(db, actorOf(request), name, command, force ?? false))
    },
  )
}
