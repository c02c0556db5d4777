/**
 * Taking in what somebody uploads. Bytes are staged, hashed and on the platter before anything here runs; what counts is
 * the one transaction in which the asset, its objects and its first job appear together. A client that got no answer
 * may send all of it again at any time.
 */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../database/connect.ts'
import type { Visibility } from '../database/schema.ts'
import { AppError, isAppError } from '../errors.ts'
import { formatOf } from '../media/formats.ts'
import { ingestStaged } from '../placement/ingest.ts'
import type { Placement } from '../placement/placement.ts'
import { markForPurge } from '../placement/purge.ts'
import { type StagedFile, stageStream } from '../placement/stage.ts'
import { enqueue } from '../queue/enqueue.ts'
import { type Actor, noAccess } from './access.ts'
import { demandQuota } from './quota.ts'
import { strategyFor, type UploadRules } from './upload-strategy.ts'
import { toWallClock } from './wall-clock.ts'

export type UploadFields = {
  fileCreatedAt: Date
  fileModifiedAt: Date
  isFavorite: boolean
  visibility: Visibility
  /** As the client says; the file itself has the last word. */
  durationMs: number | null
  livePhotoVideoId: string | null
}
export type Upload = {
  fileName: string
  original: StagedFile
  sidecar: StagedFile | null
  fields: UploadFields
}
export type UploadResult = { id: string; status: 'created' | 'duplicate' }

/** The asset of this owner with these bytes, in the trash or not. */
export async function findByChecksum(
  db: Queryable,
  ownerId: string,
  sha1: Buffer,
): Promise<{ id: string } | undefined> {
  return db
    .selectFrom('asset')
    .select('id')
    .where('owner_id', '=', ownerId)
    .where('checksum', '=', sha1)
    .executeTakeFirst()
}

/** @throws AppError invalid for a name whose extension is of no format we keep. */
export function demandSupportedFile(fileName: string): {
  type: 'IMAGE' | 'VIDEO'
  mimeType: string
  extension: string
} {
  const format = formatOf(fileName)
  if (format === null) throw new AppError('invalid', `Unsupported file type ${fileName}`)
  return format
}

/**
 * Receives the bytes of an original, by the strategy of its owner. `fileName` and `announcedBytes` are what is known before
 * the first byte.
 * @throws AppError invalid, too-large, storage-full, unavailable
 */
export async function stageOriginal(
  { placement, uploadRules }: { placement: Placement; uploadRules: UploadRules },
  actor: Actor,
  source: AsyncIterable<Buffer>,
  options: { fileName: string; announcedBytes: number | null; maxBytes: number },
): Promise<StagedFile> {
  const { fileName, announcedBytes, maxBytes } = options
  if (strategyFor(uploadRules, actor) === 'local-first') return stageStream(placement, source, { maxBytes })
  const { mimeType, extension } = demandSupportedFile(fileName)
  return stageStream(placement, source, {
    maxBytes,
    forwardTo: {
      kind: 'original',
      ownerId: actor.userId,
      assetId: randomUUID(),
      contentType: mimeType,
      extension,
      expectedBytes: announcedBytes,
    },
  })
}

/**
 * Makes an asset of staged files. The staged files are consumed or may be discarded afterwards.
 * @throws AppError invalid (format, live photo), quota-exceeded, storage-full, unavailable
 */
export async function acceptUpload(
  { db, placement }: { db: Database; placement: Placement },
  actor: Actor,
  upload: Upload,
): Promise<UploadResult> {
  const format = demandSupportedFile(upload.fileName)
  const existing = await findByChecksum(db, actor.userId, upload.original.sha1)
  if (existing) {
    await addMissingSidecar({ db, placement }, actor, existing.id, upload.sidecar)
    return { id: existing.id, status: 'duplicate' }
  }

  // What was forwarded has the asset's id in its key.
  const assetId = upload.original.forwarding?.assetId ?? randomUUID()
  // First, so that asset and sidecar can appear in one transaction. Should we die in between, the daily sweep finds it.
  const sidecarId =
    upload.sidecar && (await ingestSidecar(placement, actor, assetId, upload.sidecar, async () => {}))
  try {
    await ingestStaged(
      placement,
      {
        kind: 'original',
        ownerId: actor.userId,
        assetId,
        contentType: format.mimeType,
        extension: format.extension,
        staged: upload.original,
        keepLocalUntilProcessed: true,
      },
      async (tx, objectId) => {
        await demandQuota(tx, actor.userId, upload.original.size)
        if (upload.fields.livePhotoVideoId) {
          await hideLivePhotoVideo(tx, actor, upload.fields.livePhotoVideoId)
        }
        await insertAsset(tx, actor, { assetId, objectId, format, upload })
        if (sidecarId) await linkSidecar(tx, assetId, sidecarId)
        await enqueue(tx, 'process-asset', { assetId }, { key: `process:${assetId}` })
      },
    )
    return { id: assetId, status: 'created' }
  } catch (error) {
    // These two are thrown before the commit; after anything else (a connection lost while committing) the asset may be
    // there with its sidecar, and the daily sweep decides.
    const isRolledBack = error instanceof SameBytesArrived || isAppError(error)
    if (sidecarId && isRolledBack) await db.transaction().execute((tx) => markForPurge(tx, [sidecarId]))
    if (!(error instanceof SameBytesArrived)) throw error
    const winner = await findByChecksum(db, actor.userId, upload.original.sha1)
    if (!winner)
      throw new AppError('conflict', 'The same file was uploaded and deleted at this moment; upload it again')
    return { id: winner.id, status: 'duplicate' }
  }
}

