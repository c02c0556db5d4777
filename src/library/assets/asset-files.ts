/** The generated files and sidecars of an asset: one current object of each kind. */
import type { Queryable, Tx } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { isAppError } from '../../errors.ts'
import { markForPurge } from '../../placement/lifecycle/purge.ts'

/**
 * The asset was purged while something was made of it; thrown so that what was made leaves nothing behind.
 */
export class AssetIsGone extends Error {
  constructor(assetId: string) {
    super(`asset ${assetId} was deleted meanwhile`)
    this.name = 'AssetIsGone'
  }
}

/**
 * Whether work on an asset failed because it was deleted meanwhile, its files with it: then nothing is left
 * to do.
 */
export async function isOfDeletedAsset(db: Queryable, assetId: string, error: unknown): Promise<boolean> {
  if (error instanceof AssetIsGone) return true
  if (!isAppError(error, 'not-found')) return false
  const row = await db.selectFrom('asset').select('id').where('id', '=', assetId).executeTakeFirst()
  return row === undefined
}

/** Keeps the asset from being purged until the transaction is over. @throws AssetIsGone */
export async function lockAsset(tx: Tx, assetId: string): Promise<void> {
  const row = await tx
    .selectFrom('asset')
    .select('id')
    .where('id', '=', assetId)
    .forUpdate()
    .executeTakeFirst()
  if (!row) throw new AssetIsGone(assetId)
}

/** Whether there is a file of that kind of the asset. */
export async function hasAssetFile(
  db: Queryable,
  assetId: string,
  kind: Schema['asset_file']['kind'],
): Promise<boolean> {
  const row = await db
    .selectFrom('asset_file')
    .select('object_id')
    .where('asset_id', '=', assetId)
    .where('kind', '=', kind)
    .executeTakeFirst()
  return row !== undefined
}

/** Makes an object the asset's file of that kind; the one that it replaces is purged. @throws AssetIsGone */
export async function setAssetFile(
  tx: Tx,
  assetId: string,
  kind: Schema['asset_file']['kind'],
  file: { objectId: string; width: number | null; height: number | null },
): Promise<void> {
  await lockAsset(tx, assetId)
  const replaced = await tx
    .selectFrom('asset_file')
    .select('object_id')
    .where('asset_id', '=', assetId)
    .where('kind', '=', kind)
    .executeTakeFirst()
  const values = { object_id: file.objectId, width: file.width, height: file.height }
  await tx
    .insertInto('asset_file')
    .values({ asset_id: assetId, kind, ...values })
    .onConflict((conflict) => conflict.columns(['asset_id', 'kind']).doUpdateSet(values))
    .execute()
  if (replaced) await markForPurge(tx, [replaced.object_id], 'replaced')
}
