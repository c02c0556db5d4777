/** What `POST /api/search/*` can ask for, and its SQL. */
import { type RawBuilder, sql } from 'kysely'
import type { AssetType, Visibility } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { hasNoTag, hasTag } from '../tags/tag-filter.ts'
import { parseChecksum } from '../uploads/checksums.ts'

/** Texts of `asset_exif` that are searched by equality; null asks for assets that have none. */
export const EXIF_TEXTS = ['city', 'state', 'country', 'make', 'model', 'lensModel'] as const

export type SearchFilter = {
  id?: string | undefined
  /** Assets that are in all of these albums, whoever owns them. */
  albumIds?: string[] | undefined
  isNotInAlbum?: boolean | undefined
  /** Base64 or hex SHA-1. */
  checksum?: string | undefined
  /** Part of the name, in any case, with or without accents; so are the next two. */
  originalFileName?: string | undefined
  originalPath?: string | undefined
  description?: string | undefined
  type?: AssetType | undefined
  /** Absent: what the timeline and the archive show. */
  visibility?: Visibility | undefined
  isFavorite?: boolean | undefined
  isMotion?: boolean | undefined
  isEncoded?: boolean | undefined
  isOffline?: boolean | undefined
  /** With those in the trash; so is a search by when they went there. */
  withDeleted?: boolean | undefined
  takenAfter?: Date | undefined
  takenBefore?: Date | undefined
  createdAfter?: Date | undefined
  createdBefore?: Date | undefined
  updatedAfter?: Date | undefined
  updatedBefore?: Date | undefined
  trashedAfter?: Date | undefined
  trashedBefore?: Date | undefined
  rating?: number | null | undefined
  minFileSize?: number | undefined
  /** All of these tags, each or one below it; null: none at all. */
  tagIds?: string[] | null | undefined
  /** Things this server has none of: people, text in pictures, external libraries. One finds nothing. */
  personIds?: string[] | undefined
  ocr?: string | undefined
  libraryId?: string | null | undefined
} & { [Name in (typeof EXIF_TEXTS)[number]]?: string | null | undefined }

/**
 * The conditions on `asset` and, where the second value says so, `exif` (left-joined `asset_exif`). Access to
 * the albums is the caller's to check. `partnerIds`: whose timeline is looked through as well.
 * @throws AppError invalid for a checksum that is none
 */
