import { sql } from 'kysely'
import type { Database } from '../database/connect.ts'
import { publish } from '../database/events.ts'
import { AppError } from '../errors.ts'
import { type Actor, noAccess } from './access.ts'
import { requireAlbum } from './album-access.ts'
import type { AlbumView } from './album-view.ts'
import { type AlbumMember, announceAlbum, getAlbum, requireKnownMembers } from './albums.ts'

/** Shares an album. @throws AppError invalid without access, for unknown users, or who is a member already */
export async function addAlbumMembers(
  db: Database,
  actor: Actor,
  albumId: string,
  members: AlbumMember[],
): Promise<AlbumView> {
  await db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, albumId, 'album.share')
    await requireKnownMembers(tx, actor.userId, members)
    const added = await tx
      .insertInto('album_user')
      .values(members.map(({ userId, role }) => ({ album_id: albumId, user_id: userId, role })))
      .onConflict((conflict) => conflict.doNothing())
      .returning('user_id')
      .execute()
    if (added.length !== members.length) throw new AppError('invalid', 'User already added')
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
    const updated = await tx
      .updateTable('album_user')
      .set({ role: member.role })
      .where('album_id', '=', albumId)
      .where('user_id', '=', member.userId)
      .where('role', '<>', 'owner')
      .returning('user_id')
      .executeTakeFirst()
    if (updated === undefined) throw new AppError('invalid', 'Album not shared with user')
    await announceAlbum(tx, albumId)
  })
}

/** Ends a membership: the owner ends anybody's but their own, everybody else their own. @throws AppError invalid */
export async function removeAlbumMember(
  db: Database,
  actor: Actor,
  albumId: string,
  userId: string,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const role = await requireAlbum(tx, actor, albumId, 'album.read')
    if (role !== 'owner' && userId !== actor.userId) throw noAccess('album.share')
    if (role === 'owner' && userId === actor.userId) {
      throw new AppError('invalid', 'The owner of an album cannot leave it; delete the album instead')
    }
    const removed = await tx
      .deleteFrom('album_user')
      .where('album_id', '=', albumId)
      .where('user_id', '=', userId)
      .returning('user_id')
      .executeTakeFirst()
    if (removed === undefined) throw new AppError('invalid', 'Album not shared with user')
    await announceAlbum(tx, albumId)
    await publish(tx, { type: 'album-updated', albumId, userIds: [userId] })
  })
}
