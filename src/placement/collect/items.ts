/** The rows of `collection_item`: claimed, settled, counted. */
import { type RawBuilder, sql } from 'kysely'
import type { CollectionItemState } from '../../database/schema.ts'
import { knownKey } from '../keys.ts'
import { namesKeySql } from '../listing/named-keys.ts'
import type { Placement } from '../placement.ts'
import type { StrayBytes } from '../removal/remove-stray.ts'
import { COMPARED_KINDS, lacksACopySql } from './copies-that-count.ts'
import { isCatalogueUnread } from './judge.ts'

/**
 * `isClaimed`: its removal was cut short. `wasClaimed`: the removal of its key may have been asked for, now
 * or earlier, by whichever decision.
 */
export type Item = StrayBytes & {
  collectionId: string
  kind: string
  isClaimed: boolean
  wasClaimed: boolean
}

/**
 * Why an item is kept for good. `named`: something in the ledger names it by now. `adopted`: it became a copy
 * of a file that lacked one. `taken-over`: what the location holds was taken into the ledger since it was
 * decided. `changed`, `hidden`: it is another file by now, or somebody has hidden it. `unread`: it may be the
 * last copy of a file, and could not be read.
 */
export type KeptItemReason = 'named' | 'adopted' | 'taken-over' | 'changed' | 'hidden' | 'unread'

/** What can't go now, or become a copy, for whatever reason, is looked at again then. */
export const LATER_MS = 10 * 60_000

const WHOLE_ITEM = sql`i.collection_id, i.location_id, i.key, i.upload_id`

/** Something in the ledger names it; of `collection_item`, alias `i`. */
const IS_NAMED = namesKeySql(sql`i.location_id`, sql`i.key`)

/** Decided for so long that it may go; of `collection`, alias `c`. The clock may have jumped. */
const IS_DUE = sql<boolean>`(c.undone_at is null and c.collect_after <= now()
  and lived_since(c.decided_at) >= c.collect_after - c.decided_at)`

/** Since it was decided, another state of the ledger may have used the location. */
const IS_TAKEN_OVER = sql<boolean>`(exists (select from adoption a where a.location_id = c.location_id
    and (a.state = 'running' or a.finished_at >= c.decided_at))
  or exists (select from location_counter n where n.location_id = c.location_id and n.conflict is not null)
  or exists (select from catalogue_state t where t.adoption ->> 'state' = 'running'
    or (t.adoption ->> 'finishedAt')::timestamptz >= c.decided_at))`

/** Nobody is at it, or who was is dead. */
const IS_FREE = sql<boolean>`(i.state = 'held' and coalesce(i.not_before <= now(), true)
  or i.state = 'removing' and i.lease_expires_at < now())`

/** Locations where something may be due, or where a decision has nothing left to do. */
export async function locationsWithDecisions({ db }: Pick<Placement, 'db'>): Promise<string[]> {
  const rows = await db
    .selectFrom('collection')
    .select('location_id')
    .distinct()
    .where('finished_at', 'is', null)
    .orderBy('location_id')
    .execute()
  return rows.map(({ location_id }) => location_id)
}

/**
 * The next ones of a location that may go now; also those whose removal was cut short, and of these the ones
 * whose decision was undone meanwhile, which are settled.
 */
export async function dueItems(
  { db }: Pick<Placement, 'db'>,
  locationId: string,
  limit: number,
): Promise<Item[]> {
  return itemsWhere(
    db,
    sql`i.location_id = ${locationId} and ${IS_FREE} and (${IS_DUE} or i.state = 'removing' or c.undone_at is not null)`,
    limit,
  )
}

/** Its bytes may be those of a file that lacks a copy: nobody has read them, or they are. */
function mayBeNeeded(placement: Placement): RawBuilder<boolean> {
  return sql<boolean>`(i.upload_id = '' and i.kind = any(${COMPARED_KINDS}::text[])
    and exists (select from stored_object o where o.size = i.size and ${lacksACopySql(placement)}
      and (i.sha256 is null or i.sha256 = o.sha256)))`
}

