/** Assets as Immich 3.2.2's clients expect them (`AssetResponseDto`). */
import { type Selectable, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { AssetType, Schema, Visibility } from '../../database/schema.ts'
import type { Actor } from '../access.ts'
import type { TagView } from './tag-view.ts'

export type AssetRow = Selectable<Schema['asset']>
export type ExifRow = Selectable<Schema['asset_exif']>

export type ExifResponse = {
  make: string | null
  model: string | null
  exifImageWidth: number | null
  exifImageHeight: number | null
  fileSizeInByte: number | null
  orientation: string | null
  dateTimeOriginal: string | null
  modifyDate: string | null
  timeZone: string | null
  lensModel: string | null
  fNumber: number | null
  focalLength: number | null
  iso: number | null
  exposureTime: string | null
  latitude: number | null
  longitude: number | null
  city: string | null
  state: string | null
  country: string | null
  description: string | null
  projectionType: string | null
  rating: number | null
}

/** Immich's `AssetStackResponseDto`: the stack that an asset is in, and how many of it can be seen. */
export type AssetStack = { id: string; primaryAssetId: string; assetCount: number }

export type AssetResponse = {
  id: string
  ownerId: string
  type: AssetType
  /** Base64 SHA-1: the phone app joins local and remote photos on this string. */
  checksum: string
  originalFileName: string
  originalMimeType: string
  originalPath: string
  createdAt: string
  updatedAt: string
  fileCreatedAt: string
  fileModifiedAt: string
  /** The wall clock of the place where it was taken, written as if UTC. */
  localDateTime: string
  /** As displayed. Null where unknown, never 0: the phone app divides by them. */
  width: number | null
  height: number | null
  /** Milliseconds; null for what does not move. */
  duration: number | null
  thumbhash: string | null
  isFavorite: boolean
  isArchived: boolean
  isTrashed: boolean
  isOffline: boolean
  isEdited: boolean
  visibility: Visibility
  livePhotoVideoId: string | null
  hasMetadata: boolean
  resized: boolean
  /**
   * Why there is no preview, or only one of a part of it, for people; null where it is whole or still to be
   * made. Not in Immich's shape.
   */
  processingError: string | null
  libraryId: null
  duplicateId: null
  /** Of one asset that is read by itself; otherwise null and none. */
  stack: AssetStack | null
  people: never[]
  tags: TagView[]
  exifInfo?: ExifResponse
}

/**
 * The assets with these ids, in their order; those that don't exist are left out. Access is the caller's to
 * check.
 */
export async function assetResponses(
  db: Queryable,
  actor: Pick<Actor, 'userId'>,
  assetIds: readonly string[],
  options: { withExif?: boolean } = {},
): Promise<AssetResponse[]> {
  if (assetIds.length === 0) return []
  const rows = await db
    .selectFrom('asset')
    .selectAll()
    .where(sql<boolean>`asset.id = any(${assetIds as string[]}::uuid[])`)
    .execute()
  const byId = new Map(rows.map((row) => [row.id, row]))
  const ordered = assetIds.map((id) => byId.get(id)).filter((row) => row !== undefined)
  return assetRowResponses(db, actor, ordered, options)
}

/** As `assetResponses`, for rows that the caller has read. */
export async function assetRowResponses(
  db: Queryable,
  actor: Pick<Actor, 'userId'>,
  rows: readonly AssetRow[],
  options: { withExif?: boolean } = {},
): Promise<AssetResponse[]> {
  const exif = new Map<string, ExifRow>()
  if (options.withExif && rows.length > 0) {
    const ids = rows.map((row) => row.id)
    const found = await db
      .selectFrom('asset_exif')
      .selectAll()
      .where(sql<boolean>`asset_id = any(${ids}::uuid[])`)
      .execute()
    for (const row of found) exif.set(row.asset_id, row)
  }
  return rows.map((row) => ({
    ...toAssetResponse(row, actor.userId),
    ...(options.withExif && { exifInfo: toExifResponse(row, exif.get(row.id)) }),
  }))
}

/** One row; `viewerId` because a favorite is one to its owner only. */
export function toAssetResponse(row: AssetRow, viewerId: string): AssetResponse {
  return {
    id: row.id,
    ownerId: row.owner_id,
    type: row.type,
    checksum: row.checksum.toString('base64'),
    originalFileName: row.original_file_name,
    originalMimeType: row.original_mime_type,
    // Where bytes lie is the ledger's to say (storage receipts); clients only show this or take its last
    // part.
    originalPath: `users/${row.owner_id}/${row.id}/${row.original_file_name.replaceAll('/', '_')}`,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    fileCreatedAt: row.file_created_at.toISOString(),
    fileModifiedAt: row.file_modified_at.toISOString(),
    localDateTime: wallClockAsUtc(row.local_date_time),
    width: row.width,
    height: row.height,
    duration: row.duration_ms,
    thumbhash: row.thumbhash?.toString('base64') ?? null,
    isFavorite: row.is_favorite && row.owner_id === viewerId,
    isArchived: row.visibility === 'archive',
    isTrashed: row.deleted_at !== null,
    isOffline: false,
    isEdited: false,
    visibility: row.visibility,
    livePhotoVideoId: row.live_photo_video_id,
    hasMetadata: true,
    resized: true,
    processingError: row.processing_error,
    libraryId: null,
    duplicateId: null,
    stack: null,
    people: [],
    tags: [],
  }
}

function toExifResponse(asset: AssetRow, exif: ExifRow | undefined): ExifResponse {
  return {
    make: exif?.make ?? null,
    model: exif?.model ?? null,
    exifImageWidth: exif?.exif_image_width ?? null,
    exifImageHeight: exif?.exif_image_height ?? null,
    fileSizeInByte: asset.file_size,
    orientation: exif?.orientation ?? null,
    dateTimeOriginal: asJsonOfPostgres(exif?.date_time_original ?? asset.file_created_at),
    modifyDate: asJsonOfPostgres(exif?.modify_date ?? asset.file_modified_at),
    timeZone: shortOffset(exif?.time_zone ?? asset.time_zone),
    lensModel: exif?.lens_model ?? null,
    fNumber: exif?.f_number ?? null,
    focalLength: exif?.focal_length ?? null,
    iso: exif?.iso ?? null,
    exposureTime: exif?.exposure_time ?? null,
    latitude: exif?.latitude ?? null,
    longitude: exif?.longitude ?? null,
    city: exif?.city ?? null,
    state: exif?.state ?? null,
    country: exif?.country ?? null,
    description: exif?.description ?? '',
    projectionType: exif?.projection_type ?? null,
    rating: exif?.rating ?? null,
  }
}

/**
 * `2023-11-20T01:11:00+00:00`, with as much of a fraction as there is: Immich's come out of the database so.
 */
function asJsonOfPostgres(at: Date): string {
  return at.toISOString().replace(/\.?0*Z$/, '+00:00')
}

/** `UTC-07:00` as `UTC-7`, `UTC+05:30` stays: how Immich writes an offset. Names of zones stay, too. */
function shortOffset(zone: string | null): string | null {
  return (
    zone?.replace(/^UTC([+-])0?(\d{1,2})(?::00)?(:\d\d)?$/, (_, sign, hours, minutes) =>
      minutes === undefined ? `UTC${sign}${hours}` : zone,
    ) ?? null
  )
}

/** `2024-05-01 12:30:00.5` (a timestamp without time zone) as `2024-05-01T12:30:00.500Z`. */
export function wallClockAsUtc(timestamp: string): string {
  const [date, time = '00:00:00'] = timestamp.split(/[ T]/)
  const [seconds, fraction = ''] = time.split('.')
  return `${date}T${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}Z`
}
