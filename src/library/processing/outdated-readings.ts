/** Assets that an older reader has read: how many, where their bytes are, and which are read next. */
import { type RawBuilder, sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { READER_VERSION } from '../../media/metadata/reader-version.ts'
import { requestRestore, restoredNow } from '../../placement/classes/archive.ts'
import { cheapestTierOf } from '../../placement/classes/cheapest-tier.ts'
import { isBeingRestored, isHeldAt, isReadable } from '../../placement/ledger/object-sql.ts'
import type { Placement } from '../../placement/placement.ts'
import { enqueueMany } from '../../queue/enqueue.ts'
import { countJobs, jobExists } from '../../queue/find-jobs.ts'
import { forgetOldDays, type ReadingBudget, spendArchived, spentToday } from './reading-budget.ts'

export type ReadingParts = { db: Database; placement: Placement }

/** More jobs than these never wait: a pause, or a smaller budget, is heeded within a minute. */
const MOST_WAITING = 1_000
/**
 * A look at 1,000 takes 60 ms on a busy machine; those of a library of a million are looked at in 3 hours.
 */
const PAGE = 1_000
const MOST_LOOKED_AT = 5_000
/** As many restores as one run asks for. */
const MOST_RESTORES = 100
/** The copy of a restore is there for so long, to be read at the budget's pace. */
const RESTORED_DAYS = 7

type Amount = { count: number; bytes: number }
export type OutdatedReadings = {
  /** A copy is on this machine: read as fast as it goes. */
  atHand: Amount
  /** Read within the daily budget. */
  inBucket: Amount
  /** Larger than the daily budget, or than what may be fetched at all. */
  tooLarge: Amount
  /** Restored within their own budget first. */
  archived: Amount
  restoring: Amount
}

const OBJECT = sql`asset.original_object_id`
/** Those in the trash are read when they come back, those that are pending by their processing. */
const OUTDATED = sql`asset_reading join asset on asset.id = asset_reading.asset_id
  where asset_reading.reader_version < ${READER_VERSION} and asset.processing <> 'pending' and asset.deleted_at is null`

/** How much waits to be read again. */
export async function countOutdated(
  { db, placement }: ReadingParts,
  budget: ReadingBudget,
): Promise<OutdatedReadings> {
  const { rows } = await sql<Amount & { place: keyof OutdatedReadings }>`
    select ${placeOf(placement, budget)} as place, count(*)::int as count, sum(asset.file_size)::bigint as bytes
    from ${OUTDATED} group by place`.execute(db)
  const none = { count: 0, bytes: 0 }
  const found = Object.fromEntries(rows.map(({ place, count, bytes }) => [place, { count, bytes }]))
  return { atHand: none, inBucket: none, tooLarge: none, archived: none, restoring: none, ...found }
}

function placeOf(placement: Placement, budget: ReadingBudget): RawBuilder<keyof OutdatedReadings> {
  return sql<keyof OutdatedReadings>`case
    when ${isHeldAt(OBJECT, placement.local.id)} then 'atHand'
    when asset.file_size > ${largestFetched(placement, budget)} then 'tooLarge'
    when ${isReadable(OBJECT)} then 'inBucket'
    when ${isBeingRestored(OBJECT)} then 'restoring'
    else 'archived' end`
}

/** Without a budget nothing is too large for it: all of it waits for one. */
function largestFetched(placement: Placement, { dailyBytes }: ReadingBudget): number {
  const { recallMaxBytes } = placement.settings
  return dailyBytes === 0 ? recallMaxBytes : Math.min(dailyBytes, recallMaxBytes)
}

/**
 * Enqueues what is read next, as far as today's budget goes, and asks for restores within theirs. Run every
 * minute; each run looks at so many of those that wait, and the next goes on behind them.
 * @returns how many were enqueued, and how many restores were asked for
 */
export async function enqueueOutdated(
  parts: ReadingParts,
  budget: ReadingBudget,
): Promise<{ enqueued: number; restores: number }> {
  const { db } = parts
  await forgetOldDays(db)
  const room = MOST_WAITING - (await countJobs(db, [{ name: 'read-again' }]))
  if (room <= 0) return { enqueued: 0, restores: 0 }
  const spent = await spentToday(db)
  const basket: Basket = {
    jobs: new Map(),
    room,
    bytesLeft: budget.dailyBytes - spent.bucketBytes,
    toRestore: [],
    // Without a budget to read them, what is restored would go again unread.
    archivedLeft: budget.dailyBytes === 0 ? 0 : budget.archivedDailyBytes - spent.archivedBytes,
  }
  // Copies of restores first: they go again.
  const restored = await restoredNow(db, MOST_WAITING)
  put(basket, await page(parts, budget, sql`${OBJECT} = any(${restored}::uuid[])`, MOST_WAITING))
  await fill(parts, budget, basket)
  const jobs = [...basket.jobs].map(([assetId, owner]) => ({ payload: { assetId }, owner }))
  await enqueueMany(db, 'read-again', jobs)
  return { enqueued: jobs.length, restores: await restoreSome(parts, budget, basket.toRestore) }
}

type Waiting = {
  assetId: string
  version: number
  owner: string
  objectId: string
  bytes: number
  place: keyof OutdatedReadings
}

type Basket = {
  /** By asset, whose owner it is. */
  jobs: Map<string, string>
  room: number
  bytesLeft: number
  toRestore: Waiting[]
  archivedLeft: number
}

/** Goes on where the last run stopped, until there is no more room, or enough was looked at. */
async function fill(parts: ReadingParts, budget: ReadingBudget, basket: Basket): Promise<void> {
  if (basket.room <= 0) return
  const { db } = parts
  let after = await db.selectFrom('reading_sweep').selectAll().executeTakeFirst()
  for (let looked = 0; looked < MOST_LOOKED_AT; looked += PAGE) {
    const behind = after
      ? sql`(asset_reading.reader_version, asset_reading.asset_id) > (${after.after_version}, ${after.after_asset}::uuid)`
      : sql`true`
    const waiting = await page(parts, budget, behind, PAGE)
    const last = put(basket, waiting)
    after = last && { is_only: true, after_version: last.version, after_asset: last.assetId }
    const isAtEnd = waiting.length < PAGE && last === waiting.at(-1)
    if (isAtEnd) after = undefined
    if (isAtEnd || basket.room <= 0) break
  }
  await db.deleteFrom('reading_sweep').execute()
  if (after) await db.insertInto('reading_sweep').values(after).execute()
}

async function page(
  { db, placement }: ReadingParts,
  budget: ReadingBudget,
  condition: RawBuilder<unknown>,
  limit: number,
): Promise<Waiting[]> {
  const { rows } = await sql<Waiting>`
    select asset.id as "assetId", asset_reading.reader_version as version, asset.owner_id as owner,
      ${OBJECT} as "objectId", asset.file_size as bytes, ${placeOf(placement, budget)} as place
    from ${OUTDATED} and ${condition} and not ${jobExists('read-again', { assetId: sql`asset.id` })}
    order by asset_reading.reader_version, asset_reading.asset_id limit ${limit}`.execute(db)
  return rows
}

/** Takes what there is room and budget for. @returns the last that was looked at */
function put(basket: Basket, waiting: readonly Waiting[]): Waiting | undefined {
  let last: Waiting | undefined
  for (const one of waiting) {
    if (basket.room <= 0) break
    last = one
    const isAffordable = one.place === 'atHand' || (one.place === 'inBucket' && one.bytes <= basket.bytesLeft)
    if (isAffordable && !basket.jobs.has(one.assetId)) {
      basket.jobs.set(one.assetId, one.owner)
      basket.room -= 1
      if (one.place === 'inBucket') basket.bytesLeft -= one.bytes
    } else if (one.place === 'archived' && basket.toRestore.length < MOST_RESTORES) {
      if (one.bytes > basket.archivedLeft) continue
      basket.toRestore.push(one)
      basket.archivedLeft -= one.bytes
    }
  }
  return last
}

/** Asks for restores of archived originals; what they cost is taken out of the day before it. */
async function restoreSome(
  { db, placement }: ReadingParts,
  budget: ReadingBudget,
  wanted: readonly Waiting[],
): Promise<number> {
  let asked = 0
  for (const one of wanted) {
    if (await db.transaction().execute((tx) => askFor(tx, placement, one, budget))) asked += 1
  }
  return asked
}

async function askFor(tx: Tx, placement: Placement, one: Waiting, budget: ReadingBudget): Promise<boolean> {
  const tier = await cheapestTierOf(tx, placement, one.objectId)
  if (tier === null) return false
  const wish = { tier, days: RESTORED_DAYS, requestedBy: null }
  if (!(await spendArchived(tx, one.bytes, budget.archivedDailyBytes))) return false
  const there = await requestRestore(tx, placement, one.objectId, wish)
  if (there === null) return false
  await enqueueMany(tx, 'restore-replica', [{ payload: { objectId: one.objectId, at: there.at } }])
  return true
}
