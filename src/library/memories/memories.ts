/** Memories: what somebody photographed on this day of an earlier year. */
import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { AppError } from '../../errors.ts'
import { type Actor, findAllowedAssets, noAccess, requireOwned } from '../access.ts'
import { type AssetResponse, assetResponses } from '../assets/asset-response.ts'
import { type BulkResult, resultsOfAddition, resultsOfRemoval } from '../bulk-result.ts'

/** Immich's `MemoryResponseDto`. Times are ISO 8601; those that are not set are absent. */
export type MemoryView = {
  id: string
  ownerId: string
  type: 'on_this_day'
  data: { year: number }
  isSaved: boolean
  memoryAt: string
  seenAt?: string
  showAt?: string
  hideAt?: string
  deletedAt?: string
  createdAt: string
  updatedAt: string
  /** Of the timeline, oldest first. */
  assets: AssetResponse[]
}

export type MemoryFilter = {
  id?: string | undefined
  /** What is shown at this instant. */
  for?: Date | undefined
  isSaved?: boolean | undefined
  isTrashed?: boolean | undefined
  /** Only what is not shown yet, or only what is. */
  isUpcoming?: boolean | undefined
}
export type MemoryTimes = {
  memoryAt?: Date | undefined
  seenAt?: Date | undefined
  isSaved?: boolean | undefined
}

type Row = Selectable<Schema['memory']>

/** The actor's, by when it was; without those of which nothing is left to be seen. */
export async function searchMemories(
  db: Database,
  actor: Actor,
  filter: MemoryFilter,
  paging: { order: 'asc' | 'desc' | 'random'; size: number; page: number },
): Promise<MemoryView[]> {
  const order =
    paging.order === 'random'
      ? sql`random()`
      : sql`memory_at ${sql.raw(paging.order)}, id ${sql.raw(paging.order)}`
  const { rows } = await sql<Row>`
    select * from memory where ${conditions(actor, filter)} order by ${order}
    limit ${paging.size} offset ${(paging.page - 1) * paging.size}`.execute(db)
  return (await describe(db, actor, rows)).filter(({ assets }) => assets.length > 0)
}

/** How many there are, whether or not something of them is left to be seen. */
export async function countMemories(db: Database, actor: Actor, filter: MemoryFilter): Promise<number> {
  const { rows } = await sql<{ total: number }>`
    select count(*)::int as total from memory where ${conditions(actor, filter)}`.execute(db)
  return rows[0]!.total
}

/** @throws AppError invalid without access */
export async function getMemory(db: Queryable, actor: Actor, id: string): Promise<MemoryView> {
  const row = await db
    .selectFrom('memory')
    .selectAll()
    .where('id', '=', id)
    .where('owner_id', '=', actor.userId)
    .executeTakeFirst()
  if (row === undefined) throw noAccess('memory.read')
  const [memory] = await describe(db, actor, [row])
  return memory!
}

