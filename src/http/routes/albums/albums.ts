import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  albumStatistics,
  createAlbum,
  deleteAlbum,
  getAlbum,
  listAlbums,
  updateAlbum,
} from '../../../library/albums/albums.ts'
import { actorOf } from '../../access/authenticate.ts'
import { ID_LISTS } from '../../bodies/limits.ts'
import { booleanText, idParams, ids, list, parse, text, uuid } from '../../validate.ts'

const albumName = text(500)
const description = text(10_000)
const order = z.enum(['asc', 'desc'])

const listQuery = z.object({
  id: uuid.optional(),
  assetId: uuid.optional(),
  name: text(500).optional(),
  isOwned: booleanText.optional(),
  isShared: booleanText.optional(),
  /** What version 3 calls `isShared`; tools of the ecosystem still send it. */
  shared: booleanText.optional(),
})
const createBody = z.object({
  albumName: albumName.pipe(z.string().min(1)),
  description: description.nullish(),
  assetIds: ids.default([]),
  albumUsers: list(z.object({ userId: uuid, role: z.enum(['editor', 'viewer', 'owner']) }), {
    max: 1_000,
  }).default([]),
})
const updateBody = z.object({
  albumName: albumName.optional(),
  description: description.nullish(),
  albumThumbnailAssetId: uuid.optional(),
  isActivityEnabled: z.boolean().optional(),
  order: order.optional(),
})

/** `/api/albums`: the albums themselves. */
export function registerAlbumRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const access = (permission: string) => ({ who: 'user' as const, permission })
  const may = (permission: string) => ({ config: { access: access(permission) } })

  app.get('/api/albums', may('album.read'), (request) => {
    const { shared, ...filter } = parse(listQuery, request.query)
    return listAlbums(db, actorOf(request), { ...filter, isShared: filter.isShared ?? shared })
  })
  app.post(
    '/api/albums',
    { config: { access: access('album.create'), body: ID_LISTS } },
    async (request, reply) => {
      const { albumName, albumUsers, assetIds, description } = parse(createBody, request.body)
      const wish = { name: albumName, description: description ?? '', members: albumUsers, assetIds }
      return reply.status(201).send(await createAlbum(db, actorOf(request), wish))
    },
  )
  app.get('/api/albums/statistics', may('album.statistics'), (request) =>
    albumStatistics(db, actorOf(request)),
  )
  app.get('/api/albums/:id', may('album.read'), (request) =>
    getAlbum(db, actorOf(request), parse(idParams, request.params).id),
  )
  app.patch('/api/albums/:id', may('album.update'), (request) => {
    const { albumName, albumThumbnailAssetId, description, ...rest } = parse(updateBody, request.body)
    return updateAlbum(db, actorOf(request), parse(idParams, request.params).id, {
      ...rest,
      name: albumName,
      thumbnailAssetId: albumThumbnailAssetId,
      // Absent: as it was. Null: none.
      description: description === null ? '' : description,
    })
  })
  app.delete('/api/albums/:id', may('album.delete'), async (request, reply) => {
    await deleteAlbum(db, actorOf(request), parse(idParams, request.params).id)
    return reply.status(204).send()
  })
}
