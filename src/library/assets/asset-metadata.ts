/** What clients keep with an asset, as JSON objects by keys of their own. */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { AppError } from '../../errors.ts'
import { type Actor, noAccess, requireAssets } from '../access.ts'

export type MetadataItem = { key: string; value: Record<string, unknown> }
/** Immich's `AssetMetadataResponseDto`. */
export type MetadataView = MetadataItem & { updatedAt: string }

/** Of one asset. Immich's own clients use one. */
const MAX_KEYS = 100

/** By key. @throws AppError invalid without access to the asset */
export async function listMetadata(db: Database, actor: Actor, assetId: string): Promise<MetadataView[]> {
  await requireAssets(db, actor, [assetId], 'asset.read')
  const rows = await db
    .selectFrom('asset_metadata')
    .select(['key', 'value', 'updated_at'])
    .where('asset_id', '=', assetId)
    .orderBy('key')
    .execute()
  return rows.map(({ key, value, updated_at }) => ({ key, value, updatedAt: updated_at.toISOString() }))
}

/** @throws AppError invalid without access to the asset, or where it has no such key */
export async function getMetadata(
  db: Database,
  actor: Actor,
  assetId: string,
  key: string,
): Promise<MetadataView> {
  const found = (await listMetadata(db, actor, assetId)).find((item) => item.key === key)
  if (found !== undefined) return found
  throw new AppError('invalid', `Metadata with key "${key}" not found for asset with id "${assetId}"`)
}

/**
 * Sets keys of several assets; others stay. @throws AppError invalid where one is not the actor's, a key is
 * given twice, or an asset would have more than 100
 */
export async function setMetadata(
  db: Database,
  actor: Actor,
  items: readonly (MetadataItem & { assetId: string })[],
): Promise<(MetadataView & { assetId: string })[]> {
  const assetIds = [...new Set(items.map((item) => item.assetId))]
  return db.transaction().execute(async (tx) => {
    await requireAssets(tx, actor, assetIds, 'asset.update')
    await lockAssets(tx, assetIds)
    return upsertMetadata(tx, items)
  })
}

/** As `setMetadata`, for assets that the caller has locked or made. */
export async function upsertMetadata(
  tx: Tx,
  items: readonly (MetadataItem & { assetId: string })[],
): Promise<(MetadataView & { assetId: string })[]> {
  if (items.length === 0) return []
  const { rows } = await sql<{ assetId: string; key: string; value: Record<string, unknown>; at: Date }>`
    insert into asset_metadata (asset_id, key, value)
    select * from unnest(${items.map((item) => item.assetId)}::uuid[], ${items.map((item) => item.key)}::text[],
      ${items.map((item) => JSON.stringify(item.value))}::jsonb[])
    on conflict (asset_id, key) do update set value = excluded.value, updated_at = now()
    returning asset_id as "assetId", key, value, updated_at as at`.execute(tx)
  const full = await tx
    .selectFrom('asset_metadata')
    .select('asset_id')
    .where(sql<boolean>`asset_id = any(${uuidArray(items.map((item) => item.assetId))}::uuid[])`)
    .groupBy('asset_id')
    .having(sql<boolean>`count(*) > ${MAX_KEYS}`)
    .executeTakeFirst()
  if (full) throw new AppError('invalid', `items: an asset has at most ${MAX_KEYS} keys; delete some first`)
  return rows.map(({ at, ...row }) => ({ ...row, updatedAt: at.toISOString() }))
}

/** Keys that are not there are no mistake. @throws AppError invalid where an asset is not the actor's */
export async function deleteMetadata(
  db: Database,
  actor: Actor,
  items: readonly { assetId: string; key: string }[],
): Promise<void> {
  if (items.length === 0) return
  await requireAssets(
    db,
    actor,
    items.map((item) => item.assetId),
    'asset.update',
  )
  await sql`
    delete from asset_metadata where (asset_id, key) in (
      select * from unnest(${items.map((item) => item.assetId)}::uuid[], ${items.map((item) => item.key)}::text[]))`.execute(
    db,
  )
}

/** @throws AppError invalid where one was purged meanwhile */
async function lockAssets(db: Queryable, assetIds: readonly string[]): Promise<void> {
  const { rows } = await sql`
    select from asset where id = any(${uuidArray(assetIds)}::uuid[]) order by id for key share`.execute(db)
  if (rows.length !== assetIds.length) throw noAccess('asset.update')
}
