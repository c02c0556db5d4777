import type { Field } from './line.ts'
import { type Part, removals, type Sync, upserts, uuidSql } from './parts.ts'

/** `isFavorite`: an SQL expression; an asset is a favorite to its owner only. */
export function assetFields(isFavorite: string): readonly Field[] {
  return [
    ['id', 'uuid', 'asset.id'],
    ['ownerId', 'uuid', 'asset.owner_id'],
    ['originalFileName', 'text', 'asset.original_file_name'],
    ['checksum', 'base64', 'asset.checksum'],
    ['thumbhash', 'base64', 'asset.thumbhash'],
    ['fileCreatedAt', 'time', 'asset.file_created_at'],
    ['fileModifiedAt', 'time', 'asset.file_modified_at'],
    ['createdAt', 'time', 'asset.created_at'],
    ['localDateTime', 'time', 'asset.local_date_time'],
    ['duration', 'number', 'nullif(asset.duration_ms, 0)'],
    ['type', 'word', 'asset.type'],
    ['deletedAt', 'time', 'asset.deleted_at'],
    ['isFavorite', 'boolean', isFavorite],
    ['visibility', 'word', 'asset.visibility'],
    ['livePhotoVideoId', 'uuid?', 'asset.live_photo_video_id'],
    ['stackId', 'uuid?', 'asset.stack_id'],
    // There are none of these yet.
    ['libraryId', 'json', `'null'`],
    ['width', 'number', 'asset.width'],
    ['height', 'number', 'asset.height'],
    ['isEdited', 'json', `'false'`],
  ]
}

export const EXIF: readonly Field[] = [
  ['assetId', 'uuid', 'exif.asset_id'],
  ['description', 'text', 'exif.description'],
  ['exifImageWidth', 'number', 'exif.exif_image_width'],
  ['exifImageHeight', 'number', 'exif.exif_image_height'],
  ['fileSizeInByte', 'number', 'asset.file_size'],
  ['orientation', 'text', 'exif.orientation'],
  ['dateTimeOriginal', 'time', 'exif.date_time_original'],
  ['modifyDate', 'time', 'exif.modify_date'],
  ['timeZone', 'text', 'exif.time_zone'],
  ['latitude', 'float', 'exif.latitude'],
  ['longitude', 'float', 'exif.longitude'],
  ['projectionType', 'text', 'exif.projection_type'],
  ['city', 'text', 'exif.city'],
  ['state', 'text', 'exif.state'],
  ['country', 'text', 'exif.country'],
  ['make', 'text', 'exif.make'],
  ['model', 'text', 'exif.model'],
  ['lensModel', 'text', 'exif.lens_model'],
  ['fNumber', 'float', 'exif.f_number'],
  ['focalLength', 'float', 'exif.focal_length'],
  ['iso', 'number', 'exif.iso'],
  ['exposureTime', 'text', 'exif.exposure_time'],
  // Not read from files.
  ['profileDescription', 'json', `'null'`],
  ['rating', 'number', 'exif.rating'],
  ['fps', 'float', 'exif.fps'],
]

/**
 * The user's own, in the trash or not, whatever their visibility. The removals come first: the phone keeps
 * one asset of each checksum, and a file that was removed may have been uploaded again.
 */
export function* assets(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  yield removals(sync, {
    type: 'AssetDeleteV1',
    kind: 'asset',
    scope: `removal.scope_id = ${me}`,
    fields: [['assetId', 'uuid', 'removal.subject_id']],
  })
  yield upserts(sync, {
    type: 'AssetV2',
    fields: assetFields('asset.is_favorite'),
    id: 'asset.update_id',
    from: `asset where asset.owner_id = ${me}`,
  })
}

/** The facts of the user's own assets. An asset has none until its file was read or somebody edited it. */
export function* assetExifs(sync: Sync): Generator<Part> {
  yield upserts(sync, {
    type: 'AssetExifV1',
    fields: EXIF,
    id: 'exif.update_id',
    from: `asset_exif exif join asset on asset.id = exif.asset_id where exif.owner_id = ${uuidSql(sync.userId)}`,
  })
}

/**
 * What clients keep with the user's own assets. Nulls within a value are left out: the app cannot read them,
 * and takes what is absent for null.
 */
export function* assetMetadata(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  yield removals(sync, {
    type: 'AssetMetadataDeleteV1',
    kind: 'asset_metadata',
    scope: `removal.scope_id = ${me}`,
    fields: [
      ['assetId', 'uuid', 'removal.subject_id'],
      ['key', 'text', 'removal.key'],
    ],
  })
  yield upserts(sync, {
    type: 'AssetMetadataV1',
    fields: [
      ['assetId', 'uuid', 'metadata.asset_id'],
      ['key', 'text', 'metadata.key'],
      [
        'value',
        'json',
        `(select coalesce(jsonb_object_agg(key, value) filter (where value <> 'null'), '{}')::text
          from jsonb_each(metadata.value))`,
      ],
    ],
    id: 'metadata.update_id',
    from: `asset_metadata metadata where metadata.owner_id = ${me}`,
  })
}
