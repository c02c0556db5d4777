import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  deleteMetadata,
  getMetadata,
  listMetadata,
  setMetadata,
} from '../../../library/assets/asset-metadata.ts'
import { actorOf } from '../../access/authenticate.ts'
import { FILE_LISTS, LONG_BODY } from '../../bodies/limits.ts'
import { idParams, list, parse, uuid } from '../../validate.ts'
import { bulkMetadataItems, metadataItems, metadataKey } from './metadata-items.ts'

const ofOne = z.object({ items: metadataItems })
const ofMany = z.object({ items: bulkMetadataItems })
const deletion = z.object({ items: list(z.object({ assetId: uuid, key: metadataKey })) })
const keyParams = z.object({ id: uuid, key: metadataKey })

/** `/api/assets/:id/metadata`, and the same for many assets. */
export function registerAssetMetadataRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const read = { config: { access: { who: 'user' as const, permission: 'asset.read' } } }
  const write = { who: 'user' as const, permission: 'asset.update' }

  app.put('/api/assets/metadata', { config: { access: write, body: FILE_LISTS } }, (request) =>
    setMetadata(db, actorOf(request), parse(ofMany, request.body).items),
  )
  app.delete(
    '/api/assets/metadata',
    { config: { access: write, body: FILE_LISTS } },
    async (request, reply) => {
      await deleteMetadata(db, actorOf(request), parse(deletion, request.body).items)
      return reply.status(204).send()
    },
  )
  app.get('/api/assets/:id/metadata', read, (request) =>
    listMetadata(db, actorOf(request), parse(idParams, request.params).id),
  )
  app.put('/api/assets/:id/metadata', { config: { access: write, body: LONG_BODY } }, async (request) => {
    const { id } = parse(idParams, request.params)
    const items = parse(ofOne, request.body).items.map((item) => ({ ...item, assetId: id }))
    const set = await setMetadata(db, actorOf(request), items)
    return set.map(({ key, value, updatedAt }) => ({ key, value, updatedAt }))
  })
  app.get('/api/assets/:id/metadata/:key', read, (request) => {
    const { id, key } = parse(keyParams, request.params)
    return getMetadata(db, actorOf(request), id, key)
  })
  app.delete('/api/assets/:id/metadata/:key', { config: { access: write } }, async (request, reply) => {
    const { id, key } = parse(keyParams, request.params)
    await deleteMetadata(db, actorOf(request), [{ assetId: id, key }])
    return reply.status(204).send()
  })
}
