/** Archived originals as people meet them: how one stands, what a restore would cost, and asking for it. */
import { sql } from 'kysely'
import type { Database } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import {
  type ArchivedObject,
  type ArchiveState,
  archivedAmong,
  archiveStateOf,
  restoreJobKey,
  restoreReplica,
  wishRestore,
} from '../placement/archive.ts'
import { locationOf } from '../placement/locations.ts'
import type { Placement } from '../placement/placement.ts'
import { loadObject } from '../placement/replicas.ts'
import { classOf, type RestoreTier } from '../placement/storage-classes.ts'
import { type Price, restorePrice } from '../placement/storage-prices.ts'
import { enqueueMany } from '../queue/enqueue.ts'
import { type Actor, noAccess, requireAssets } from './access.ts'
import { requireAlbum } from './album-access.ts'

type Parts = { db: Database; placement: Placement }

export type RestoreOption = { tier: RestoreTier; expectedMinutes: number; price: Price | null }
/** `options`: empty where nothing has to be restored. Prices are about right, for `days`. */
export type AssetArchive = ArchiveState & {
  assetId: string
  size: number
  days: number
  options: RestoreOption[]
}

/** One request restores at most so many originals: a slip of the hand has a bounded price. */
const MAX_RESTORES_AT_ONCE = 5_000
const TIERS: readonly RestoreTier[] = ['bulk', 'standard', 'expedited']
const RESTORES_A_TRANSACTION = 100

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
        const expectedMinutes = classOf(archived.storageClass).restoreMinutes?.[tier]
        if (expectedMinutes === undefined || archived.storageClass === null) return []
        const location = locationOf(placement, archived.locationId)
        const what = { storageClass: archived.storageClass, tier, days, count: 1, bytes: size }
        return [{ tier, expectedMinutes, price: restorePrice(placement.prices, location, what) }]
      })
    : []
  return { assetId, size, days, ...archive, options }
}

export type RestoreWish = { tier: RestoreTier; days: number }

/** For the owner and for administrators, since it costs money. @throws AppError invalid for anybody else, `conflict` */
export async function restoreForActor(
  parts: Parts,
  actor: Actor,
  assetId: string,
  wish: RestoreWish,
): Promise<AssetArchive> {
  if (!actor.isAdmin) await requireAssets(parts.db, actor, [assetId], 'asset.update')
  return restoreAsset(parts, assetId, wish, actor.userId)
}

/** Asks the location at once, so that its refusal is heard. @throws AppError conflict where nothing has to be restored */
export async function restoreAsset(
  parts: Parts,
  assetId: string,
  wish: RestoreWish,
  requestedBy: string | null,
): Promise<AssetArchive> {
  const { db, placement } = parts
  const objectId = await originalOf(db, assetId)
  const wished = await db.transaction().execute(async (tx) => {
    const there = await wishRestore(tx, placement, objectId, { ...wish, requestedBy })
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

export type BatchWish = RestoreWish & { assetIds?: string[]; albumId?: string; isDryRun: boolean }
export type BatchRestore = {
  isDryRun: boolean
  /** Archived originals that a restore is (or, in a dry run, would be) asked for. */
  count: number
  bytes: number
  /** Those whose restore is under way already, not counted above. */
  restoring: number
  /** Those whose class does not offer the tier, not counted above. */
  notOffered: number
  /** The longest that one of them takes; null where there are none. */
  expectedMinutes: number | null
  /** Null where the price of one is not known. */
  price: Price | null
}

/** What restoring the actor's own archived originals of an album, or of a list, means; and, unless it is a dry run, does it. */
export async function restoreMany(parts: Parts, actor: Actor, wish: BatchWish): Promise<BatchRestore> {
  const { placement } = parts
  const archived = await archivedAmong(placement, await chooseOriginals(parts.db, actor, wish))
  const waiting = archived.filter((one) => !one.isRestoring)
  const offered = waiting.filter((one) => minutesOf(one, wish.tier) !== undefined)
  if (offered.length > MAX_RESTORES_AT_ONCE) {
    throw new AppError(
      'invalid',
      `${offered.length} originals would be restored, at most ${MAX_RESTORES_AT_ONCE} at a time: choose fewer`,
    )
  }
  if (!wish.isDryRun) await askForAll(parts, offered, { ...wish, requestedBy: actor.userId })
  const minutes = offered.map((one) => minutesOf(one, wish.tier) ?? 0)
  return {
    isDryRun: wish.isDryRun,
    count: offered.length,
    bytes: offered.reduce((sum, { size }) => sum + size, 0),
    restoring: archived.length - waiting.length,
    notOffered: waiting.length - offered.length,
    expectedMinutes: minutes.length === 0 ? null : Math.max(...minutes),
    price: sumPrices(placement, offered, wish),
  }
}

async function askForAll(
  { db, placement }: Parts,
  objects: readonly ArchivedObject[],
  wish: RestoreWish & { requestedBy: string },
): Promise<void> {
  for (let begun = 0; begun < objects.length; begun += RESTORES_A_TRANSACTION) {
    const part = objects.slice(begun, begun + RESTORES_A_TRANSACTION)
    await db.transaction().execute(async (tx) => {
      const wished: { objectId: string; at: string }[] = []
      for (const { objectId } of part) {
        const there = await wishRestore(tx, placement, objectId, wish)
        if (there) wished.push({ objectId, at: there.at })
      }
      await enqueueRestores(tx, wished)
    })
  }
}

async function enqueueRestores(
  tx: Parameters<typeof enqueueMany>[0],
  restores: { objectId: string; at: string }[],
): Promise<void> {
  await enqueueMany(
    tx,
    'restore-replica',
    restores.map((payload) => ({ payload, key: restoreJobKey(payload) })),
  )
}

function minutesOf(object: ArchivedObject, tier: RestoreTier): number | undefined {
  return classOf(object.storageClass).restoreMinutes?.[tier]
}

function sumPrices(
  placement: Placement,
  objects: readonly ArchivedObject[],
  { tier, days }: RestoreWish,
): Price | null {
  const prices = objects.map(({ locationId, storageClass, size }) => {
    const what = { storageClass, tier, days, count: 1, bytes: size }
    return restorePrice(placement.prices, locationOf(placement, locationId), what)
  })
  const [first] = prices
  if (!first || prices.some((price) => price?.currency !== first.currency)) return null
  return { ...first, amount: prices.reduce((sum, price) => sum + (price?.amount ?? 0), 0) }
}

/** The originals' objects; of an album, the actor's own, since restoring others' costs somebody else's money. */
async function chooseOriginals(db: Database, actor: Actor, wish: BatchWish): Promise<string[]> {
  let query = db.selectFrom('asset').select('asset.original_object_id as objectId')
  if (wish.assetIds) {
    if (!actor.isAdmin) await requireAssets(db, actor, wish.assetIds, 'asset.update')
    query = query.where(sql<boolean>`asset.id = any(${wish.assetIds}::uuid[])`)
  } else if (wish.albumId) {
    await requireAlbum(db, actor, wish.albumId, 'album.read')
    query = query
      .innerJoin('album_asset', 'album_asset.asset_id', 'asset.id')
      .where('album_asset.album_id', '=', wish.albumId)
      .where('asset.owner_id', '=', actor.userId)
      .where('asset.deleted_at', 'is', null)
  } else {
    throw new AppError('invalid', 'assetIds or albumId: name one of them')
  }
  return (await query.execute()).map(({ objectId }) => objectId)
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

/** For a download of several: all must be readable before the first byte is sent. @throws AppError archived */
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