/** Another upload of the same bytes was faster; thrown so that ours leaves nothing behind. */
export class SameBytesArrived extends Error {}

type NewAsset = {
  assetId: string
  objectId: string
  format: ReturnType<typeof demandSupportedFile>
  upload: Pick<Upload, 'fileName' | 'fields'> & { original: { sha1: Buffer; size: number } }
}

/** Makes the row of an asset whose original is proven in the same transaction. @throws SameBytesArrived */
export async function insertAsset(
  tx: Tx,
  actor: Pick<Actor, 'userId'>,
  { assetId, objectId, format, upload }: NewAsset,
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
    })
    .onConflict((conflict) => conflict.columns(['owner_id', 'checksum']).doNothing())
    .returning('id')
    .executeTakeFirst()
  if (!inserted) throw new SameBytesArrived()
}

/** The moving part of a live photo belongs to its still and is not shown by itself. @throws AppError invalid */
export async function hideLivePhotoVideo(
  tx: Tx,
  actor: Pick<Actor, 'userId'>,
  videoId: string,
): Promise<void> {
  const hidden = await tx
    .updateTable('asset')
    .set({ visibility: 'hidden', updated_at: sql`now()` })
    .where('id', '=', videoId)
    .where('owner_id', '=', actor.userId)
    .where('type', '=', 'VIDEO')
    .returning('id')
    .executeTakeFirst()
  if (!hidden) throw new AppError('invalid', 'livePhotoVideoId: there is no such video of yours')
}

/** A sidecar that arrives for a file already here (a first try may have died before it) is kept if there is none yet. */
async function addMissingSidecar(
  { db, placement }: { db: Database; placement: Placement },
  actor: Actor,
  assetId: string,
  sidecar: StagedFile | null,
): Promise<void> {
  if (sidecar === null) return
  const present = await db
    .selectFrom('asset_file')
    .select('object_id')
    .where('asset_id', '=', assetId)
    .where('kind', '=', 'sidecar')
    .executeTakeFirst()
  if (present) return
  try {
    await ingestSidecar(placement, actor, assetId, sidecar, async (tx, objectId) => {
      await linkSidecar(tx, assetId, objectId)
      await enqueue(tx, 'process-asset', { assetId }, { key: `process:${assetId}` })
    })
  } catch (error) {
    if (!(error instanceof SameBytesArrived)) throw error
  }
}

function ingestSidecar(
  placement: Placement,
  actor: Actor,
  assetId: string,
  staged: StagedFile,
  link: (tx: Tx, objectId: string) => Promise<void>,
): Promise<string> {
  return ingestStaged(
    placement,
    {
      kind: 'sidecar',
      ownerId: actor.userId,
      assetId,
      contentType: 'application/xml',
      extension: 'xmp',
      staged,
    },
    async (tx, objectId) => {
      await link(tx, objectId)
      return objectId
    },
  )
}

async function linkSidecar(tx: Tx, assetId: string, objectId: string): Promise<void> {
  const inserted = await tx
    .insertInto('asset_file')
    .values({ asset_id: assetId, kind: 'sidecar', object_id: objectId, width: null, height: null })
    .onConflict((conflict) => conflict.columns(['asset_id', 'kind']).doNothing())
    .returning('asset_id')
    .executeTakeFirst()
  if (!inserted) throw new SameBytesArrived()
}

/** @throws AppError invalid unless the id names a video of the actor. Asked early: before gigabytes are sent. */
export async function demandLivePhotoVideo(db: Queryable, actor: Actor, videoId: string): Promise<void> {
  const video = await db
    .selectFrom('asset')
    .select('type')
    .where('id', '=', videoId)
    .where('owner_id', '=', actor.userId)
    .executeTakeFirst()
  if (!video) throw noAccess('asset.read')
  if (video.type !== 'VIDEO') throw new AppError('invalid', 'livePhotoVideoId: the asset is not a video')
}
