/** What members say of an album or of an asset in it: comments and likes. */
import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database, Queryable } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { type Actor, noAccess } from '../access.ts'
import { describeUser, type UserView } from '../users/users.ts'
import { requireAlbum } from './album-access.ts'

export type ActivityType = 'comment' | 'like'
/** Immich's `ActivityResponseDto`. `assetId` null: of the whole album; `comment` null: a like. */
export type ActivityView = {
  id: string
  createdAt: string
  type: ActivityType
  user: UserView
  assetId: string | null
  comment: string | null
}

/** What is seen: nothing of deleted users, nor of what lies in the trash or is locked. */
const IS_SEEN = sql<boolean>`author.deleted_at is null
  and (asset.id is null or asset.deleted_at is null and asset.visibility <> 'locked')`

/** Oldest first. `level`: only of the album itself, or only of assets. @throws AppError invalid */
export async function listActivities(
  db: Database,
  actor: Actor,
  filter: {
    albumId: string
    assetId?: string | undefined
    level?: 'album' | 'asset' | undefined
    type?: ActivityType | undefined
    userId?: string | undefined
  },
): Promise<ActivityView[]> {
  await requireAlbum(db, actor, filter.albumId, 'album.read')
  const conditions: RawBuilder<unknown>[] = [sql`activity.album_id = ${filter.albumId}::uuid`]
  if (filter.assetId !== undefined) conditions.push(sql`activity.asset_id = ${filter.assetId}::uuid`)
  if (filter.level === 'album') conditions.push(sql`activity.asset_id is null`)
  if (filter.level === 'asset') conditions.push(sql`activity.asset_id is not null`)
  if (filter.type !== undefined)
    conditions.push(sql`(activity.comment is null) = ${filter.type === 'like'}::boolean`)
  if (filter.userId !== undefined) conditions.push(sql`activity.user_id = ${filter.userId}::uuid`)
  return readActivities(db, sql.join(conditions, sql` and `))
}

/** @throws AppError invalid without access to the album */
export async function activityStatistics(
  db: Database,
  actor: Actor,
  { albumId, assetId }: { albumId: string; assetId?: string | undefined },
): Promise<{ comments: number; likes: number }> {
  await requireAlbum(db, actor, albumId, 'album.read')
  const { rows } = await sql<{ comments: number; likes: number }>`
    select count(comment)::int as comments, (count(*) - count(comment))::int as likes
    from activity join app_user author on author.id = activity.user_id
    left join asset on asset.id = activity.asset_id
    where activity.album_id = ${albumId}::uuid and ${IS_SEEN}
      and ${assetId === undefined ? sql`true` : sql`activity.asset_id = ${assetId}::uuid`}`.execute(db)
  return rows[0]!
}

/**
 * Says something. Who likes the same again gets what is there (`isNew` false).
 * @throws AppError invalid without access, where the album takes none, for a comment without text or a like
 * with one, or an asset that is not in the album
 */
export async function createActivity(
  db: Database,
  actor: Actor,
  wish: {
    albumId: string
    assetId?: string | undefined
    type: ActivityType
    comment?: string | undefined
  },
): Promise<{ activity: ActivityView; isNew: boolean }> {
  const comment = requireComment(wish.type, wish.comment)
  const assetId = wish.assetId ?? null
  return db.transaction().execute(async (tx) => {
    await requireAlbum(tx, actor, wish.albumId, 'activity.create')
    // Locked: it may be taken out of the album at this moment.
    const isThere = await (assetId === null
      ? sql`select from album where id = ${wish.albumId}::uuid for key share`
      : sql`select from album_asset where album_id = ${wish.albumId}::uuid and asset_id = ${assetId}::uuid for key share`
    ).execute(tx)
    if (isThere.rows.length === 0) {
      throw assetId === null
        ? noAccess('activity.create')
        : new AppError('invalid', 'assetId: choose an asset of this album')
    }
    const made = await tx
      .insertInto('activity')
      .values({ album_id: wish.albumId, user_id: actor.userId, asset_id: assetId, comment })
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst()
    const [activity] = await readActivities(
      tx,
      made === undefined
        ? sql`activity.album_id = ${wish.albumId}::uuid and activity.user_id = ${actor.userId}::uuid
            and activity.asset_id is not distinct from ${assetId}::uuid and activity.comment is null`
        : sql`activity.id = ${made.id}::uuid`,
    )
    // The asset went to the trash, or a like that was there was taken back at this moment.
    if (activity === undefined) throw noAccess('activity.create')
    return { activity, isNew: made !== undefined }
  })
}

/** By who said it, or by the owner of the album. @throws AppError invalid */
export async function deleteActivity(db: Database, actor: Actor, id: string): Promise<void> {
  const { rows } = await sql`
    delete from activity where id = ${id}::uuid and (user_id = ${actor.userId}::uuid or exists (
      select from album_user where album_user.album_id = activity.album_id
        and album_user.user_id = ${actor.userId}::uuid and album_user.role = 'owner'))
    returning id`.execute(db)
  if (rows.length === 0) throw noAccess('activity.delete')
}

function requireComment(type: ActivityType, comment: string | undefined): string | null {
  if (type === 'comment') {
    if (comment) return comment
    throw new AppError('invalid', 'Comment is required when type is COMMENT')
  }
  if (comment) throw new AppError('invalid', 'Comment must not be provided when type is not COMMENT')
  return null
}

type Row = Selectable<Schema['app_user']> & {
  activityId: string
  saidAt: Date
  assetId: string | null
  comment: string | null
}

async function readActivities(db: Queryable, where: RawBuilder<unknown>): Promise<ActivityView[]> {
  const { rows } = await sql<Row>`
    select author.*, activity.id as "activityId", activity.created_at as "saidAt",
      activity.asset_id as "assetId", activity.comment
    from activity join app_user author on author.id = activity.user_id
    left join asset on asset.id = activity.asset_id
    where ${where} and ${IS_SEEN}
    order by activity.created_at, activity.id`.execute(db)
  return rows.map((row) => ({
    id: row.activityId,
    createdAt: row.saidAt.toISOString(),
    type: row.comment === null ? 'like' : 'comment',
    user: describeUser(row),
    assetId: row.assetId,
    comment: row.comment,
  }))
}