/** Those that wait, or whose removal was cut short, and that may be needed; `among`: of these alone. */
export async function itemsToCompare(
  placement: Placement,
  locationId: string,
  among: readonly Item[] | undefined,
  limit: number,
): Promise<Item[]> {
  const isAmong = among
    ? sql`(i.collection_id, i.key) in (select * from unnest(${among.map((one) => one.collectionId)}::uuid[],
        ${among.map(({ key }) => key)}::text[]))`
    : sql`true`
  return itemsWhere(
    placement.db,
    sql`i.location_id = ${locationId} and ${IS_FREE} and ${isAmong} and ${mayBeNeeded(placement)}`,
    limit,
  )
}

async function itemsWhere(
  db: Placement['db'],
  condition: RawBuilder<unknown>,
  limit: number,
): Promise<Item[]> {
  const { rows } = await sql<Omit<Item, 'key'> & { key: string }>`
    select i.collection_id as "collectionId", i.location_id as "locationId", i.key, i.upload_id as "uploadId",
      i.kind, i.size::float8 as size, i.etag, i.last_modified as "lastModified",
      i.state = 'removing' as "isClaimed", exists (select from collection_item e where e.location_id = i.location_id and e.key = i.key
        and e.claimed_at is not null) as "wasClaimed"
    from collection_item i join collection c on c.id = i.collection_id
    where c.finished_at is null and ${condition}
    order by i.state desc, ${WHOLE_ITEM} limit ${limit}`.execute(db)
  return rows.map(({ key, ...row }) => ({ ...row, key: knownKey(key) }))
}

/**
 * Its removal begins: until it is settled nobody makes a replica of it (`keep_collected`). False where that
 * has happened meanwhile, where it was undone, is too young after all, another process is at it, or a
 * catalogue has appeared that may name it and that nobody has read.
 */
export async function claimItem(placement: Placement, item: Item): Promise<boolean> {
  const { db, settings } = placement
  const mayBeNamed = item.uploadId === '' && COMPARED_KINDS.includes(item.kind)
  if (mayBeNamed && (await isCatalogueUnread(placement))) return false
  const inMs = (ms: number) => sql`${ms} * interval '1 millisecond'`
  const { rows } = await sql`
    update collection_item i set state = 'removing', reason = null, not_before = null, claimed_at = now(),
      lease_expires_at = now() + ${inMs(2 * settings.writeLeaseMs)}
    from collection c
    where ${isItem(item)} and c.id = i.collection_id and ${IS_FREE} and ${IS_DUE} and not ${IS_TAKEN_OVER}
      and lived_since(i.last_modified) >= ${inMs(settings.collectAgeMs)}
      and not ${IS_NAMED} and not ${mayBeNeeded(placement)}
    returning i.key`.execute(db)
  return rows.length > 0
}

/**
 * Why a claim was refused for good is written down; one that was refused for now is made again later, also
 * where its removal was cut short: `claimed_at` stays, for that may still be carried out.
 */
export async function settleRefused({ db }: Pick<Placement, 'db'>, item: Item): Promise<void> {
  await sql`
    update collection_item i set
      state = case when ${IS_NAMED} then 'kept' else 'held' end,
      lease_expires_at = null,
      reason = case when ${IS_NAMED} then 'named' else 'not-now' end,
      not_before = case when not ${IS_NAMED} then now() + ${LATER_MS} * interval '1 millisecond' end
    where ${isItem(item)} and (i.state = 'held' or i.state = 'removing' and i.lease_expires_at < now())`.execute(
    db,
  )
}

/**
 * What was decided before the location was taken over, or while another ledger used it, is not carried out.
 * Also of removals that were cut short: an adoption waits for them.
 */
