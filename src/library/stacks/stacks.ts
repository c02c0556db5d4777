/** Stacks: several assets of one owner, of which one, the primary, stands for all. */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { AppError } from '../../errors.ts'
import { type Actor, noAccess, requireAssets, requireOwned } from '../access.ts'
import { type AssetResponse, assetResponses } from '../assets/asset-response.ts'

/** Immich's `StackResponseDto`: the primary first, and only what is in the timeline or the archive. */
export type StackView = { id: string; primaryAssetId: string; assets: AssetResponse[] }

/** Of more assets open pages hear at their next load. */
const MAX_ANNOUNCED = 500

/** The actor's, oldest first; on request the one that this asset stands for. */
export async function listStacks(
  db: Database,
  actor: Actor,
  { primaryAssetId }: { primaryAssetId?: string | undefined } = {},
): Promise<StackView[]> {
  const rows = await db
    .selectFrom('stack')
    .select('id')
    .where('owner_id', '=', actor.userId)
    .$if(primaryAssetId !== undefined, (query) => query.where('primary_asset_id', '=', primaryAssetId!))
    .orderBy('created_at')
    .orderBy('id')
    .execute()
  return readStacks(
    db,
    actor,
    rows.map(({ id }) => id),
  )
}

/** @throws AppError invalid without access */
export async function getStack(db: Queryable, actor: Actor, id: string): Promise<StackView> {
  await requireOwned(db, actor, 'stack', [id], 'stack.read')
  const [stack] = await readStacks(db, actor, [id])
  return stack!
}

/**
 * Makes a stack; the first asset stands for it. Where one of them stands for a stack already, that one's
 * others come along. @throws AppError invalid for fewer than two, or one that is not the actor's
 */
export async function createStack(
  db: Database,
  actor: Actor,
  assetIds: readonly string[],
): Promise<StackView> {
  const ids = [...new Set(assetIds)]
  const [primaryId] = ids
  if (primaryId === undefined || ids.length < 2) {
    throw new AppError('invalid', 'assetIds: a stack has at least two different assets')
  }
  return db.transaction().execute(async (tx) => {
    await requireAssets(tx, actor, ids, 'asset.update')
    const members = [...ids, ...(await findLedBy(tx, ids))]
    await lockAssets(tx, actor, members)
    if ((await findLedBy(tx, ids)).some((id) => !members.includes(id))) {
      throw new AppError('conflict', 'assetIds: one of these stacks has just got another member; try again')
    }
    const before = await stacksOf(tx, members)
    await lockStacks(tx, before)
    await sql`delete from stack where primary_asset_id = any(${uuidArray(ids)}::uuid[])`.execute(tx)
    const { id } = await tx
      .insertInto('stack')
      .values({ owner_id: actor.userId, primary_asset_id: primaryId })
      .returning('id')
      .executeTakeFirstOrThrow()
    await setStack(tx, actor, members, id)
    // Those that were members elsewhere are missing there.
    await dissolveSmall(tx, before)
    return getStack(tx, actor, id)
  })
}

/** @throws AppError invalid without access, or where the new primary is not in the stack */
export async function updateStack(
  db: Database,
  actor: Actor,
  id: string,
  { primaryAssetId }: { primaryAssetId?: string | undefined },
): Promise<StackView> {
  return db.transaction().execute(async (tx) => {
    await requireOwned(tx, actor, 'stack', [id], 'stack.update')
    if (primaryAssetId !== undefined) await holdAssets(tx, actor, [primaryAssetId])
    await lockStacks(tx, [id])
    if (primaryAssetId !== undefined) {
      if (!(await isInStack(tx, id, primaryAssetId))) {
        throw new AppError('invalid', 'Primary asset must be in the stack')
      }
      await tx
        .updateTable('stack')
        .set({ primary_asset_id: primaryAssetId, updated_at: sql`now()` })
        .where('id', '=', id)
        .execute()
      await announce(tx, actor, await membersOf(tx, [id]))
    }
    return getStack(tx, actor, id)
  })
}

/** Takes one asset out. @throws AppError invalid without access, or for the primary, or what is not in it */
export async function removeFromStack(
  db: Database,
  actor: Actor,
  id: string,
  assetId: string,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await requireOwned(tx, actor, 'stack', [id], 'stack.update')
    await holdAssets(tx, actor, [assetId])
    await lockStacks(tx, [id])
    if (!(await isInStack(tx, id, assetId))) throw new AppError('invalid', 'Asset not in stack')
    const stack = await tx
      .selectFrom('stack')
      .select('primary_asset_id')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    if (stack.primary_asset_id === assetId) {
      throw new AppError('invalid', "Cannot remove stack's primary asset")
    }
    await setStack(tx, actor, [assetId], null)
    await tx.updateTable('stack').set({ updated_at: sql`now()` }).where('id', '=', id).execute()
  })
}

