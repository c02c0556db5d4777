/**
 * Reads an original again that an older reader has read: its facts alone, its pictures stay. What the user
 * set stays as well. May be killed anywhere: the version is written with the facts, in one transaction.
 */
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { isAppError } from '../../errors.ts'
import type { MediaFacts } from '../../media/facts.ts'
import { MediaError } from '../../media/media-error.ts'
import { probeFile } from '../../media/probe.ts'
import { isHeldAt } from '../../placement/ledger/object-sql.ts'
import { withLocalFile } from '../../placement/reads/recall.ts'
import { isOfDeletedAsset } from '../assets/asset-files.ts'
import type { AssetRow } from '../assets/asset-response.ts'
import { enqueueProcessing } from '../assets/enqueue-processing.ts'
import { type ProcessingParts, saveFacts, withSidecar } from './processing.ts'
import { type ReadingBudget, spend } from './reading-budget.ts'
import { isReadByOlder, saveReading } from './readings.ts'

type Parts = Omit<ProcessingParts, 'pictures'>

/**
 * Nothing happens to an asset that is gone, was read meanwhile, or is too much for today's budget.
 * @throws what may succeed later: a location or the database that is away, a killed decoder
 */
export async function readAgain(
  parts: Parts,
  { assetId }: { assetId: string },
  { budget, signal }: { budget: ReadingBudget; signal?: AbortSignal | undefined },
): Promise<void> {
  const { db, placement, mediaTools } = parts
  const asset = await db.selectFrom('asset').selectAll().where('id', '=', assetId).executeTakeFirst()
  if (!asset || asset.processing === 'pending' || !(await isReadByOlder(db, assetId))) return
  if (!(await isAtHand(parts, asset)) && !(await spend(db, asset.file_size, budget.dailyBytes))) return
  try {
    const read = (sidecarPath: string | undefined) =>
      withLocalFile(
        placement,
        asset.original_object_id,
        'reading',
        (path) =>
          probeFile(mediaTools, path, {
            fileName: asset.original_file_name,
            owner: asset.owner_id,
            sidecarPath: sidecarPath ?? null,
            signal,
          }),
        signal,
      )
    const facts = await withSidecar(parts, assetId, read, signal)
    await db.transaction().execute((tx) => saveAnew(tx, asset, facts))
  } catch (error) {
    if (await isOfDeletedAsset(db, assetId, error)) return
    // The cause is shown where the asset is shown; the next version of the reader tries again.
    if (error instanceof MediaError && error.fault === 'file') {
      await db.transaction().execute((tx) => saveReading(tx, assetId, null))
      return
    }
    // It went into the archive after it was chosen, or the room for fetched copies was made smaller: it is
    // counted as such, and chosen again when that changes.
    if (isAppError(error, 'archived') || isAppError(error, 'too-large')) return
    throw error
  }
}

async function isAtHand({ db, placement }: Parts, asset: AssetRow): Promise<boolean> {
  const objectId = sql`${asset.original_object_id}::uuid`
  const { rows } = await sql<{ is: boolean }>`select ${isHeldAt(objectId, placement.local.id)} as is`.execute(
    db,
  )
  return rows[0]!.is
}

async function saveAnew(tx: Tx, asset: AssetRow, facts: MediaFacts): Promise<void> {
  const before = await orientationOf(tx, asset.id)
  const { isChanged } = await saveFacts(tx, asset, facts, { keepsSize: !isLargerRaw(asset, facts) })
  const after = await orientationOf(tx, asset.id)
  const isShownOtherwise = facts.type !== asset.type || (before !== null && after !== before)
  if (asset.processing === 'failed' || isShownOtherwise) {
    await tx
      .updateTable('asset')
      .set({ processing: 'pending', processing_error: null, decoder_failures: 0 })
      .where('id', '=', asset.id)
      .execute()
    await enqueueProcessing(tx, { id: asset.id, ownerId: asset.owner_id })
  }
  // Clients that follow changes hear of those alone, and open pages when they are loaded: a whole library is
  // read.
  if (isChanged) {
    await tx.updateTable('asset').set({ updated_at: sql`now()` }).where('id', '=', asset.id).execute()
  }
}

/** The sensor's size, where an older reader took that of the embedded picture. */
function isLargerRaw(asset: AssetRow, { decodedBy, width, height }: MediaFacts): boolean {
  return (
    decodedBy === 'embedded-jpeg' && (width ?? 0) * (height ?? 0) > (asset.width ?? 0) * (asset.height ?? 0)
  )
}

/** Null: never turned. */
async function orientationOf(db: Database | Tx, assetId: string): Promise<string | null> {
  const row = await db
    .selectFrom('asset_exif')
    .select('orientation')
    .where('asset_id', '=', assetId)
    .executeTakeFirst()
  return row?.orientation ?? null
}
