/**
 * A batch of the catalogue is stored as an object like any other, which is replicated, proven and evicted.
 */
import { createReadStream } from 'node:fs'
import { sql } from 'kysely'
import { loadInstallation } from '../../database/backups/installation.ts'
import type { Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { CATALOGUE_BATCH } from '../keys.ts'
import { confirmLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { ingestStaged } from '../uploads/ingest.ts'
import { type StagedFile, stageStream } from '../uploads/stage.ts'
import { MAX_PARENTS, packBatch, unpackBatch } from './batch-format.ts'

/** After so many batches everything is written once more, so that nobody has to read thousands. */
const BATCHES_TO_SNAPSHOT = 500
const MIN_ENTRIES_TO_SNAPSHOT = 5_000

/**
 * `heads`: the SHA-256 of those that the next batch follows. `parents`: these, and all before them that are
 * kept, since the last but one that holds everything.
 */
export type CatalogueState = { heads: string[]; parents: string[]; isSnapshotDue: boolean }

/**
 * Whether the next batch holds everything: after so many others, or when they have named a quarter of what
 * there is. `total`: how many things the library has.
 */
export async function catalogueState(db: Queryable, total: number): Promise<CatalogueState> {
  const row = await db.selectFrom('catalogue_state').selectAll().executeTakeFirstOrThrow()
  const { rows } = await sql<{ batches: number; entries: number }>`
    select count(*)::float8 as batches, coalesce(sum(entries), 0)::float8 as entries from catalogue_batch
    where number > coalesce((select max(number) from catalogue_batch where is_snapshot), 0)`.execute(db)
  const { batches, entries } = rows[0]!
  const isSnapshotDue =
    row.is_snapshot_due ||
    row.heads.length === 0 ||
    batches >= BATCHES_TO_SNAPSHOT ||
    entries >= Math.max(MIN_ENTRIES_TO_SNAPSHOT, total / 4)
  const own = await ownBatches(db, { since: 'the last but one snapshot' })
  const parents = [...new Set([...row.heads, ...row.followed, ...own])].slice(0, MAX_PARENTS)
  return { heads: row.heads, parents, isSnapshotDue }
}

/** The SHA-256 of those that this ledger has written, the newest first. */
async function ownBatches(
  db: Queryable,
  { since }: { since: 'the last but one snapshot' | null },
): Promise<string[]> {
  const { rows } = await sql<{ sha256: string }>`
    select encode(sha256, 'hex') as sha256
    from catalogue_batch join stored_object on stored_object.id = catalogue_batch.object_id
    where ${since === null} or number >= coalesce(
      (select number from catalogue_batch where is_snapshot order by number desc offset 1 limit 1), 0)
    order by number desc`.execute(db)
  return rows.map(({ sha256 }) => sha256)
}

/** All that this database has written or followed, as far as it has kept their names. */
export async function knownBatches(db: Queryable): Promise<string[]> {
  const { heads, followed } = await db
    .selectFrom('catalogue_state')
    .select(['heads', 'followed'])
    .executeTakeFirstOrThrow()
  return [...new Set([...heads, ...followed, ...(await ownBatches(db, { since: null }))])]
}

/**
 * What other batches the next one follows, too: it holds all that they say. It is a whole one. `unread`:
 * those that they name and that are missing; they are known for no longer than that.
 */
export async function followHeads(
  tx: Queryable,
  { heads, unread }: { heads: readonly string[]; unread: readonly string[] },
): Promise<void> {
  // Named by later batches, too, so that the next one may be missing.
  const followed = heads.slice(0, MAX_PARENTS)
  await tx
    .updateTable('catalogue_state')
    .set({ heads: followed, followed, unread: unread.slice(0, MAX_PARENTS), is_snapshot_due: true })
    .execute()
}

/** The SHA-256 of batches that were missing when this database followed those that name them. */
export async function unreadBatches(db: Queryable): Promise<string[]> {
  return (await db.selectFrom('catalogue_state').select('unread').executeTakeFirstOrThrow()).unread
}

/**
 * Whether one since the last snapshot has no verified copy left: what it says is nowhere, and only a whole
 * one says it again.
 */
export async function isBatchLost(db: Queryable): Promise<boolean> {
  const { rows } = await sql`
    select from catalogue_batch
    where number >= (select max(number) from catalogue_batch where is_snapshot)
      and not exists (select from replica
        where replica.object_id = catalogue_batch.object_id and replica.state = 'verified')
    limit 1`.execute(db)
  return rows.length > 0
}

/** The catalogue was not kept for a while, or a batch of it was lost: the next one holds everything. */
export async function requireSnapshot(tx: Queryable): Promise<void> {
  await tx.updateTable('catalogue_state').set({ is_snapshot_due: true }).execute()
}

/**
 * Writes a batch that follows `state`. `commit` runs in the transaction that makes it count. A kill leaves a
 * staged file, which the sweep removes. @returns the id of the object
 * @throws RetryLater where another process has written one meanwhile; AppError corrupt where it can't be read
 */
export async function writeBatch(
  placement: Placement,
  { state, entries }: { state: CatalogueState; entries: AsyncIterable<object> },
  commit: (tx: Tx) => Promise<void>,
  signal?: AbortSignal,
): Promise<string> {
  await confirmLocation(placement, placement.local)
  const { id: installation } = await loadInstallation(placement.db)
  const madeAt = placement.now()
  const { isSnapshotDue: isSnapshot, heads, parents } = state
  let count = 0
  const packed = packBatch(
    { installation, isSnapshot, parents, madeAt: madeAt.toISOString() },
    entries,
    (told) => {
      count = told
    },
  )
  const staged = await stageStream(placement, packed, {
    maxBytes: Number.MAX_SAFE_INTEGER,
    ...(signal && { signal }),
  })
  const sha256 = staged.sha256.toString('hex')
  await assertReadable(staged, count, signal)
  return ingestStaged(
    placement,
    {
      kind: 'catalogue',
      ownerId: installation,
      assetId: null,
      contentType: 'application/gzip',
      extension: CATALOGUE_BATCH,
      createdAt: madeAt,
      staged,
    },
    async (tx, objectId) => {
      const now = await tx.selectFrom('catalogue_state').select('heads').forUpdate().executeTakeFirstOrThrow()
      if (now.heads.join() !== heads.join())
        throw new RetryLater('another batch of the catalogue was written meanwhile', 1_000)
      await dateObject(tx, objectId, madeAt)
      await tx
        .insertInto('catalogue_batch')
        .values({ object_id: objectId, is_snapshot: isSnapshot, entries: count })
        .execute()
      const next = { heads: [sha256], ...(isSnapshot && { is_snapshot_due: false }) }
      await tx.updateTable('catalogue_state').set(next).execute()
      await commit(tx)
      return objectId
    },
  )
}

/**
 * One that could not be read would stand for all before it, which are removed. From here on its SHA-256 says
 * that it is the same. @throws AppError corrupt
 */
async function assertReadable(
  staged: StagedFile,
  entries: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    let read = 0
    for await (const part of unpackBatch(createReadStream(staged.path, { signal }))) {
      if ('refused' in part) throw new AppError('corrupt', part.refused)
      if ('sha256' in part) read = part.entries
    }
    if (read !== entries) throw new AppError('corrupt', `it has ${read} entries, and not ${entries}`)
  } catch (error) {
    await staged.discard()
    throw error
  }
}

/** The time that a key of the object tells: every replica's name is made of it. */
export async function dateObject(tx: Queryable, objectId: string, time: Date): Promise<void> {
  await tx.updateTable('stored_object').set({ created_at: time }).where('id', '=', objectId).execute()
}

/** Whether the object is verified wherever the catalogue belongs, and nothing is doubted. */
export async function isCatalogueSafe(
  { db, policy }: Pick<Placement, 'db' | 'policy'>,
  objectId: string,
): Promise<boolean> {
  const rows = await db
    .selectFrom('replica')
    .select('location_id')
    .where('object_id', '=', objectId)
    .where('state', '=', 'verified')
    .where(sql<boolean>`not coalesce(proof ? 'doubt', false)`)
    .execute()
  return policy.catalogue.every((home) => rows.some(({ location_id }) => location_id === home))
}
