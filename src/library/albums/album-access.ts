import { sql } from 'kysely'
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
  | 'activity.create'

/** Who may do what with an album: viewers look and comment, editors do all but delete it. */
const ROLES: { [Permission in AlbumPermission]: readonly AlbumRole[] } = {
  'album.read': ['owner', 'editor', 'viewer'],
  'albumAsset.create': ['owner', 'editor'],
  'albumAsset.delete': ['owner', 'editor'],
  'album.update': ['owner', 'editor'],
  'album.delete': ['owner'],
  'album.share': ['owner', 'editor'],
  'activity.create': ['owner', 'editor', 'viewer'],
}

/** Of an `album`: nobody sees it until its owner is back. */
export const HAS_DELETED_OWNER = sql<boolean>`exists (
  select from album_user as holder join app_user as owner on owner.id = holder.user_id
  where holder.album_id = album.id and holder.role = 'owner' and owner.deleted_at is not null)`

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
    .innerJoin('album', 'album.id', 'album_user.album_id')
    .select('album_user.role')
    .where('album.id', '=', albumId)
    .where('album_user.user_id', '=', actor.userId)
    .where(sql<boolean>`not ${HAS_DELETED_OWNER}`)
    .$if(permission === 'activity.create', (query) => query.where('album.is_activity_enabled', '=', true))
    .executeTakeFirst()
  if (member === undefined || !ROLES[permission].includes(member.role)) throw noAccess(permission)
  return member.role
}

/** Those of the albums with which the actor may do so. */
export async function findAllowedAlbums(
  db: Queryable,
  actor: Actor,
  albumIds: readonly string[],
  permission: AlbumPermission,
): Promise<string[]> {
  const rows = await db
    .selectFrom('album_user')
    .innerJoin('album', 'album.id', 'album_user.album_id')
    .select('album.id')
    .where(sql<boolean>`album.id = any(${albumIds as string[]}::uuid[])`)
    .where('album_user.user_id', '=', actor.userId)
    .where('album_user.role', 'in', ROLES[permission])
    .where(sql<boolean>`not ${HAS_DELETED_OWNER}`)
    .execute()
  return rows.map((row) => row.id)
}
