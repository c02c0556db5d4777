import type { Tx } from '../../database/connect.ts'
import type { AssetType, Visibility } from '../../database/schema.ts'
import type { Actor } from '../access.ts'
import { toWallClock } from '../wall-clock.ts'
import { type MetadataItem, upsertMetadata } from './asset-metadata.ts'
import { restoreFromTrash } from './trash.ts'

/** What the sender says about a file. */
export type UploadFields = {
  fileCreatedAt: Date
  fileModifiedAt: Date
  isFavorite: boolean
  visibility: Visibility
  /** As the client says; the file itself has the last word. */
  durationMs: number | null
  livePhotoVideoId: string | null
  /** What the client keeps with it; absent: nothing. */
  metadata?: MetadataItem[]
}

/** Another upload of the same bytes was faster; thrown so that ours leaves nothing behind. */
export class SameBytesArrived extends Error {}

type NewAsset = {
  assetId: string
  objectId: string
  format: { type: AssetType; mimeType: string }
  upload: { fileName: string; fields: UploadFields; original: { sha1: Buffer; size: number } }
  /** A film that was taken out of its picture's file. */
  isEmbedded?: boolean
}

/**
 * Makes the row of an asset whose original is proven in the same transaction. The video that it names comes
 * out of the trash, so `advanceWhereDue` is to follow where it names one. @throws SameBytesArrived
 */
export async function insertAsset(
  tx: Tx,
  actor: Pick<Actor, 'userId'>,
  { assetId, objectId, format, upload, isEmbedded = false }: NewAsset,
): Promise<void> {
  const { fields, original } = upload
  // A concurrent insert of the same bytes is waited for here, then nothing is inserted.
  const inserted = await tx
    .insertInto('asset')
    .values({
      id: assetId,
      owner_id: actor.userId,
      type: format.type,
      checksum: original.sha1,
      original_object_id: objectId,
      original_file_name: upload.fileName,
      original_mime_type: format.mimeType,
      file_size: original.size,
      file_created_at: fields.fileCreatedAt,
      file_modified_at: fields.fileModifiedAt,
      local_date_time: toWallClock(fields.fileCreatedAt, 'UTC'),
      is_favorite: fields.isFavorite,
      visibility: fields.visibility,
      duration_ms: fields.durationMs,
      live_photo_video_id: fields.livePhotoVideoId,
      is_embedded: isEmbedded,
    })
    .onConflict((conflict) => conflict.columns(['owner_id', 'checksum']).doNothing())
    .returning('id')
    .executeTakeFirst()
  if (!inserted) throw new SameBytesArrived()
  await upsertMetadata(
    tx,
    (fields.metadata ?? []).map((item) => ({ ...item, assetId })),
  )
  if (fields.livePhotoVideoId !== null) await restoreFromTrash(tx, actor, [fields.livePhotoVideoId])
}
