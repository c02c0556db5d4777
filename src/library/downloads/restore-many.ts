/**
 * Archived originals of an album or of a selection: how they stand, what their restore would cost, and asking
 * for it.
 */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import {
  type ArchivedObject,
  archivedAmong,
  requestRestore,
  restoresAmong,
} from '../../placement/classes/archive.ts'
import { locationOf } from '../../placement/locations/locations.ts'
import type { Placement } from '../../placement/placement.ts'
import { type RestoreTier, restoresOf } from '../../placement/storage-classes.ts'
import { type Price, restorePrice } from '../../placement/storage-prices.ts'
import { type Actor, requireAssets } from '../access.ts'
import { requireAlbum } from '../albums/album-access.ts'
import { enqueueRestores, type RestoreWish, TIERS } from './zip-plan.ts'

type Parts = { db: Database; placement: Placement }

/** One request restores at most so many originals: a slip of the hand has a bounded price. */
const MAX_RESTORES_AT_ONCE = 5_000
const RESTORES_A_TRANSACTION = 100

export type BatchWish = RestoreWish & { assetIds?: string[]; albumId?: string; isDryRun: boolean }

/** What one tier means for those that are archived and not being restored. */
export type BatchOption = {
  tier: RestoreTier
  /** Those whose class offers the tier. */
  count: number
  bytes: number
  /** The longest that one of them typically takes; null where there are none. */
  expectedMinutes: number | null
  /** Null where the price of one is not known. */
  price: Price | null
}

export type BatchRestore = Omit<BatchOption, 'tier'> & {
  isDryRun: boolean
  /** `count` and `bytes` are those that a restore is (or, in a dry run, would be) asked for. */
  days: number
  /** All that were chosen. */
  total: number
  /** Those whose class does not offer the tier, not counted above. */
  notOffered: number
  /** Those whose restore is under way already, not counted above, and when the last of them is expected. */
  restoring: number
  expectedAt: string | null
  /** Those with a readable copy now, not counted above, and when the first of these copies goes. */
  restored: number
  availableUntil: string | null
  /** The tiers that one of the archived ones offers, the cheapest first. */
  options: BatchOption[]
}

/**
 * What restoring the actor's own archived originals of an album, or of a list, means; and, unless it is a dry
 * run, does it.
 */
export async function restoreMany(parts: Parts, actor: Actor, wish: BatchWish): Promise<BatchRestore> {
  const { placement } = parts
  const objectIds = await chooseOriginals(parts.db, actor, wish)
  const archived = await archivedAmong(placement, objectIds)
  const waiting = archived.filter((one) => !one.isRestoring)
  const offered = waiting.filter((one) => minutesOf(placement, one, wish.tier) !== undefined)
  if (!wish.isDryRun && offered.length > MAX_RESTORES_AT_ONCE) {
    throw new AppError(
      'invalid',
      `${offered.length} originals would be restored, at most ${MAX_RESTORES_AT_ONCE} at a time: choose fewer`,
    )
  }
  if (!wish.isDryRun) await askForAll(parts, offered, { ...wish, requestedBy: actor.userId })
  const { tier, ...asked } = optionOf(placement, offered, wish)
  return {
    isDryRun: wish.isDryRun,
    days: wish.days,
    total: objectIds.length,
    ...asked,
    notOffered: waiting.length - offered.length,
    ...(await restoresAmong(placement, objectIds)),
    options: restoreOptions(placement, waiting, wish.days),
  }
}

/** What each tier means that one of the archived objects offers, the cheapest first. */
export function restoreOptions(
  placement: Placement,
  archived: readonly ArchivedObject[],
  days: number,
): BatchOption[] {
  return TIERS.flatMap((tier) => {
    const those = archived.filter((one) => minutesOf(placement, one, tier) !== undefined)
    return those.length === 0 ? [] : [optionOf(placement, those, { tier, days })]
  })
}

function optionOf(
  placement: Placement,
  objects: readonly ArchivedObject[],
  { tier, days }: Pick<RestoreWish, 'tier' | 'days'>,
): BatchOption {
  const minutes = objects.map((one) => minutesOf(placement, one, tier) ?? 0)
  return {
    tier,
    count: objects.length,
    bytes: objects.reduce((sum, { size }) => sum + size, 0),
    expectedMinutes: minutes.length === 0 ? null : Math.max(...minutes),
    price: sumPrices(placement, objects, { tier, days }),
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
        const there = await requestRestore(tx, placement, objectId, wish)
        if (there) wished.push({ objectId, at: there.at })
      }
      await enqueueRestores(tx, wished)
    })
  }
}

function minutesOf(
  placement: Placement,
  { locationId, storageClass }: ArchivedObject,
  tier: RestoreTier,
): number | undefined {
  return restoresOf(locationOf(placement, locationId).provider, storageClass)[tier]
}

function sumPrices(
  placement: Placement,
  objects: readonly ArchivedObject[],
  { tier, days }: Pick<RestoreWish, 'tier' | 'days'>,
): Price | null {
  const prices = objects.map(({ locationId, storageClass, size }) => {
    const what = { storageClass, tier, days, count: 1, bytes: size }
    return restorePrice(placement.prices, locationOf(placement, locationId), what)
  })
  const [first] = prices
  if (!first || prices.some((price) => price?.currency !== first.currency)) return null
  return { ...first, amount: prices.reduce((sum, price) => sum + (price?.amount ?? 0), 0) }
}

/**
 * The originals' objects; of an album, the actor's own, since restoring others' costs somebody else's money.
 */
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
