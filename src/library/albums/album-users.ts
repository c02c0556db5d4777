import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { AppError } from '../../errors.ts'
import type { Actor } from '../access.ts'
import { requireAlbum } from './album-access.ts'
import { lockAlbums } from './album-assets.ts'
import type { AlbumView } from './album-view.ts'
import { type AlbumMember, announceAlbum, getAlbum, requireKnownMembers } from './albums.ts'

/**
 * Shares an album. Who is a member already, the owner included, stays what they are. @throws AppError invalid
 * without access, or for unknown users
 */
export async function addAlbumMembers(
  db: Database,
  actor: Actor,
  albumId: string,
  members: AlbumMember[],
): Promise<AlbumView> {
  await db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, albumId, 'album.share')
    await lockAlbums(tx, [albumId])
    await requireKnownMembers(tx, members, 'User not found')
    const added = await tx
      .insertInto('album_user')
      .values(members.map(({ userId, role }) => ({ album_id: albumId, user_id: userId, role })))
      .onConflict((conflict) => conflict.doNothing())
      .returning('user_id')
      .execute()
    if (added.length === 0) return
    await tx.updateTable('album').set({ updated_at: sql`now()` }).where('id', '=', albumId).execute()
    await announceAlbum(tx, albumId)
  })
  return getAlbum(db, actor, albumId)
}

/** Changes a member's role. @throws AppError invalid without access, or where they are no member */
export async function updateAlbumMember(
  db: Database,
  actor: Actor,
  albumId: string,
  member: AlbumMember,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, albumId, 'album.share')
    const ofMember = await tx
      .selectFrom('album_user')
      .select('role')
      .where('album_id', '=', albumId)
      .where('user_id', '=', member.userId)
      .forUpdate()
      .executeTakeFirst()
    if (ofMember === undefined) throw new AppError('invalid', 'Album not shared with user')
    if (ofMember.role === 'owner') throw new AppError('invalid', 'User is owner')
    await tx
      .updateTable('album_user')
      .set({ role: member.role })
      .where('album_id', '=', albumId)
      .where('user_id', '=', member.userId)
      .execute()
    await announceAlbum(tx, albumId)
  })
}

/**
 * Ends a membership: the caller's own, or, if the caller may share the album, anybody's but the owner's.
 * @throws AppError invalid
 */
export async function removeAlbumMember(
  db: Database,
  actor: Actor,
  albumId: string,
  userId: string,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, albumId, userId === actor.userId ? 'album.read' : 'album.share')
    const removed = await tx
      .deleteFrom('album_user')
      .where('album_id', '=', albumId)
      .where('user_id', '=', userId)
      .returning('role')
      .executeTakeFirst()
    if (removed === undefined) throw new AppError('invalid', 'Album not shared with user')
    // Rolled back with what was removed. An owner who does not want the album deletes it.
    if (removed.role === 'owner') throw new AppError('invalid', 'Cannot remove the last album owner')
    await announceAlbum(tx, albumId)
    await publish(tx, { type: 'album-updated', albumId, userIds: [userId] })
  })
}