/** The stacks go, their assets stay. @throws AppError invalid when one is not the actor's */
export async function deleteStacks(db: Database, actor: Actor, ids: readonly string[]): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await requireOwned(tx, actor, 'stack', ids, 'stack.delete')
    const members = await membersOf(tx, ids)
    await holdAssets(tx, actor, members)
    await setStack(tx, actor, members, null)
    await sql`delete from stack where id = any(${uuidArray(ids)}::uuid[])`.execute(tx)
  })
}

async function readStacks(db: Queryable, actor: Actor, ids: readonly string[]): Promise<StackView[]> {
  if (ids.length === 0) return []
  const { rows } = await sql<{ id: string; primaryAssetId: string; assetIds: string[] }>`
    select stack.id, stack.primary_asset_id as "primaryAssetId", array(
      select asset.id from asset where asset.stack_id = stack.id and asset.deleted_at is null
        and asset.visibility in ('timeline', 'archive')
      order by asset.id = stack.primary_asset_id desc, asset.file_created_at, asset.id) as "assetIds"
    from stack where id = any(${uuidArray(ids)}::uuid[])`.execute(db)
  const assets = await assetResponses(
    db,
    actor,
    rows.flatMap(({ assetIds }) => assetIds),
    { withExif: true },
  )
  const byId = new Map(assets.map((asset) => [asset.id, asset]))
  const stacks = new Map(
    rows.map(({ assetIds, ...stack }) => [
      stack.id,
      { ...stack, assets: assetIds.flatMap((id) => byId.get(id) ?? []) },
    ]),
  )
  return ids.flatMap((id) => stacks.get(id) ?? [])
}

/** The members of the stacks that these stand for. */
async function findLedBy(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select asset.id from stack join asset on asset.stack_id = stack.id
    where stack.primary_asset_id = any(${uuidArray(ids)}::uuid[]) and asset.id <> all(${uuidArray(ids)}::uuid[])
      and asset.deleted_at is null
    order by asset.id`.execute(tx)
  return rows.map(({ id }) => id)
}

/** @throws AppError invalid where one was purged meanwhile */
async function lockAssets(tx: Tx, actor: Actor, ids: readonly string[]): Promise<void> {
  const held = await holdAssets(tx, actor, ids)
  if (held !== new Set(ids).size) throw noAccess('asset.update')
}

/**
 * Locks those that are the actor's, in the order of ids as everybody does who locks several; stacks come
 * after. Returns how many.
 */
async function holdAssets(tx: Tx, actor: Actor, ids: readonly string[]): Promise<number> {
  const { rows } = await sql`
    select from asset where id = any(${uuidArray(ids)}::uuid[]) and owner_id = ${actor.userId}::uuid
    order by id for update`.execute(tx)
  return rows.length
}

async function lockStacks(tx: Tx, ids: readonly string[]): Promise<void> {
  await sql`select from stack where id = any(${uuidArray(ids)}::uuid[]) order by id for update`.execute(tx)
}

async function stacksOf(tx: Tx, assetIds: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select distinct stack_id as id from asset
    where id = any(${uuidArray(assetIds)}::uuid[]) and stack_id is not null`.execute(tx)
  return rows.map(({ id }) => id)
}

async function membersOf(tx: Tx, stackIds: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from asset where stack_id = any(${uuidArray(stackIds)}::uuid[]) order by id`.execute(tx)
  return rows.map(({ id }) => id)
}

async function isInStack(tx: Tx, stackId: string, assetId: string): Promise<boolean> {
  return (await membersOf(tx, [stackId])).includes(assetId)
}

async function setStack(
  tx: Tx,
  actor: Actor,
  assetIds: readonly string[],
  stackId: string | null,
): Promise<void> {
  await sql`update asset set stack_id = ${stackId}::uuid, updated_at = now()
    where id = any(${uuidArray(assetIds)}::uuid[])`.execute(tx)
  await announce(tx, actor, assetIds)
}

async function dissolveSmall(tx: Tx, stackIds: readonly string[]): Promise<void> {
  await sql`delete from stack where id = any(${uuidArray(stackIds)}::uuid[])
    and 2 > (select count(*) from asset where asset.stack_id = stack.id)`.execute(tx)
}

async function announce(tx: Tx, actor: Actor, assetIds: readonly string[]): Promise<void> {
  for (const assetId of assetIds.slice(0, MAX_ANNOUNCED)) {
    await publish(tx, { type: 'asset-updated', assetId, userId: actor.userId })
  }
}
