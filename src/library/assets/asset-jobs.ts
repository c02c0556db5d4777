import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { enqueueMany } from '../../queue/enqueue.ts'
import { type Actor, requireAssets } from '../access.ts'
import { enqueueProcessingOfMany } from './enqueue-processing.ts'

export type AssetJob = 'refresh-faces' | 'refresh-metadata' | 'regenerate-thumbnail' | 'transcode-video'

/**
 * Runs a job again for assets of the actor. Metadata and pictures are one job: the original is read once for
 * both. Of a photo nothing is converted.
 */
export async function runAssetJobs(
  db: Database,
  actor: Actor,
  assetIds: readonly string[],
  job: AssetJob,
): Promise<void> {
  if (job === 'refresh-faces') {
    throw new AppError('invalid', 'name: faces are not recognized by this server yet')
  }
  await requireAssets(db, actor, assetIds, 'asset.update')
  await db.transaction().execute(async (tx) => {
    if (job === 'transcode-video') {
      const assets = await tx
        .updateTable('asset')
        .set({ decoder_failures: 0 })
        .where(sql<boolean>`id = any(${[...assetIds]}::uuid[])`)
        // A client may send all of its selection; a picture would be noted as a video that can't be
        // converted.
        .where('type', '=', 'VIDEO')
        .returning(['id', 'owner_id as owner'])
        .execute()
      const jobs = assets.map(({ id, owner }) => ({ payload: { assetId: id }, owner }))
      await enqueueMany(tx, 'transcode-video', jobs)
      return
    }
    const assets = await tx
      .updateTable('asset')
      .set({ processing: 'pending', processing_error: null, decoder_failures: 0 })
      .where(sql<boolean>`id = any(${[...assetIds]}::uuid[])`)
      .returning(['id', 'owner_id as ownerId'])
      .execute()
    await enqueueProcessingOfMany(tx, assets)
  })
}
