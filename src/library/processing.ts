/**
 * What is made of an original after it is safe: facts, thumbhash, thumbnail, preview. The original is read once for all of
 * it. Running it again replaces what it made before; the replaced objects are purged.
 *
 * A broken file is not a failed job: it is kept and served as it is, marked with the reason. What throws is what may be
 * over later: a location or the database that is away, a killed decoder.
 */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Database, Tx } from '../database/connect.ts'
import { publish } from '../database/events.ts'
import { isAppError } from '../errors.ts'
import { deriveImages } from '../media/derive.ts'
import type { MediaFacts } from '../media/facts.ts'
import { MediaError } from '../media/media-error.ts'
import { probeFile } from '../media/probe.ts'
import type { MediaTools } from '../media/tools.ts'
import { ingestGenerated } from '../placement/ingest.ts'
import { releaseProcessingLease } from '../placement/leases.ts'
import type { Placement } from '../placement/placement.ts'
import { withLocalFile } from '../placement/recall.ts'
import { makeScratchFolder } from '../placement/stage.ts'
import { enqueue } from '../queue/enqueue.ts'
import { isOfDeletedAsset, lockAsset, setAssetFile } from './asset-files.ts'
import type { AssetRow } from './asset-response.ts'
import { saveExif } from './exif.ts'
import { toWallClock } from './wall-clock.ts'

export type ProcessingParts = {
  db: Database
  placement: Placement
  mediaTools: MediaTools
  pictures: { thumbnailPx: number; previewPx: number }
}

/** Processes one asset. Nothing happens to one that is gone. @throws what may succeed later; see above. */
export async function processAsset(
  parts: ProcessingParts,
  { assetId }: { assetId: string },
  { isLastAttempt, signal }: { isLastAttempt: boolean; signal?: AbortSignal | undefined },
): Promise<void> {
  const { db, placement } = parts
  const asset = await db.selectFrom('asset').selectAll().where('id', '=', assetId).executeTakeFirst()
  if (!asset) return
  try {
    const derive = (sidecarPath: string | undefined) =>
      withLocalFile(
        placement,
        asset.original_object_id,
        'processing',
        (path) => readAndDerive(parts, asset, path, sidecarPath),
        signal,
      )
    const made = await withSidecar(parts, assetId, derive, signal)
    await db.transaction().execute((tx) => finish(tx, placement, asset, made))
  } catch (error) {
    if (await isOfDeletedAsset(db, assetId, error)) return
    const reason = reasonToGiveUp(error, isLastAttempt)
    if (reason === null) throw error
    if (isAppError(error, 'archived') && asset.thumbhash !== null) {
      // What was made of it before stays: an archive is no reason to call it broken.
      await db.updateTable('asset').set({ processing: 'done' }).where('id', '=', assetId).execute()
      return
    }
    await db.transaction().execute((tx) => giveUp(tx, placement, asset, reason))
  }
}

type Made = { facts: MediaFacts; thumbhash: Buffer; width: number; height: number }

async function readAndDerive(
  parts: ProcessingParts,
  asset: AssetRow,
  path: string,
  sidecarPath: string | undefined,
): Promise<Made> {
  const { db, placement, mediaTools, pictures } = parts
  const facts = await probeFile(mediaTools, path, {
    fileName: asset.original_file_name,
    ...(sidecarPath && { sidecarPath }),
  })
  // Facts first and by themselves: dates and places are right even where no picture can be made.
  await db.transaction().execute((tx) => saveFacts(tx, asset, facts))

  await using scratch = await makeScratchFolder(placement)
  const made = await deriveImages(mediaTools, path, facts, scratch.path, pictures)
  for (const [kind, picture] of [
    ['preview', made.preview],
    ['thumbnail', made.thumbnail],
  ] as const) {
    const extension = picture.contentType === 'image/webp' ? 'webp' : 'jpg'
    await ingestGenerated(
      placement,
      {
        kind,
        ownerId: asset.owner_id,
        assetId: asset.id,
        contentType: picture.contentType,
        extension,
        path: picture.path,
      },
      (tx, objectId) =>
        setAssetFile(tx, asset.id, kind, { objectId, width: picture.width, height: picture.height }),
    )
  }
  return { facts, thumbhash: Buffer.from(made.thumbhash), width: made.width, height: made.height }
}

