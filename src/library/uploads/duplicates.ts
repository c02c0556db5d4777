/**
 * *Duplicate* is an acknowledgement: people who get this answer may delete their file. So it is said of an
 * asset with a verified copy only, and never of one that the next emptying of the trash takes away. Right
 * bytes repair an asset that has no copy.
 */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { sha256Of, sizeOf } from '../../placement/ledger/object-sql.ts'
import { advanceWhereDue } from '../../placement/locations/due-advance.ts'
import type { Placement } from '../../placement/placement.ts'
import { ensureCopy } from '../../placement/uploads/repair.ts'
import { findSafeObjects } from '../../placement/uploads/safe-copies.ts'
import type { StagedFile } from '../../placement/uploads/stage.ts'
import type { Actor } from '../access.ts'
import { enqueueProcessing } from '../assets/enqueue-processing.ts'
import { makeOwnVideo } from '../assets/live-photos.ts'
import { restoreFromTrash } from '../assets/trash.ts'

type Parts = { db: Database; placement: Placement }

export type KnownAsset = {
  id: string
  /** Lower-case hex SHA-1. */
  checksum: string
  originalId: string
  originalSha256: Buffer
  originalBytes: number
  sidecarId: string | null
  /** Null: it has none. */
  sidecarBytes: number | null
  isTrashed: boolean
  /** A film that was taken out of a photo's file, and that nobody has sent by itself. */
  isEmbedded: boolean
  isProcessed: boolean
}

/** The assets of this owner with these bytes (SHA-1), in the trash or not. */
export async function findByChecksums(
  db: Queryable,
  ownerId: string,
  checksums: readonly Buffer[],
): Promise<KnownAsset[]> {
  const wanted = checksums.map((sha1) => sha1.toString('hex'))
  const { rows } = await sql<KnownAsset>`
    select asset.id, encode(checksum, 'hex') as checksum, original_object_id as "originalId",
      ${sha256Of(sql`asset.original_object_id`)} as "originalSha256", file_size as "originalBytes",
      sidecar.object_id as "sidecarId", ${sizeOf(sql`sidecar.object_id`)} as "sidecarBytes", deleted_at is not null as "isTrashed",
      is_embedded as "isEmbedded", processing = 'done' as "isProcessed"
    from asset left join asset_file sidecar on sidecar.asset_id = asset.id and sidecar.kind = 'sidecar'
    where asset.owner_id = ${ownerId}
      and checksum = any(select decode(hex, 'hex') from unnest(${wanted}::text[]) as hex)`.execute(db)
  return rows
}

export async function findByChecksum(
  db: Queryable,
  ownerId: string,
  sha1: Buffer,
): Promise<KnownAsset | undefined> {
  return (await findByChecksums(db, ownerId, [sha1]))[0]
}

/**
 * Those of the assets whose original and sidecar have a verified copy, by all that is known without asking a
 * bucket.
 */
export async function findSafeAssets(
  placement: Placement,
  assets: readonly KnownAsset[],
): Promise<Set<string>> {
  const objectIds = assets.flatMap(({ originalId, sidecarId }) => [
    originalId,
    ...(sidecarId ? [sidecarId] : []),
  ])
  const safe = await findSafeObjects(placement, objectIds)
  const isSafe = ({ originalId, sidecarId }: KnownAsset) =>
    safe.has(originalId) && (sidecarId === null || safe.has(sidecarId))
  return new Set(assets.filter(isSafe).map(({ id }) => id))
}

/**
 * To somebody who announces a file and has not sent it: the asset that it is here as, back from the trash.
 * Null: it isn't here, or has no copy that is known to be good; then the file is wanted. `sha256`: null where
 * a client tells none.
 * @throws AppError conflict (other bytes of the same SHA-1)
 */