export async function keepTakenOver({ db }: Pick<Placement, 'db'>, locationId: string): Promise<void> {
  await sql`
    update collection_item i set state = 'kept', reason = 'taken-over', not_before = null
    from collection c
    where c.id = i.collection_id and c.location_id = ${locationId} and c.finished_at is null
      and (i.state = 'held' or i.state = 'removing' and i.lease_expires_at < now()) and ${IS_TAKEN_OVER}`.execute(
    db,
  )
}

/**
 * A removal that was cut short is given up: its bytes are needed, and may become a copy. `claimed_at` stays.
 * False where its process is alive after all, or another one has taken it up.
 */
export async function releaseItem({ db }: Pick<Placement, 'db'>, item: Item): Promise<boolean> {
  const { rows } = await sql`
    update collection_item i set state = 'held', lease_expires_at = null
    where ${isItem(item)} and i.state = 'removing' and i.lease_expires_at < now()
    returning i.key`.execute(db)
  return rows.length > 0
}

export async function settleItem(
  { db }: Pick<Placement, 'db'>,
  item: Item,
  state: Extract<CollectionItemState, 'removed' | 'kept' | 'undone'>,
  reason: KeptItemReason | null = null,
): Promise<void> {
  await sql`
    update collection_item i set state = ${state}, reason = ${reason}, lease_expires_at = null, not_before = null
    where ${isItem(item)} and (i.state in ('held', 'removing')
      or i.state = 'kept' and i.reason = 'named' and ${reason === 'adopted'})`.execute(db)
  if (state !== 'removed') return
  await sql`delete from stray where location_id = ${item.locationId} and key = ${item.key}
    and upload_id = ${item.uploadId}`.execute(db)
}

/** It is looked at again then. `reason`: for people. */
export async function postponeItem(
  { db }: Pick<Placement, 'db'>,
  item: Item,
  reason: string,
  delayMs: number,
): Promise<void> {
  await sql`
    update collection_item i set state = 'held', reason = ${reason}, lease_expires_at = null,
      not_before = now() + ${delayMs} * interval '1 millisecond'
    where ${isItem(item)} and i.state in ('held', 'removing')`.execute(db)
}

export async function noteSha256({ db }: Pick<Placement, 'db'>, item: Item, sha256: string): Promise<void> {
  await sql`update collection_item i set sha256 = ${Buffer.from(sha256, 'hex')} where ${isItem(item)}`.execute(
    db,
  )
}

/** Whether its decision was undone while its removal was cut short. */
export async function isUndone({ db }: Pick<Placement, 'db'>, { collectionId }: Item): Promise<boolean> {
  const row = await db
    .selectFrom('collection')
    .select('undone_at')
    .where('id', '=', collectionId)
    .executeTakeFirst()
  return row?.undone_at != null
}

/** Decisions of which nothing is left to do are ended. */
export async function finishCollections({ db }: Pick<Placement, 'db'>, locationId: string): Promise<void> {
  await sql`
    update collection set finished_at = now(), error = null
    where location_id = ${locationId} and finished_at is null and not exists (
      select from collection_item i where i.collection_id = collection.id and i.state in ('held', 'removing'))`.execute(
    db,
  )
}

/** Decisions that ended long ago interest nobody any more; a large one has as many rows as files. */
export async function forgetOldCollections({ db }: Pick<Placement, 'db'>): Promise<void> {
  await sql`delete from collection where finished_at < now() - interval '1 year'`.execute(db)
}

/** Why it can't go on now, for people; null: it can. */
export async function noteError(
  { db }: Pick<Placement, 'db'>,
  locationId: string,
  error: string | null,
): Promise<void> {
  await sql`
    update collection set error = ${error} where location_id = ${locationId} and finished_at is null
      and error is distinct from ${error}`.execute(db)
}

function isItem({ collectionId, key, uploadId }: Item): RawBuilder<boolean> {
  return sql<boolean>`(i.collection_id = ${collectionId} and i.key = ${key} and i.upload_id = ${uploadId})`
}