/** Of the assets, those are left out that are neither the actor's own nor a partner's. */
export async function createMemory(
  db: Database,
  actor: Actor,
  wish: {
    year: number
    memoryAt: Date
    isSaved: boolean
    seenAt: Date | null
    showAt: Date | null
    hideAt: Date | null
    assetIds: readonly string[]
  },
): Promise<MemoryView> {
  return db.transaction().execute(async (tx) => {
    const { id } = await tx
      .insertInto('memory')
      .values({
        owner_id: actor.userId,
        data: JSON.stringify({ year: wish.year }),
        is_saved: wish.isSaved,
        memory_at: wish.memoryAt,
        seen_at: wish.seenAt,
        show_at: wish.showAt,
        hide_at: wish.hideAt,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    await insertAssets(tx, id, await findAllowedAssets(tx, actor, wish.assetIds, 'asset.share'))
    return getMemory(tx, actor, id)
  })
}

/** @throws AppError invalid without access, or where nothing is to change */
export async function updateMemory(
  db: Database,
  actor: Actor,
  id: string,
  { isSaved, memoryAt, seenAt }: MemoryTimes,
): Promise<MemoryView> {
  if (isSaved === undefined && memoryAt === undefined && seenAt === undefined) {
    throw new AppError('invalid', 'At least one field must be provided')
  }
  await requireOwned(db, actor, 'memory', [id], 'memory.update')
  await db
    .updateTable('memory')
    .set({
      ...(isSaved !== undefined && { is_saved: isSaved }),
      ...(memoryAt !== undefined && { memory_at: memoryAt }),
      ...(seenAt !== undefined && { seen_at: seenAt }),
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .execute()
  return getMemory(db, actor, id)
}

/** For good; its assets stay. @throws AppError invalid without access */
export async function deleteMemory(db: Database, actor: Actor, id: string): Promise<void> {
  const gone = await db
    .deleteFrom('memory')
    .where('id', '=', id)
    .where('owner_id', '=', actor.userId)
    .returning('id')
    .executeTakeFirst()
  if (gone === undefined) throw noAccess('memory.delete')
}

/** One answer for each id, in the order given. @throws AppError invalid unless the memory is the actor's */
export async function addMemoryAssets(
  db: Database,
  actor: Actor,
  id: string,
  assetIds: readonly string[],
): Promise<BulkResult[]> {
  return db.transaction().execute(async (tx) => {
    await holdMemory(tx, actor, id)
    const allowed = await findAllowedAssets(tx, actor, assetIds, 'asset.share')
    const added = await insertAssets(tx, id, allowed)
    if (added.length > 0) await touch(tx, id)
    return resultsOfAddition(assetIds, allowed, new Set(added))
  })
}

/** The assets themselves stay. @throws AppError invalid unless the memory is the actor's */
export async function removeMemoryAssets(
  db: Database,
  actor: Actor,
  id: string,
  assetIds: readonly string[],
): Promise<BulkResult[]> {
  return db.transaction().execute(async (tx) => {
    await holdMemory(tx, actor, id)
    const removed = await tx
      .deleteFrom('memory_asset')
      .where('memory_id', '=', id)
      .where(sql<boolean>`asset_id = any(${uuidArray(assetIds)}::uuid[])`)
      .returning('asset_id')
      .execute()
    if (removed.length > 0) await touch(tx, id)
    return resultsOfRemoval(assetIds, new Set(removed.map((row) => row.asset_id)))
  })
}

async function holdMemory(tx: Tx, actor: Actor, id: string): Promise<void> {
  const held = await tx
    .selectFrom('memory')
    .select('id')
    .where('id', '=', id)
    .where('owner_id', '=', actor.userId)
    .forUpdate()
    .executeTakeFirst()
  if (held === undefined) throw noAccess('memory.update')
}

async function touch(tx: Tx, id: string): Promise<void> {
  await tx.updateTable('memory').set({ updated_at: sql`now()` }).where('id', '=', id).execute()
}

/** The ids of those that were not in it; what was purged meanwhile is left out. */
async function insertAssets(tx: Tx, memoryId: string, assetIds: ReadonlySet<string>): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    insert into memory_asset (memory_id, asset_id)
    select ${memoryId}::uuid, id from (
      select id from asset where id = any(${uuidArray([...assetIds])}::uuid[]) order by id for key share) as asset
    on conflict do nothing returning asset_id as id`.execute(tx)
  return rows.map(({ id }) => id)
}

function conditions(actor: Actor, filter: MemoryFilter): RawBuilder<unknown> {
  const all: RawBuilder<unknown>[] = [
    sql`owner_id = ${actor.userId}::uuid`,
    filter.isTrashed ? sql`deleted_at is not null` : sql`deleted_at is null`,
  ]
  if (filter.id !== undefined) all.push(sql`id = ${filter.id}::uuid`)
  if (filter.isSaved !== undefined) all.push(sql`is_saved = ${filter.isSaved}::boolean`)
  if (filter.for !== undefined) {
    all.push(
      sql`(show_at is null or show_at <= ${filter.for}) and (hide_at is null or hide_at >= ${filter.for})`,
    )
  }
  if (filter.isUpcoming !== undefined)
    all.push(sql`(show_at is not null and show_at > now()) = ${filter.isUpcoming}::boolean`)
  return sql.join(all, sql` and `)
}

/** With what of their assets the actor may still see: a partner's go when they no longer share. */
async function describe(db: Queryable, actor: Actor, rows: readonly Row[]): Promise<MemoryView[]> {
  if (rows.length === 0) return []
  const { rows: held } = await sql<{ memoryId: string; assetId: string }>`
    select memory_asset.memory_id as "memoryId", asset.id as "assetId"
    from memory_asset join asset on asset.id = memory_asset.asset_id
    where memory_asset.memory_id = any(${uuidArray(rows.map(({ id }) => id))}::uuid[])
      and asset.deleted_at is null and asset.visibility = 'timeline'
    order by asset.local_date_time, asset.id`.execute(db)
  const ids = [...new Set(held.map(({ assetId }) => assetId))]
  const allowed = await findAllowedAssets(db, actor, ids, 'asset.read')
  const assets = await assetResponses(
    db,
    actor,
    ids.filter((id) => allowed.has(id)),
    { withExif: true },
  )
  const byId = new Map(assets.map((asset) => [asset.id, asset]))
  const byMemory = Map.groupBy(held, ({ memoryId }) => memoryId)
  return rows.map((row) => ({
    id: row.id,
    ownerId: row.owner_id,
    type: row.type,
    data: row.data,
    isSaved: row.is_saved,
    memoryAt: row.memory_at.toISOString(),
    ...(row.seen_at && { seenAt: row.seen_at.toISOString() }),
    ...(row.show_at && { showAt: row.show_at.toISOString() }),
    ...(row.hide_at && { hideAt: row.hide_at.toISOString() }),
    ...(row.deleted_at && { deletedAt: row.deleted_at.toISOString() }),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    assets: (byMemory.get(row.id) ?? []).flatMap(({ assetId }) => byId.get(assetId) ?? []),
  }))
}
