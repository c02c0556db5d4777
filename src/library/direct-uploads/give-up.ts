/** How a direct upload ends that becomes no asset. */
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { Placement } from '../../placement/placement.ts'
import { mayBeAcknowledgedSince } from '../../placement/removal/waits.ts'
import { abandonWrite, assertNoOtherLedgerOf } from '../../placement/uploads/direct-write.ts'
import type { Actor } from '../access.ts'
import { loadUpload } from './rows.ts'

/**
 * Gives an upload up that is no asset yet; a confirmed one, for want of its place, may be what nobody can
 * prove. An administrator gives up those of others, too, once they are confirmed. Idempotent.
 * @throws AppError not-found, conflict when it has become an asset, or ended otherwise, or its place has
 *   another ledger
 */
export async function giveUpUpload(placement: Placement, actor: Actor, uploadId: string): Promise<void> {
  const { db } = placement
  const { upload, write } = await loadUpload(db, actor, uploadId, { isForAdmin: actor.isAdmin })
  if (upload.state === 'abandoned') return
  // There it may be a photo. When the place was taken over, its proof goes on by itself.
  if (write !== null) await assertNoOtherLedgerOf(placement, write)
  const reason = upload.owner_id === actor.userId ? 'you gave it up' : 'an administrator gave it up'
  // Its proof and `done` are one transaction: what is not done was never an asset, as far as this ledger
  // knows. Where it may be older than the bytes, they are looked at. Parts become an object only after their
  // confirmation: where an open upload has one, it was acknowledged.
  const isOld = write === null || (await mayBeAcknowledgedSince(placement, write))
  const isLookedAt = isOld || upload.part_bytes !== null
  if (await endUpload(db, uploadId, 'abandoned', reason, { isLookedAt })) return
  if (await endUpload(db, uploadId, 'abandoned', reason, { from: 'received', isLookedAt: isOld })) return
  const { state } = (await loadUpload(db, { userId: upload.owner_id }, uploadId)).upload
  if (state === 'abandoned') return
  throw new AppError(
    'conflict',
    state === 'done' || state === 'duplicate'
      ? 'this upload is an asset already; delete that instead'
      : `this upload is ${state}`,
  )
}

/** Gives up all that a user has under way, who is being removed. */
export async function giveUpUploadsOf(db: Database, userId: string, reason: string): Promise<void> {
  const uploads = await db
    .selectFrom('direct_upload')
    .select('id')
    .where('owner_id', '=', userId)
    .where('state', 'in', ['open', 'received'])
    .execute()
  for (const { id } of uploads)
    for (const from of ['open', 'received'] as const)
      if (await endUpload(db, id, 'abandoned', reason, { from })) break
}

/** The end of the rows of a user's uploads. False, and nothing is changed, where one is under way. */
export async function forgetUploadsOf(tx: Tx, userId: string): Promise<boolean> {
  const underWay = await tx
    .selectFrom('direct_upload')
    .select('id')
    .where('owner_id', '=', userId)
    .where('state', 'in', ['open', 'received'])
    .limit(1)
    .executeTakeFirst()
  if (underWay !== undefined) return false
  await tx.deleteFrom('direct_upload').where('owner_id', '=', userId).execute()
  return true
}

/**
 * open or received -> failed or abandoned, and its object is purged. False when it is not, or no longer, in
 * `from`. `isLookedAt`: nobody has decided that its bytes go, and this ledger may be older than they are;
 * right ones stay until the same file is safe as another object.
 */
export async function endUpload(
  db: Database,
  uploadId: string,
  state: 'failed' | 'abandoned',
  reason: string,
  {
    from = state === 'failed' ? 'received' : 'open',
    isLookedAt = false,
  }: { from?: 'open' | 'received'; isLookedAt?: boolean } = {},
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const ended = await tx
      .updateTable('direct_upload')
      .set({ state, reason, ended_at: sql<Date>`now()` })
      .where('id', '=', uploadId)
      .where('state', '=', from)
      .returning('object_id')
      .executeTakeFirst()
    if (!ended) return false
    // Its job may be making an object of the parts at this moment.
    const isBeingProven = from === 'received' && state === 'abandoned'
    await abandonWrite(tx, ended.object_id, { reason: isLookedAt ? 'duplicate' : 'refused', isBeingProven })
    return true
  })
}