export function searchConditions(
  filter: SearchFilter,
  viewerId: string,
  partnerIds: readonly string[] = [],
): { where: RawBuilder<unknown>; usesExif: boolean } {
  const asset: RawBuilder<unknown>[] = [sql`asset.visibility <> 'locked'`]
  const exif: RawBuilder<unknown>[] = []
  const isMine = sql`asset.owner_id = ${viewerId}::uuid`
  const inAlbums = filter.albumIds?.length ? [...new Set(filter.albumIds)] : []

  if (inAlbums.length === 0) asset.push(isMineOrOf(viewerId, partnerIds))
  for (const albumId of inAlbums) {
    asset.push(sql`asset.id in (select asset_id from album_asset where album_id = ${albumId}::uuid)`)
  }
  if (filter.isNotInAlbum) {
    asset.push(sql`not exists (select from album_asset where album_asset.asset_id = asset.id)`)
  }
  if (filter.id !== undefined) asset.push(sql`asset.id = ${filter.id}::uuid`)
  if (filter.checksum !== undefined) asset.push(sql`asset.checksum = ${checksumOf(filter.checksum)}`)
  if (filter.type !== undefined) asset.push(sql`asset.type = ${filter.type}`)
  asset.push(
    filter.visibility
      ? sql`asset.visibility = ${filter.visibility}`
      : sql`asset.visibility in ('timeline', 'archive')`,
  )
  if (filter.isFavorite !== undefined) {
    asset.push(sql`(asset.is_favorite and ${isMine}) = ${filter.isFavorite}::boolean`)
  }
  if (filter.isMotion !== undefined) {
    asset.push(sql`(asset.live_photo_video_id is not null) = ${filter.isMotion}::boolean`)
  }
  if (filter.isEncoded !== undefined) {
    asset.push(sql`exists (select from asset_file where asset_file.asset_id = asset.id and kind = 'encoded-video')
      = ${filter.isEncoded}::boolean`)
  }
  if (filter.originalFileName) asset.push(contains(sql`asset.original_file_name`, filter.originalFileName))
  if (filter.originalPath) {
    asset.push(
      contains(
        sql`('users/' || asset.owner_id || '/' || asset.id || '/' || asset.original_file_name)`,
        filter.originalPath,
      ),
    )
  }
  if (filter.tagIds === null) asset.push(hasNoTag(viewerId))
  for (const tagId of new Set(filter.tagIds ?? [])) asset.push(hasTag(viewerId, tagId))
  if (filter.minFileSize !== undefined) asset.push(sql`asset.file_size >= ${filter.minFileSize}::bigint`)

  const showsTrash =
    filter.withDeleted || filter.trashedAfter !== undefined || filter.trashedBefore !== undefined
  // The trash is its owner's: a member of an album does not see what another one threw away.
  asset.push(showsTrash ? sql`(asset.deleted_at is null or ${isMine})` : sql`asset.deleted_at is null`)
  asset.push(...between(sql`asset.file_created_at`, filter.takenAfter, filter.takenBefore))
  asset.push(...between(sql`asset.created_at`, filter.createdAfter, filter.createdBefore))
  asset.push(...between(sql`asset.updated_at`, filter.updatedAfter, filter.updatedBefore))
  asset.push(...between(sql`asset.deleted_at`, filter.trashedAfter, filter.trashedBefore))

  for (const name of EXIF_TEXTS) {
    const wanted = filter[name]
    const column = sql.ref(`exif.${name === 'lensModel' ? 'lens_model' : name}`)
    if (wanted !== undefined) exif.push(wanted === null ? sql`${column} is null` : sql`${column} = ${wanted}`)
  }
  if (filter.rating !== undefined) {
    exif.push(filter.rating === null ? sql`exif.rating is null` : sql`exif.rating = ${filter.rating}::int`)
  }
  if (filter.description) exif.push(contains(sql`exif.description`, filter.description))

  if (filter.isOffline || filter.personIds?.length || filter.ocr || filter.libraryId) {
    asset.push(sql`false`)
  }
  return { where: sql.join([...asset, ...exif], sql` and `), usesExif: exif.length > 0 }
}

/** Of a partner only what their timeline shows. */
function isMineOrOf(viewerId: string, partnerIds: readonly string[]): RawBuilder<unknown> {
  if (partnerIds.length === 0) return sql`asset.owner_id = ${viewerId}::uuid`
  return sql`asset.owner_id = any(${[viewerId, ...partnerIds]}::uuid[])
    and (asset.owner_id = ${viewerId}::uuid or asset.visibility = 'timeline')`
}

function between(column: RawBuilder<unknown>, after?: Date, before?: Date): RawBuilder<unknown>[] {
  const conditions: RawBuilder<unknown>[] = []
  if (after !== undefined) conditions.push(sql`${column} >= ${after}`)
  if (before !== undefined) conditions.push(sql`${column} <= ${before}`)
  return conditions
}

/**
 * Anywhere in it; without regard to case, accents, and how they are written (0018-search-text.sql). By
 * `like`, which the index of names can answer (0054-search-names.sql); what it gives a meaning is escaped
 * last, for `search_text` makes a % of a wide one.
 */
function contains(column: RawBuilder<unknown>, part: string): RawBuilder<unknown> {
  return sql`search_text(${column}) like '%' || regexp_replace(search_text(${part}), '[\\\\%_]', '\\\\\\&', 'g') || '%'`
}

function checksumOf(text: string): Buffer {
  const checksum = parseChecksum(text)
  if (checksum === null) throw new AppError('invalid', 'checksum: give a SHA-1 in base64 or hex')
  return checksum
}
