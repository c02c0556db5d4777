/** Which assets a timeline is of, and whether the actor may see them. */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Visibility } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { type Actor, findPartners, noAccess, requireOwned } from '../access.ts'
import { requireAlbum } from '../albums/album-access.ts'
import { hasTag } from '../tags/tag-filter.ts'

export type TimelineQuery = {
  /** Absent: the actor's own, or, with an album, everybody's. */
  userId?: string | undefined
  albumId?: string | undefined
  /** People are not there yet: asking for one finds nothing. */
  personId?: string | undefined
  /** With the tags below it. */
  tagId?: string | undefined
  /** Absent: what the timeline and the archive show. */
  visibility?: Visibility | undefined
  isFavorite?: boolean | undefined
  isTrashed?: boolean | undefined
  /** With the assets of the partners whom the actor wants in the timeline. */
  withPartners?: boolean | undefined
  /** Of each stack only the asset that stands for it. */
  withStacked?: boolean | undefined
  order?: 'asc' | 'desc' | undefined
  /** Months of when it was taken (the default) or of when it was added (UTC). */
  orderBy?: 'takenAt' | 'createdAt' | undefined
  /** Degrees; a west greater than east spans the date line. */
  box?: { west: number; south: number; east: number; north: number } | undefined
}

export type Owners = { ids: readonly string[]; shown: readonly Visibility[] }

/**
 * `from` and `where` for the assets that the query names, after checking that the actor may see them.
 * `owners`: whose assets these are, with the visibilities that are shown; null: anybody's, of an album.
 * `behindOthers`: besides, the condition of those that another of their stack stands for.
 * @throws AppError invalid or unauthenticated for what the actor may not see
 */
export async function selectAssets(
  db: Database,
  actor: Actor,
  query: TimelineQuery,
): Promise<{
  from: RawBuilder<unknown>
  where: RawBuilder<unknown>
  owners: Owners | null
  behindOthers: RawBuilder<unknown> | null
}> {
  const owners = await findOwners(db, actor, query)
  if (query.albumId !== undefined) await requireAlbum(db, actor, query.albumId, 'album.read')
  if (query.tagId !== undefined) await requireOwned(db, actor, 'tag', [query.tagId], 'tag.read')

  const isOthers = owners?.some((id) => id !== actor.userId) ?? false
  const shown: Visibility[] =
    query.visibility === undefined && !isOthers ? ['timeline', 'archive'] : [query.visibility ?? 'timeline']
  const visibility =
    shown.length === 2
      ? sql`asset.visibility in ('timeline', 'archive')`
      : sql`asset.visibility = ${shown[0]}`
  const conditions: RawBuilder<unknown>[] = [
    query.isTrashed ? sql`asset.deleted_at is not null` : sql`asset.deleted_at is null`,
    visibility,
  ]
  const [owner] = owners ?? []
  if (owners?.length === 1) conditions.push(sql`asset.owner_id = ${owner}::uuid`)
  else if (owners !== null) conditions.push(sql`asset.owner_id = any(${owners}::uuid[])`)
  if (query.albumId !== undefined) conditions.push(sql`album_asset.album_id = ${query.albumId}::uuid`)
  if (query.isFavorite !== undefined) {
    conditions.push(
      sql`(asset.is_favorite and asset.owner_id = ${actor.userId}::uuid) = ${query.isFavorite}::boolean`,
    )
  }
  if (query.box) conditions.push(insideBox(query.box))
  if (query.tagId !== undefined) conditions.push(hasTag(actor.userId, query.tagId))
  const behindOthers = query.withStacked ? isBehindOthers(query) : null
  if (behindOthers !== null) conditions.push(sql`not (${behindOthers})`)
  if (query.personId !== undefined) conditions.push(sql`false`)

  const from = query.albumId ? sql`album_asset join asset on asset.id = album_asset.asset_id` : sql`asset`
  return {
    ...{ from, where: sql.join(conditions, sql` and `), behindOthers },
    owners: owners && { ids: owners, shown },
  }
}

/** Whose assets; null: anybody's, in an album. */
async function findOwners(db: Database, actor: Actor, query: TimelineQuery): Promise<string[] | null> {
  const userId = query.userId ?? actor.userId
  const isOthers = userId !== actor.userId
  if (isOthers && !(await findPartners(db, actor, { inTimeline: false })).includes(userId)) {
    throw noAccess('timeline.read')
  }
  if (isOthers && query.visibility === 'archive') throw noAccess('archive.read')
  if (isOthers && query.visibility === 'locked') {
    throw new AppError('invalid', "You may not access another user's locked timeline")
  }
  // The trash is its owner's alone.
  if (isOthers && query.isTrashed) throw noAccess('timeline.read')
  if (query.visibility === 'locked') {
    // The locked folder opens with a PIN code, and there is no way to enter one yet.
    throw new AppError('unauthenticated', 'Elevated permission is required')
  }
  if (query.withPartners) {
    const isOfPartners =
      (query.visibility === 'timeline' || query.visibility === 'hidden') &&
      query.isFavorite === undefined &&
      !query.isTrashed
    if (!isOfPartners) {
      throw new AppError(
        'invalid',
        'withPartners is only supported for non-archived, non-trashed, non-favorited, non-locked assets',
      )
    }
  }
  if (query.albumId !== undefined && query.userId === undefined && !query.isTrashed) return null
  if (!query.withPartners || isOthers) return [userId]
  return [userId, ...(await findPartners(db, actor, { inTimeline: true }))]
}

/**
 * An asset is left out only where the one that stands for its stack is seen in its place: one whose primary
 * lies in the trash, or is not in the album, stands for itself.
 */
function isBehindOthers(query: TimelineQuery): RawBuilder<unknown> {
  const isInAlbum =
    query.albumId === undefined
      ? sql``
      : sql`and exists (select from album_asset held where held.album_id = ${query.albumId}::uuid and held.asset_id = shown.id)`
  // Of favourites, only another favourite stands for one.
  const isLiked =
    query.isFavorite === undefined ? sql`` : sql`and shown.is_favorite = ${query.isFavorite}::boolean`
  return sql`asset.stack_id is not null and exists (
    select from stack join asset shown on shown.id = stack.primary_asset_id
    where stack.id = asset.stack_id and shown.id <> asset.id
      and (shown.deleted_at is not null) = ${query.isTrashed ?? false}::boolean
      and shown.visibility = asset.visibility ${isInAlbum} ${isLiked})`
}

function insideBox(box: { west: number; south: number; east: number; north: number }): RawBuilder<unknown> {
  const longitude =
    box.west <= box.east
      ? sql`longitude between ${box.west} and ${box.east}`
      : sql`(longitude >= ${box.west} or longitude <= ${box.east})`
  return sql`asset.id in (
    select asset_id from asset_exif where latitude between ${box.south} and ${box.north} and ${longitude})`
}
