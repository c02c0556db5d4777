/**
 * What is made of an original after it is safe: facts, thumbhash, thumbnail, preview. The original is read
 * once for all of it. Running it again replaces what it made before; the replaced objects are purged.
 *
 * A broken file is not a failed job: it is kept and served as it is, marked with the reason. What throws is
 * what may be over later: a location or the database that is away, a killed decoder.
 */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { isAppError } from '../../errors.ts'
import { deriveImages, type PictureSettings } from '../../media/derive.ts'
import type { MediaFacts } from '../../media/facts.ts'
import { servedType } from '../../media/formats.ts'
import { MediaError } from '../../media/media-error.ts'
import { probeFile } from '../../media/probe.ts'
import type { MediaTools } from '../../media/processes/tools.ts'
import { releaseProcessingLease } from '../../placement/ledger/leases.ts'
import { setContentType } from '../../placement/ledger/object-sql.ts'
import type { Placement } from '../../placement/placement.ts'
import { withLocalFile } from '../../placement/reads/recall.ts'
import { ingestGenerated } from '../../placement/uploads/ingest.ts'
import { lookEverywhere } from '../../placement/uploads/look-everywhere.ts'
import { makeScratchFolder } from '../../placement/uploads/stage.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { isOfDeletedAsset, lockAsset, setAssetFile } from '../assets/asset-files.ts'
import { type AssetRow, wallClockAsUtc } from '../assets/asset-response.ts'
import { pairLivePhotos } from '../assets/live-photos.ts'
import { toWallClock } from '../wall-clock.ts'
import { saveExif } from './exif.ts'
import { keepFilm } from './keep-film.ts'
import { saveReading, wasRead } from './readings.ts'

export type ProcessingParts = {
  db: Database
  placement: Placement
  mediaTools: MediaTools
  pictures: PictureSettings
}

/** Processes one asset. Nothing happens to one that is gone. @throws what may succeed later; see above. */
export async function processAsset(
  parts: ProcessingParts,
  { assetId }: { assetId: string },
  { signal }: { signal?: AbortSignal | undefined },
): Promise<void> {
  const { db, placement } = parts
  const asset = await db.selectFrom('asset').selectAll().where('id', '=', assetId).executeTakeFirst()
  if (!asset) return
  try {
    const derive = (sidecarPath?: string, keepsFacts = false) =>
      withLocalFile(
        placement,
        asset.original_object_id,
        'processing',
        (path) => readAndDerive(parts, asset, path, { sidecarPath, keepsFacts, signal }),
        signal,
      )
    const made = await withSidecar(parts, assetId, derive, signal).catch(async (error: Error) => {
      // Without its sidecar a photo can be looked at all the same.
      if (!(await isSidecarLost(parts, assetId))) throw error
      placement.log.warn({ assetId, error: error.message }, 'processed without its sidecar, which is lost')
      return derive(undefined, await wasRead(db, assetId))
    })
    await db.transaction().execute((tx) => finish(tx, placement, asset, made))
  } catch (error) {
    if (await isOfDeletedAsset(db, assetId, error)) return
    const reason = await reasonToGiveUp(db, assetId, error)
    if (reason === null) throw error
    if (isAppError(error, 'archived') && asset.thumbhash !== null) {
      // Keep the existing previews: an archived original is not a broken file.
      await db.updateTable('asset').set({ processing: 'done' }).where('id', '=', assetId).execute()
      return
    }
    await db.transaction().execute(async (tx) => {
      await giveUp(tx, placement, asset, reason)
      // A later version of the reader may make something of it.
      if (error instanceof MediaError) await saveReading(tx, assetId, null)
    })
  }
}

type Made = { facts: MediaFacts; thumbhash: Buffer; width: number; height: number; damage: string | null }

async function readAndDerive(
  parts: ProcessingParts,
  asset: AssetRow,
  path: string,
  {
    sidecarPath,
    keepsFacts,
    signal,
  }: { sidecarPath: string | undefined; keepsFacts: boolean; signal: AbortSignal | undefined },
): Promise<Made> {
  const { db, placement, mediaTools, pictures } = parts
  const facts = await probeFile(mediaTools, path, {
    fileName: asset.original_file_name,
    owner: asset.owner_id,
    signal,
    ...(sidecarPath && { sidecarPath }),
  })
  // Facts first and by themselves: dates and places are right even where no picture can be made.
  // What was read in a sidecar that is lost is nowhere else.
  if (!keepsFacts) await db.transaction().execute((tx) => saveFacts(tx, asset, facts))
  if (facts.film !== null) await keepFilm(parts, asset, path, facts.film)

  await using scratch = await makeScratchFolder(placement)
  const manner = { owner: asset.owner_id, signal }
  const made = await deriveImages(mediaTools, path, facts, scratch.path, pictures, manner)
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
  const { width, height, damage } = made
  return { facts, thumbhash: Buffer.from(made.thumbhash), width, height, damage }
}

/**
 * What the file says, except where the user said otherwise, and that the current reader has read it.
 * `keepsSize`: that of the decoded picture is known, and truer. Returns whether anything differs from before.
 */