async function saveFacts(tx: Tx, asset: AssetRow, facts: MediaFacts): Promise<void> {
  await lockAsset(tx, asset.id)
  const { userSet } = await saveExif(tx, asset.id, facts)
  const isTimeTheUsers = userSet.includes('date_time_original')
  await tx
    .updateTable('asset')
    .set({
      type: facts.type,
      width: positiveOrNull(facts.width),
      height: positiveOrNull(facts.height),
      duration_ms: facts.durationMs,
      ...(!isTimeTheUsers && timesOf(asset, facts)),
    })
    .where('id', '=', asset.id)
    .execute()
}

/** When it was taken: as the file says, else what the uploader said of the file. */
function timesOf(asset: AssetRow, facts: MediaFacts) {
  if (facts.takenAt) {
    const wallClock = facts.localDateTime?.replace('T', ' ') ?? toWallClock(facts.takenAt, 'UTC')
    return { file_created_at: facts.takenAt, local_date_time: wallClock, time_zone: facts.timeZone }
  }
  return { local_date_time: toWallClock(asset.file_created_at, 'UTC'), time_zone: null }
}

/** The last step: from here on clients may ask for the pictures. A video that browsers can't play goes on to its encoding. */
async function finish(tx: Tx, placement: Placement, asset: AssetRow, made: Made): Promise<void> {
  const { facts } = made
  await lockAsset(tx, asset.id)
  await tx
    .updateTable('asset')
    .set({
      processing: 'done',
      processing_error: null,
      thumbhash: made.thumbhash,
      // What was decoded is the truth about the shape; a header may lie. Never 0: the phone app divides by it.
      width: positiveOrNull(made.width) ?? positiveOrNull(facts.width),
      height: positiveOrNull(made.height) ?? positiveOrNull(facts.height),
      updated_at: sql`now()`,
    })
    .where('id', '=', asset.id)
    .execute()
  await publish(tx, { type: 'asset-processed', assetId: asset.id, userId: asset.owner_id })
  if (facts.type === 'VIDEO' && facts.video && !facts.video.isWebPlayable) {
    // The local copy stays for the encoder, which gives it back.
    await enqueue(tx, 'transcode-video', { assetId: asset.id }, { key: `transcode:${asset.id}` })
  } else {
    await releaseProcessingLease(tx, placement, asset.original_object_id)
  }
}

/** Marks an asset that no attempt will ever process, and lets its local copy go. */
export async function giveUp(
  tx: Tx,
  placement: Placement,
  asset: Pick<AssetRow, 'id' | 'owner_id' | 'original_object_id'>,
  reason: string,
): Promise<void> {
  const updated = await tx
    .updateTable('asset')
    .set({ processing: 'failed', processing_error: reason, updated_at: sql`now()` })
    .where('id', '=', asset.id)
    .returning('id')
    .executeTakeFirst()
  if (!updated) return
  await publish(tx, { type: 'asset-processed', assetId: asset.id, userId: asset.owner_id })
  await releaseProcessingLease(tx, placement, asset.original_object_id)
}

/**
 * Why no attempt will ever succeed, for people; null: a later one may. A file that killed its decoder or took too long at
 * every attempt is taken for broken at the last one: it would do so for ever.
 */
export function reasonToGiveUp(error: unknown, isLastAttempt: boolean): string | null {
  if (error instanceof MediaError) return error.transient && !isLastAttempt ? null : error.reason
  // No local copy of it may be made here; the original is safe and served as it is.
  if (isAppError(error, 'too-large')) return error.message
  // It would be for hours, and only if somebody asks for its restore: no attempt of this job can be waited for.
  if (isAppError(error, 'archived')) return error.message
  return null
}

async function withSidecar<T>(
  { db, placement }: ProcessingParts,
  assetId: string,
  use: (path: string | undefined) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const sidecar = await db
    .selectFrom('asset_file')
    .select('object_id')
    .where('asset_id', '=', assetId)
    .where('kind', '=', 'sidecar')
    .executeTakeFirst()
  if (!sidecar) return use(undefined)
  // A copy of its own, 16 MiB at most: who kept its room for recalled files while waiting for the original's could wait for ever.
  await using scratch = await makeScratchFolder(placement)
  const path = join(scratch.path, 'sidecar.xmp')
  await withLocalFile(placement, sidecar.object_id, 'processing', (held) => copyFile(held, path), signal)
  return await use(path) // before the copy goes
}

function positiveOrNull(pixels: number | null): number | null {
  return pixels !== null && pixels > 0 ? Math.round(pixels) : null
}
