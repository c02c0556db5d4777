/**
 * Sidecars that are uploaded with an original. An asset has one at most; a second one is kept only where the
 * first one is certainly lost, for a sidecar that was acknowledged is never given up for one that came later.
 */
import type { Database, Tx } from '../../database/connect.ts'
import { AppError, isAppError } from '../../errors.ts'
import { areSameBytes, giveToAsset, hasSha256, holdLive } from '../../placement/ledger/object-sql.ts'
import { markForPurge } from '../../placement/lifecycle/purge.ts'
import type { Placement } from '../../placement/placement.ts'
import { ingestStaged } from '../../placement/uploads/ingest.ts'
import { hasCopySince, lookEverywhere } from '../../placement/uploads/look-everywhere.ts'
import { hasCopyNow } from '../../placement/uploads/safe-copies.ts'
import type { StagedFile } from '../../placement/uploads/stage.ts'
import type { Actor } from '../access.ts'
import { AssetIsGone, lockAsset } from '../assets/asset-files.ts'
import { enqueueProcessing } from '../assets/enqueue-processing.ts'
import { deletedAtThisMoment, type KnownAsset } from './duplicates.ts'

type Parts = { db: Database; placement: Placement }

/** Another sidecar came first; thrown so that ours leaves nothing behind. */
class AnotherSidecarArrived extends Error {}

/** Makes a staged sidecar an object; `link` runs in the transaction that proves it. */
export function ingestSidecar(
  placement: Placement,
  actor: Pick<Actor, 'userId'>,
  assetId: string,
  staged: StagedFile,
  link: (tx: Tx, objectId: string) => Promise<void>,
): Promise<string> {
  return ingestStaged(
    placement,
    {
      kind: 'sidecar',
      ownerId: actor.userId,
      assetId,
      contentType: 'application/xml',
      extension: 'xmp',
      staged,
    },
    async (tx, objectId) => {
      await link(tx, objectId)
      return objectId
    },
  )
}

/**
 * A sidecar that arrives for a file already here (a first try may have died before it) is kept if there is
 * none yet, and in place of one that is lost.
 * @throws AppError unavailable where that can't be told now; conflict where the asset was deleted meanwhile
 */
export async function keepSidecar(
  { db, placement }: Parts,
  actor: Pick<Actor, 'userId'>,
  known: KnownAsset,
  sidecar: StagedFile,
): Promise<void> {
  if (!(await isWanted({ db, placement }, known, sidecar.sha256))) return
  await unlessAnotherArrived(() =>
    ingestSidecar(placement, actor, known.id, sidecar, (tx, objectId) =>
      linkToKnown(tx, actor, known, objectId),
    ),
  )
}

/**
 * As `keepSidecar`, of one that is an object already: its upload lost a race against another one of the same
 * original, which made the asset. What is not kept is purged.
 */
export async function giveSidecar(
  { db, placement }: Parts,
  actor: Pick<Actor, 'userId'>,
  known: KnownAsset,
  { objectId, sha256 }: { objectId: string; sha256: Buffer },
): Promise<void> {
  try {
    const isKept =
      (await isWanted({ db, placement }, known, sha256)) &&
      (await unlessAnotherArrived(() =>
        db.transaction().execute(async (tx) => {
          // Its replicas to come are found beside those of the asset that it belongs to.
          await giveToAsset(tx, objectId, known.id)
          await linkToKnown(tx, actor, known, objectId)
        }),
      ))
    if (!isKept) await refuseSidecar(db, objectId)
  } catch (error) {
    // Of ours nothing was committed; of another one that is not known, and the daily sweep decides.
    if (isAppError(error)) await refuseSidecar(db, objectId)
    throw error
  }
}

/** One that no asset was given. */
export async function refuseSidecar(db: Database, objectId: string): Promise<void> {
  await db.transaction().execute((tx) => markForPurge(tx, [objectId], 'refused'))
}

/** False where another one was first. @throws AppError conflict where the asset was deleted meanwhile */
async function unlessAnotherArrived(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act()
    return true
  } catch (error) {
    if (error instanceof AssetIsGone) throw deletedAtThisMoment()
    if (error instanceof AnotherSidecarArrived) return false
    throw error
  }
}

/**
 * Whether a sidecar is to be kept: there is none yet, or the one that is here is certainly lost. The same
 * bytes are taken whenever the present ones have no copy: those are looked at before they go.
 * @throws AppError unavailable where the present one, of other bytes, can't be looked at now
 */
async function isWanted({ db, placement }: Parts, known: KnownAsset, sha256: Buffer): Promise<boolean> {
  const { sidecarId: present } = known
  if (present === null) return true
  if (await hasCopyNow(placement, present)) return false
  if (await hasSha256(db, present, sha256)) return true
  const look = await lookEverywhere(placement, present)
  if (look.answer !== 'unknown') return look.answer === 'different'
  throw notReplaced(look.reason)
}

function notReplaced(reason: string): AppError {
  return new AppError(
    'unavailable',
    "sidecarData: the photo is safe, but it has another sidecar, which can't be looked at now and was not replaced " +
      `(${reason}). Send it again when "glassine storage status" finds nothing wrong with the location of that sidecar, or send the photo alone.`,
  )
}

/**
 * In the place of the one that was known of the asset. @throws AssetIsGone, AnotherSidecarArrived, AppError
 */
async function linkToKnown(
  tx: Tx,
  actor: Pick<Actor, 'userId'>,
  { id, sidecarId: instead }: KnownAsset,
  objectId: string,
): Promise<void> {
  await lockAsset(tx, id)
  if (instead === null) await linkSidecar(tx, id, objectId)
  else await replaceSidecar(tx, id, { instead, objectId })
  await enqueueProcessing(tx, { id, ownerId: actor.userId })
}

/**
 * @throws AnotherSidecarArrived; AppError unavailable where it was taken for left over while its photo
 * arrived
 */
export async function linkSidecar(tx: Tx, assetId: string, objectId: string): Promise<void> {
  await requireHeld(tx, objectId)
  const inserted = await tx
    .insertInto('asset_file')
    .values({ asset_id: assetId, kind: 'sidecar', object_id: objectId, width: null, height: null })
    .onConflict((conflict) => conflict.columns(['asset_id', 'kind']).doNothing())
    .returning('asset_id')
    .executeTakeFirst()
  if (!inserted) throw new AnotherSidecarArrived()
}

/** A sweep takes one that nothing refers to for a day for left over; a clock may have been a day ahead. */
async function requireHeld(tx: Tx, objectId: string): Promise<void> {
  if (await holdLive(tx, objectId)) return
  throw new AppError('unavailable', 'sidecarData: it was given up while the photo arrived; send both again')
}

/**
 * The one that it stands for from now on is purged. Other bytes are what the user wants; the same bytes are
 * looked at before the old ones go. @throws AnotherSidecarArrived; AppError unavailable where the old one has
 * got a copy meanwhile
 */
async function replaceSidecar(
  tx: Tx,
  assetId: string,
  { instead, objectId }: { instead: string; objectId: string },
): Promise<void> {
  await requireHeld(tx, objectId)
  const replaced = await tx
    .updateTable('asset_file')
    .set({ object_id: objectId })
    .where('asset_id', '=', assetId)
    .where('object_id', '=', instead)
    .executeTakeFirst()
  if (replaced.numUpdatedRows !== 1n) throw new AnotherSidecarArrived()
  const isSame = await areSameBytes(tx, instead, objectId)
  if (!isSame && (await hasCopySince(tx, instead))) throw notReplaced('it was found at this moment')
  await markForPurge(tx, [instead], isSame ? 'duplicate' : 'replaced')
}
