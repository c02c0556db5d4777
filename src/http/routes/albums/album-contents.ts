import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  addAssetsToAlbum,
  addAssetsToAlbums,
  removeAssetsFromAlbum,
} from '../../../library/albums/album-assets.ts'
import { addAlbumMembers, removeAlbumMember, updateAlbumMember } from '../../../library/albums/album-users.ts'
import { actorOf } from '../../access/authenticate.ts'
import { ID_LISTS } from '../../bodies/limits.ts'
import { idParams, ids, idsUpTo, parse, uuid } from '../../validate.ts'

const idsBody = z.object({ ids })
const manyBody = z.object({ albumIds: idsUpTo(1_000), assetIds: ids })
const role = z.enum(['editor', 'viewer'])
/** `owner` is refused in words of its own. */
const newRole = z.enum(['editor', 'viewer', 'owner'])
const addUsersBody = z.object({
  albumUsers: z.array(z.object({ userId: uuid, role: newRole.default('editor') })).min(1),
})
const roleBody = z.object({ role })
const memberParams = z.object({ id: uuid, userId: uuid.or(z.literal('me')) })

/** `/api/albums/:id/assets` and `/api/albums/:id/user`: what is in an album, and who is. */
export function registerAlbumContentRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const access = (permission: string) => ({ who: 'user' as const, permission })
  const may = (permission: string) => ({ config: { access: access(permission) } })
  const mayListing = (permission: string) => ({ config: { access: access(permission), body: ID_LISTS } })

  app.put('/api/albums/assets', mayListing('albumAsset.create'), (request) => {
    const { albumIds, assetIds } = parse(manyBody, request.body)
    return addAssetsToAlbums(db, actorOf(request), albumIds, assetIds)
  })
  app.put('/api/albums/:id/assets', mayListing('albumAsset.create'), (request) => {
    const { id } = parse(idParams, request.params)
    return addAssetsToAlbum(db, actorOf(request), id, parse(idsBody, request.body).ids)
  })
  app.delete('/api/albums/:id/assets', mayListing('albumAsset.delete'), (request) => {
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
