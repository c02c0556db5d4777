import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  createPartner,
  listPartners,
  removePartner,
  updatePartner,
} from '../../../library/sharing/partners.ts'
import { actorOf } from '../../access/authenticate.ts'
import { idParams, parse, uuid } from '../../validate.ts'

const listQuery = z.object({ direction: z.enum(['shared-by', 'shared-with']) })
const createBody = z.object({ sharedWithId: uuid })
const updateBody = z.object({ inTimeline: z.boolean() })

/** `/api/partners`. The id in a path is the other one's. */
export function registerPartnerRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })

  app.get('/api/partners', may('partner.read'), (request) =>
    listPartners(db, actorOf(request), parse(listQuery, request.query).direction),
  )
  app.post('/api/partners', may('partner.create'), async (request, reply) => {
    const { sharedWithId } = parse(createBody, request.body)
    return reply.status(201).send(await createPartner(db, actorOf(request), sharedWithId))
  })
  // The older form, which tools still use.
  app.post('/api/partners/:id', may('partner.create'), async (request, reply) => {
    const { id } = parse(idParams, request.params)
    return reply.status(201).send(await createPartner(db, actorOf(request), id))
  })
  app.put('/api/partners/:id', may('partner.update'), (request) =>
    updatePartner(db, actorOf(request), parse(idParams, request.params).id, parse(updateBody, request.body)),
  )
  app.delete('/api/partners/:id', may('partner.delete'), async (request, reply) => {
    await removePartner(db, actorOf(request), parse(idParams, request.params).id)
    return reply.status(204).send()
  })
}
