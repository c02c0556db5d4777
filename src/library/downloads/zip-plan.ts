/** Archived originals as people meet them: how one stands, what a restore would cost, and asking for it. */
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import {
  type ArchiveState,
  archivedAmong,
  archiveStateOf,
  isRestoreRefused,
  requestRestore,
  restoreReplica,
} from '../../placement/classes/archive.ts'
import { loadObject } from '../../placement/ledger/replicas.ts'
import { locationOf } from '../../placement/locations/locations.ts'
import type { Placement } from '../../placement/placement.ts'
import { type RestoreTier, restoresOf } from '../../placement/storage-classes.ts'
import { type Price, restorePrice } from '../../placement/storage-prices.ts'
import { enqueueMany } from '../../queue/enqueue.ts'
import { type Actor, noAccess, requireAssets } from '../access.ts'

type Parts = { db: Database; placement: Placement }

export type RestoreOption = { tier: RestoreTier; expectedMinutes: number; price: Price | null }
/** `options`: empty where nothing has to be restored. Prices are about right, for `days`. */
export type AssetArchive = ArchiveState & {
  assetId: string
  size: number
  days: number
  options: RestoreOption[]
}

export const TIERS: readonly RestoreTier[] = ['bulk', 'standard', 'expedited']

/** For everybody who may see the asset. @throws AppError invalid without access */
export async function archiveForActor(
  parts: Parts,
  actor: Actor,
  assetId: string,
  days: number,
): Promise<AssetArchive> {
  if (!actor.isAdmin) await requireAssets(parts.db, actor, [assetId], 'asset.read')
  return assetArchive(parts, assetId, days)
}

/** @throws AppError invalid when there is no such asset */
export async function assetArchive(
  { db, placement }: Parts,
  assetId: string,
  days: number,
): Promise<AssetArchive> {
  const loaded = await loadObject(db, await originalOf(db, assetId))
  if (!loaded) throw noAccess('asset.read')
  const archive = archiveStateOf(placement, loaded.replicas)
  const { size } = loaded.object
  const archived =
    archive.state === 'available'
      ? undefined
      : loaded.replicas.find((one) => one.state === 'verified' && one.storageClass === archive.storageClass)
  const options = archived
    ? TIERS.flatMap((tier): RestoreOption[] => {
        const location = locationOf(placement, archived.locationId)
        const expectedMinutes = restoresOf(location.provider, archived.storageClass)[tier]
        if (expectedMinutes === undefined || archived.storageClass === null) return []
        const what = { storageClass: archived.storageClass, tier, days, count: 1, bytes: size }
        return [{ tier, expectedMinutes, price: restorePrice(placement.prices, location, what) }]
      })
    : []
  return { assetId, size, days, ...archive, options }
}

export type RestoreWish = { tier: RestoreTier; days: number }

/**
 * For the owner and for administrators, since it costs money. Throws `invalid` for anybody else, `conflict`
 * where nothing has to be restored, `forbidden` where the location refuses.
 */
export async function restoreForActor(
  parts: Parts,
  actor: Actor,
  assetId: string,
  wish: RestoreWish,
): Promise<AssetArchive> {
  if (!actor.isAdmin) await requireAssets(parts.db, actor, [assetId], 'asset.update')
  try {
    return await restoreAsset(parts, assetId, wish, actor.userId)
  } catch (error) {
    if (!isRestoreRefused(error)) throw error
    parts.placement.log.warn({ assetId, error: error.message }, 'a restore was refused')
    // The words of a bucket name it, and what its policy lacks.
    const message = actor.isAdmin
      ? `The bucket refused it: ${error.message}`
      : 'The bucket refused it. The administrator finds the reason in the log.'
    throw new AppError('forbidden', message, { cause: error })
  }
}

/**
 * Asks the location at once, so that its refusal is heard. @throws AppError conflict where nothing has to be
 * restored
 */
export async function restoreAsset(
  parts: Parts,
  assetId: string,
  wish: RestoreWish,
  requestedBy: string | null,
): Promise<AssetArchive> {
  const { db, placement } = parts
  const objectId = await originalOf(db, assetId)
  const wished = await db.transaction().execute(async (tx) => {
    const there = await requestRestore(tx, placement, objectId, { ...wish, requestedBy })
    // Should this process end here, the job asks; it finds nothing to do where this one did.
    if (there) await enqueueRestores(tx, [{ objectId, at: there.at }])
    return there
  })
  if (wished) await restoreReplica(placement, { objectId, at: wished.at })
  const archive = await assetArchive(parts, assetId, wish.days)
  if (!wished && archive.state === 'available')
    throw new AppError('conflict', 'The original is not archived: it can be opened as it is')
  return archive
}

export async function enqueueRestores(
  tx: Parameters<typeof enqueueMany>[0],
  restores: { objectId: string; at: string }[],
): Promise<void> {
  await enqueueMany(
    tx,
    'restore-replica',
    restores.map((payload) => ({ payload })),
  )
}

async function originalOf(db: Database, assetId: string): Promise<string> {
  const asset = await db
    .selectFrom('asset')
    .select('original_object_id')
    .where('id', '=', assetId)
    .executeTakeFirst()
  if (!asset) throw noAccess('asset.read')
  return asset.original_object_id
}

/**
 * For a download of several: all must be readable before the first byte is sent. @throws AppError archived
 */
export async function requireReadable(
  placement: Placement,
  files: readonly { objectId: string; name: string }[],
): Promise<void> {
  const archived = new Set(
    (
      await archivedAmong(
        placement,
        files.map(({ objectId }) => objectId),
      )
    ).map((one) => one.objectId),
  )
  if (archived.size === 0) return
  const names = files.filter(({ objectId }) => archived.has(objectId)).map(({ name }) => name)
  throw new AppError(
    'archived',
    `${names.length} of ${files.length} originals are archived and must be restored before they can be downloaded: ` +
      `${names.slice(0, 5).join(', ')}${names.length > 5 ? ' ...' : ''}`,
    { details: { archived: names.slice(0, 1_000) } },
  )
}