export async function saveFacts(
  tx: Tx,
  asset: AssetRow,
  facts: MediaFacts,
  { keepsSize = false } = {},
): Promise<{ isChanged: boolean }> {
  const { livePhotoId } = facts
  if (livePhotoId !== null)
    await pairLivePhotos(tx, { id: asset.id, ownerId: asset.owner_id, type: facts.type, livePhotoId })
  await lockAsset(tx, asset.id)
  const { userSet, isChanged } = await saveExif(tx, asset.id, facts)
  await saveReading(tx, asset.id, facts.details)
  const mimeType = servedType(facts.mimeType, asset.original_file_name)
  if (mimeType !== asset.original_mime_type) await setContentType(tx, asset.original_object_id, mimeType)
  const isTimeTheUsers = userSet.includes('date_time_original')
  const size = { width: positiveOrNull(facts.width), height: positiveOrNull(facts.height) }
  const said = {
    type: facts.type,
    original_mime_type: mimeType,
    ...(!keepsSize && size),
    duration_ms: facts.durationMs,
    ...(!isTimeTheUsers && timesOf(asset, facts)),
  }
  await tx.updateTable('asset').set(said).where('id', '=', asset.id).execute()
  return {
    isChanged: isChanged || Object.entries(said).some(([name, value]) => !isEqual(asset, name, value)),
  }
}

function isEqual(asset: AssetRow, column: string, value: unknown): boolean {
  const before = asset[column as keyof AssetRow]
  if (column === 'local_date_time') return wallClockAsUtc(String(before)) === wallClockAsUtc(String(value))
  return before instanceof Date && value instanceof Date
    ? before.getTime() === value.getTime()
    : before === value
}

/**
 * When it was taken: as the file says, else the earlier of what the uploader said of the file. A file that
 * was copied is created then, and modified before; a time of zero is what nobody knew.
 */
function timesOf(asset: AssetRow, facts: MediaFacts) {
  if (facts.takenAt) {
    const wallClock = facts.localDateTime?.replace('T', ' ') ?? toWallClock(facts.takenAt, 'UTC')
    return { file_created_at: facts.takenAt, local_date_time: wallClock, time_zone: facts.timeZone }
  }
  const { file_created_at: created, file_modified_at: modified } = asset
  const earlier = modified < created && modified.getTime() !== 0 ? modified : created
  return { file_created_at: earlier, local_date_time: toWallClock(earlier, 'UTC'), time_zone: null }
}

/**
 * The last step: from here on clients may ask for the pictures. A video that browsers can't play goes on to
 * its encoding.
 */
async function finish(tx: Tx, placement: Placement, asset: AssetRow, made: Made): Promise<void> {
  const { facts } = made
  await lockAsset(tx, asset.id)
  await tx
    .updateTable('asset')
    .set({
      processing: 'done',
      // A file of which a part is shown says so.
      processing_error: made.damage,
      decoder_failures: 0,
      thumbhash: made.thumbhash,
      // What was decoded is the truth about the shape; a header may lie. Never 0: the phone app divides by
      // it.
      width: positiveOrNull(made.width) ?? positiveOrNull(facts.width),
      height: positiveOrNull(made.height) ?? positiveOrNull(facts.height),
      updated_at: sql`now()`,
    })
    .where('id', '=', asset.id)
    .execute()
  await publish(tx, { type: 'asset-processed', assetId: asset.id, userId: asset.owner_id })
  if (facts.type === 'VIDEO' && facts.video && !facts.video.isWebPlayable) {
    // The local copy stays for the encoder, which gives it back.
    await enqueue(tx, 'transcode-video', { assetId: asset.id }, { owner: asset.owner_id })
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
 * A file at which the decoder took too much or died so many times is given up, until somebody asks for it
 * again.
 */
const MOST_DECODER_FAILURES = 2

/**
 * Why no attempt will ever succeed, for people; null: a later one may. Counts what the file did to its
 * decoder, and only that: five kill -9 of the worker used up five attempts of a job, and were not the file's
 * fault.
 */
export async function reasonToGiveUp(db: Database, assetId: string, error: unknown): Promise<string | null> {
  if (error instanceof MediaError) {
    if (error.fault === 'file') return error.reason
    if (error.fault === 'interrupted') return null
    const counted = await db
      .updateTable('asset')
      .set({ decoder_failures: sql`decoder_failures + 1` })
      .where('id', '=', assetId)
      .returning('decoder_failures as failures')
      .executeTakeFirst()
    return counted !== undefined && counted.failures < MOST_DECODER_FAILURES ? null : error.reason
  }
  // No local copy of it may be made here; the original is safe and served as it is.
  if (isAppError(error, 'too-large')) return error.message
  // It would be for hours, and only if somebody asks for its restore: no attempt of this job can be waited
  // for.
  if (isAppError(error, 'archived')) return error.message
  return null
}

/** Runs `use` with a local copy of the asset's sidecar, or without one where there is none. */
export async function withSidecar<T>(
  { db, placement }: Pick<ProcessingParts, 'db' | 'placement'>,
  assetId: string,
  use: (path: string | undefined) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const sidecarId = await findSidecar(db, assetId)
  if (sidecarId === null) return use(undefined)
  // A copy of its own, 16 MiB at most: who kept its room for recalled files while waiting for the original's
  // could wait for ever.
  await using scratch = await makeScratchFolder(placement)
  const path = join(scratch.path, 'sidecar.xmp')
  await withLocalFile(placement, sidecarId, 'processing', (held) => copyFile(held, path), signal)
  return await use(path) // before the copy goes
}

async function findSidecar(db: Database, assetId: string): Promise<string | null> {
  const row = await db
    .selectFrom('asset_file')
    .select('object_id')
    .where('asset_id', '=', assetId)
    .where('kind', '=', 'sidecar')
    .executeTakeFirst()
  return row?.object_id ?? null
}

/** Every place was looked at, and none of them holds it; not merely "can't be read now". */
async function isSidecarLost(
  { db, placement }: Pick<ProcessingParts, 'db' | 'placement'>,
  assetId: string,
): Promise<boolean> {
  const sidecarId = await findSidecar(db, assetId)
  return sidecarId !== null && (await lookEverywhere(placement, sidecarId)).answer === 'different'
}

function positiveOrNull(pixels: number | null): number | null {
  return pixels !== null && pixels > 0 ? Math.round(pixels) : null
}
