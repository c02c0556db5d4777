/**
 * The film inside of a picture's file (Android's motion photos) becomes an asset of its own: an object with
 * its own digest, hidden, and played when its still is. The picture's file stays as it is, bit for bit.
 */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { parse } from 'node:path'
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import type { MediaFacts } from '../../media/facts.ts'
import type { Placement } from '../../placement/placement.ts'
import { ingestStaged } from '../../placement/uploads/ingest.ts'
import { type StagedFile, stageStream } from '../../placement/uploads/stage.ts'
import { lockAsset } from '../assets/asset-files.ts'
import type { AssetRow } from '../assets/asset-response.ts'
import { enqueueProcessing } from '../assets/enqueue-processing.ts'
import { insertAsset, SameBytesArrived } from '../assets/insert-asset.ts'
import { LINK_OF_THE_USER, link } from '../assets/live-photos.ts'
import { lockWithMotionParts } from '../assets/motion-parts.ts'

/** So many times another upload of the same film may come in between. */
const TRIES = 3

/**
 * Takes the film out of the still's file at `path`, and links both. A film that its owner has already, sent
 * by itself or taken out of a copy, is linked instead. Nothing happens to a still that has a film, or
 * whose user has taken it away.
 * @throws AssetIsGone, AppError storage-full, unavailable
 */
export async function keepFilm(
  { db, placement }: { db: Database; placement: Placement },
  still: AssetRow,
  path: string,
  film: NonNullable<MediaFacts['film']>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    if (await isSettled(db, still.id)) return
    const { offset, length } = film
    const source = createReadStream(path, { start: offset, end: offset + length - 1 })
    const staged = await stageStream(placement, source, { maxBytes: length })
    try {
      if (await linkKnown(db, still, staged.sha1)) await staged.discard()
      else await makeFilm(placement, still, staged)
      return
    } catch (error) {
      await staged.discard()
      if (!(error instanceof SameBytesArrived) || tries >= TRIES) throw error
    }
  }
}

/** Nothing is to be done for it: it has a film, its user has taken the film away, or it is gone. */
async function isSettled(db: Queryable, stillId: string): Promise<boolean> {
  const row = await db
    .selectFrom('asset')
    .leftJoin('asset_exif', 'asset_exif.asset_id', 'asset.id')
    .select(['live_photo_video_id', 'asset_exif.user_set as userSet'])
    .where('asset.id', '=', stillId)
    .executeTakeFirst()
  if (row === undefined || row.live_photo_video_id !== null) return true
  return row.userSet?.includes(LINK_OF_THE_USER) ?? false
}

/**
 * False: the owner has no such film. One in the trash stays there, and its still without it. One that was
 * sent by itself stays where it is seen: it outlives the photo.
 */
async function linkKnown(db: Database, still: AssetRow, sha1: Buffer): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const film = await tx
      .selectFrom('asset')
      .select('id')
      .where('owner_id', '=', still.owner_id)
      .where('checksum', '=', sha1)
      .executeTakeFirst()
    await lockWithMotionParts(tx, film ? [still.id, film.id] : [still.id])
    await lockAsset(tx, still.id)
    if (!film) return false
    if (await isSettled(tx, still.id)) return true
    const known = await tx
      .selectFrom('asset')
      .select(['id', 'type', 'deleted_at', 'visibility'])
      .where('id', '=', film.id)
      .executeTakeFirst()
    if (!known) return false
    if (known.type === 'VIDEO' && known.deleted_at === null && known.visibility !== 'locked') {
      await link(tx, still.owner_id, still.id, known.id)
    }
    return true
  })
}

async function makeFilm(placement: Placement, still: AssetRow, staged: StagedFile): Promise<void> {
  const [assetId, ownerId] = [randomUUID(), still.owner_id]
  const commit = async (tx: Tx, objectId: string) => {
    await lockAsset(tx, still.id)
    // Its user has linked another one meanwhile.
    if (await isSettled(tx, still.id)) throw new SameBytesArrived()
    await insertAsset(
      tx,
      { userId: ownerId },
      {
        assetId,
        objectId,
        format: { type: 'VIDEO', mimeType: 'video/mp4' },
        upload: {
          fileName: `${parse(still.original_file_name).name}.mp4`,
          original: staged,
          fields: {
            fileCreatedAt: still.file_created_at,
            fileModifiedAt: still.file_modified_at,
            isFavorite: false,
            visibility: 'hidden',
            durationMs: null,
            livePhotoVideoId: null,
          },
        },
        isEmbedded: true,
      },
    )
    await link(tx, ownerId, still.id, assetId)
    // The photo may have been put into the trash before it was read.
    await sql`update asset set deleted_at = still.deleted_at from asset still
      where asset.id = ${assetId} and still.id = ${still.id} and still.deleted_at is not null`.execute(tx)
    await enqueueProcessing(tx, { id: assetId, ownerId })
  }
  const what = { kind: 'original' as const, ownerId, assetId, contentType: 'video/mp4', extension: 'mp4' }
  await ingestStaged(placement, { ...what, staged, keepLocalUntilProcessed: true }, commit)
}
