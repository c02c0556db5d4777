import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../database/connect.ts'
import { addAssetsToAlbum, addAssetsToAlbums, removeAssetsFromAlbum } from '../../library/album-assets.ts'
import { addAlbumMembers, removeAlbumMember, updateAlbumMember } from '../../library/album-users.ts'
import { actorOf } from '../authenticate.ts'
import { idParams, parse, uuid } from '../validate.ts'

const idsBody = z.object({ ids: z.array(uuid) })
const manyBody = z.object({ albumIds: z.array(uuid), assetIds: z.array(uuid) })
const role = z.enum(['editor', 'viewer'])
const addUsersBody = z.object({
  albumUsers: z.array(z.object({ userId: uuid, role: role.default('editor') })).min(1),
})
const roleBody = z.object({ role })
const memberParams = z.object({ id: uuid, userId: uuid.or(z.literal('me')) })

/** `/api/albums/:id/assets` and `/api/albums/:id/user`: what is in an album, and who is. */
export function registerAlbumContentRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })

  app.put('/api/albums/assets', may('albumAsset.create'), (request) => {
    const { albumIds, assetIds } = parse(manyBody, request.body)
    return addAssetsToAlbums(db, actorOf(request), albumIds, assetIds)
  })
  app.put('/api/albums/:id/assets', may('albumAsset.create'), (request) => {
    const { id } = parse(idParams, request.params)
    return addAssetsToAlbum(db, actorOf(request), id, parse(idsBody, request.body).ids)
  })
  app.delete('/api/albums/:id/assets', may('albumAsset.delete'), (request) => {
    const { id } = parse(idParams, request.params)
    return removeAssetsFromAlbum(db, actorOf(request), id, parse(idsBody, request.body).ids)
  })

  app.put('/api/albums/:id/users', may('albumUser.create'), (request) => {
    const { id } = parse(idParams, request.params)
    return addAlbumMembers(db, actorOf(request), id, parse(addUsersBody, request.body).albumUsers)
  })
  app.put('/api/albums/:id/user/:userId', may('albumUser.update'), async (request, reply) => {
    const actor = actorOf(request)
    const { id, userId } = parse(memberParams, request.params)
    const { role } = parse(roleBody, request.body)
    await updateAlbumMember(db, actor, id, { userId: userId === 'me' ? actor.userId : userId, role })
    return reply.status(204).send()
  })
  app.delete('/api/albums/:id/user/:userId', may('albumUser.delete'), async (request, reply) => {
    const actor = actorOf(request)
    const { id, userId } = parse(memberParams, request.params)
    await removeAlbumMember(db, actor, id, userId === 'me' ? actor.userId : userId)
    return reply.status(204).send()
  })
}
