import type { Queryable } from '../../database/connect.ts'
import type { AlbumRole } from '../../database/schema.ts'
import { type Actor, noAccess } from '../access.ts'

export type AlbumPermission =
  | 'album.read'
  | 'album.update'
  | 'album.delete'
  | 'album.share'
  | 'albumAsset.create'
  | 'albumAsset.delete'

/** Who may do what with an album: viewers look, editors do all but delete it. */
const ROLES: { [Permission in AlbumPermission]: readonly AlbumRole[] } = {
  'album.read': ['owner', 'editor', 'viewer'],
  'albumAsset.create': ['owner', 'editor'],
  'albumAsset.delete': ['owner', 'editor'],
  'album.update': ['owner', 'editor'],
  'album.delete': ['owner'],
  'album.share': ['owner', 'editor'],
}

/**
 * Demands the permission and answers the actor's role. @throws AppError invalid, also where there is no such
 * album
 */
export async function requireAlbum(
  db: Queryable,
  actor: Actor,
  albumId: string,
  permission: AlbumPermission,
): Promise<AlbumRole> {
  const member = await db
    .selectFrom('album_user')
    .select('role')
    .where('album_id', '=', albumId)
    .where('user_id', '=', actor.userId)
    .executeTakeFirst()
  if (member === undefined || !ROLES[permission].includes(member.role)) throw noAccess(permission)
  return member.role
}