export async function acknowledgeUnsent(
  { db, placement }: Parts,
  actor: Pick<Actor, 'userId'>,
  { sha1, sha256 }: { sha1: Buffer; sha256: Buffer | null },
): Promise<KnownAsset | null> {
  const known = await findByChecksum(db, actor.userId, sha1)
  if (known && sha256 !== null && !known.originalSha256.equals(sha256)) throw sameSha1()
  if (!known || !(await findSafeAssets(placement, [known])).has(known.id)) return null
  if (!known.isTrashed && !known.isEmbedded) return known
  if (!(await keepOutOfTrash({ db, placement }, actor, known))) return null
  // When that was made to show at the places, another ledger may have been found at the one with the copy.
  return (await findSafeAssets(placement, [known])).has(known.id) ? known : null
}

/** To somebody whose bytes are gone by now, as those that they were the same as. */
export function deletedAtThisMoment(): AppError {
  return new AppError('conflict', 'The same file was uploaded and deleted at this moment; upload it again')
}

/** Files can be made so. Neither is a copy of the other. */
function sameSha1(): AppError {
  return new AppError('conflict', 'another file with the same SHA-1 is here already; this one was not kept')
}

/**
 * To somebody who has sent the bytes of an asset that is here: true when it has a verified copy, made of
 * those bytes if need be, and is not in the trash. False: it was deleted meanwhile.
 * @throws AppError conflict (other bytes of the same SHA-1), unavailable, storage-full
 */
export async function acknowledgeSent(
  { db, placement }: Parts,
  actor: Pick<Actor, 'userId'>,
  known: KnownAsset,
  original: StagedFile,
): Promise<boolean> {
  if (!known.originalSha256.equals(original.sha256)) throw sameSha1()
  // First, for that may find another ledger at the place with the copy.
  if (!(await keepOutOfTrash({ db, placement }, actor, known))) return false
  const ensured = await ensureCopy(placement, known.originalId, original)
  if (ensured === 'gone') return false
  if (ensured === 'repaired') {
    placement.log.info({ assetId: known.id, objectId: known.originalId }, 'an upload has repaired an asset')
    if (!known.isProcessed) await enqueueProcessing(db, { id: known.id, ownerId: actor.userId })
  }
  return true
}

/**
 * Takes it out of the trash, and advances the counters of the locations before the answer is sent. False
 * where it is not there any more. One that the user deletes after this is deleted by the user. A film that
 * was a part of a photo only is a thing of its own from now on: deleting the photo must not delete what was
 * sent by itself.
 */
export async function keepOutOfTrash(
  { db, placement }: Parts,
  actor: Pick<Actor, 'userId'>,
  { id, isTrashed, isEmbedded }: Pick<KnownAsset, 'id' | 'isTrashed' | 'isEmbedded'>,
): Promise<boolean> {
  if (isEmbedded) {
    await db.transaction().execute(async (tx) => {
      await makeOwnVideo(tx, actor, id)
      // A deletion of its photo may have taken it along since it was looked up.
      await restoreFromTrash(tx, actor, [id])
    })
    await advanceWhereDue(placement)
    return isOutOfTrash(db, id)
  }
  if (!isTrashed) return true
  const isKept = await db.transaction().execute((tx) => takeOutOfTrash(tx, actor, id))
  await advanceWhereDue(placement)
  return isKept
}

/**
 * True: the asset is there, and not in the trash, until the user deletes it anew. As `restoreFromTrash`, to
 * be followed by `advanceWhereDue`.
 */
async function takeOutOfTrash(tx: Tx, actor: Pick<Actor, 'userId'>, assetId: string): Promise<boolean> {
  await restoreFromTrash(tx, actor, [assetId])
  return isOutOfTrash(tx, assetId)
}

/** False also where it is gone. */
export async function isOutOfTrash(db: Queryable, assetId: string): Promise<boolean> {
  const row = await db
    .selectFrom('asset')
    .select('id')
    .where('id', '=', assetId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  return row !== undefined
}
