/**
 * The end of an object: the user's own decision, or an upload that never became an asset. All replicas go.
 */
import type { Selectable } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import type { PurgeReason, Schema } from '../../database/schema.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { forgetObject } from '../cache/store.ts'
import { finishClassChange } from '../classes/change-class.ts'
import { classChangesOf } from '../classes/class-changes.ts'
import { unnamedKeysOf } from '../classes/unnamed-keys.ts'
import { keepDuplicateBytes } from '../ledger/keys-to-clear.ts'
import type { Replica } from '../ledger/objects.ts'
import {
  areStillVerified,
  beginEviction,
  forgetReplica,
  type Leave,
  loadObject,
  lockObject,
  renewEviction,
} from '../ledger/replicas.ts'
import { noteTrouble } from '../locations/health.ts'
import type { Placement } from '../placement.ts'
import { forgetRecalled } from '../reads/recall.ts'
import { decideRemoval, removeCandidate } from '../removal/remove.ts'

/**
 * Marks objects as purging, for good, in the caller's transaction, and enqueues their removal. `user`:
 * somebody deleted them, or their time in the trash is over. `replaced`: generated files, or a picture or
 * sidecar that a newer one stands for. `refused`: the sender was told that the upload came to nothing.
 * `duplicate`: the same bytes are kept as another object, which is looked at before these go; when that one
 * is deleted by its owner, these go with it.
 */
export async function markForPurge(
  tx: Queryable,
  objectIds: readonly string[],
  reason: PurgeReason,
): Promise<void> {
  if (objectIds.length === 0) return
  await tx
    .updateTable('stored_object')
    .set({ state: 'purging', purge_reason: reason })
    .where('id', 'in', [...objectIds])
    .where('state', '=', 'live')
    .execute()
  for (const objectId of objectIds) await enqueue(tx, 'purge-object', { objectId })
}

/**
 * Removes every replica of a purging object, then the object. Idempotent; throws, to be run again, while a
 * location is away.
 */
export async function purgeObject(placement: Placement, { objectId }: { objectId: string }): Promise<void> {
  const loaded = await loadObject(placement.db, objectId)
  // An earlier run was killed when the rows were gone: what is no replica may be left.
  if (loaded === null) return forgetCopies(placement, { id: objectId, size: null })
  if (loaded.object.state !== 'purging') return
  // What lies on this disk goes first, and waits for no bucket.
  await forgetCopies(placement, loaded.object)
  for (const replica of loaded.replicas) {
    if (isLeftThere(placement, replica.locationId)) continue
    const writableMs = replica.writableLeftMs ?? 0
    // Bytes removed before then could be put there again, and no row would say so.
    if (writableMs > 0) throw new RetryLater(`a URL may still put to ${replica.locationId}`, writableMs)
    if (replica.state === 'writing' && (replica.leaseLeftMs ?? 0) > 0) {
      throw new RetryLater(
        `a replica at ${replica.locationId} is being written`,
        placement.settings.writeLeaseMs / 10,
      )
    }
  }
  let failure: Failure
  const unfinished = new Set<string>()
  const isLeft = (at: { locationId: string }) => isLeftThere(placement, at.locationId)
  for (const change of await classChangesOf(placement.db, objectId)) {
    if (isLeft(change)) continue
    try {
      await finishClassChange(placement, change)
    } catch (error) {
      // What is locked there for months keeps no copy anywhere else.
      await noteTrouble(placement, change.locationId, error)
      unfinished.add(change.locationId)
      failure ??= { error }
    }
  }
  // They may have turned a replica to another key.
  const { replicas } = (await loadObject(placement.db, objectId)) ?? { replicas: [] }
  const removable = replicas.filter((one) => !unfinished.has(one.locationId) && !isLeft(one))
  const left = replicas.filter(isLeft).map(({ locationId }) => locationId)
  await removeAll(placement, objectId, removable, { actor: 'purge', earlier: failure, left })
}

/**
 * Of a read-only place, what is deleted stays for now, and so does the row that names it: forgotten, it would
 * lie there as a file that nobody knows, and an adoption would bring it back. The sweep goes on when
 * something may be removed there again.
 */
function isLeftThere({ locations }: Placement, locationId: string): boolean {
  const location = locations.get(locationId)
  return location?.isReadOnly === true && !location.isOfOriginal
}

/** The first of several; the others are met again by the next run. */
type Failure = { error: unknown } | undefined

/** Cached and recalled bytes, those of other processes too: the media volume is everybody's. */
async function forgetCopies(
  placement: Placement,
  object: { id: string; size: number | null },
): Promise<void> {
  if (placement.cache) await forgetObject(placement.cache, object)
  await forgetRecalled(placement, object.id)
}

/**
 * Undoes an ingest of this process that did not become part of the library: its sender is told so. A linked
 * object is left alone: the commit that this process believes failed may have happened. Never throws: what it
 * can't finish, the sweep does.
 */
export async function discardObject(placement: Placement, objectId: string, actor: string): Promise<void> {
  try {
    const marked = await placement.db
      .updateTable('stored_object')
      .set({ state: 'purging', purge_reason: 'refused' })
      .where('id', '=', objectId)
      .where('is_linked', '=', false)
      .executeTakeFirst()
    if (marked.numUpdatedRows !== 1n) return
    const loaded = await loadObject(placement.db, objectId)
    const left = (loaded?.replicas ?? []).some((one) => isLeftThere(placement, one.locationId))
    if (loaded && !left) await removeAll(placement, objectId, loaded.replicas, { actor })
  } catch (error) {
    placement.log.warn(
      { objectId, error: (error as Error).message },
      'an unfinished object is left to the sweep',
    )
  }
}

/**
 * An object of which nothing is anywhere, as far as this ledger knows: its row goes. Under its lock, for an
 * adoption may find its bytes at this moment; then it stays. `unsure`: something of it may lie under a key
 * that is still looked after, and that without the row would be cleared unseen.
 */
export async function discardEmptyObject(
  placement: Pick<Placement, 'db'>,
  objectId: string,
): Promise<'discarded' | 'unsure' | 'found'> {
  return placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, objectId)
    if (now?.replicas.length !== 0) return 'found'
    if ((await unnamedKeysOf(tx, objectId, [])).length > 0) return 'unsure'
    await markForPurge(tx, [objectId], 'duplicate')
    return 'discarded'
  })
}

async function removeAll(
  placement: Placement,
  objectId: string,
  replicas: Replica[],
  { actor, earlier, left = [] }: { actor: string; earlier?: Failure; left?: readonly string[] },
): Promise<void> {
  let failure = earlier
  for (const replica of replicas) {
    try {
      const decision = await decideRemoval(placement, replica, { first: 'own', actor })
      if (decision.do !== 'remove')
        throw new RetryLater(`the other copy of ${objectId} can't be confirmed: this one stays`, 3_600_000)
      await turnToEvicting(placement, replica, decision, actor)
      await removeCandidate(placement, replica, decision)
    } catch (error) {
      // A bucket that is away does not keep the disk full.
      await noteTrouble(placement, replica.locationId, error)
      failure ??= { error }
      continue
    }
    await forgetReplica(placement.db, replica)
  }
  if (failure) throw failure.error
  if (left.length > 0) {
    placement.log.info({ objectId, locations: left }, 'deleted, but left at a read-only location')
    return
  }
  const isGone = await placement.db.transaction().execute((tx) => forgetPurged(tx, objectId))
  if (!isGone && (await loadObject(placement.db, objectId)) !== null)
    throw new RetryLater(`a replica of ${objectId} changed while it was removed`, 1_000)
}

/** The row of an object without replicas. False: it has one, or is gone. */
async function forgetPurged(tx: Tx, objectId: string): Promise<boolean> {
  const gone = await tx
    .deleteFrom('stored_object')
    .where('id', '=', objectId)
    .where('state', '=', 'purging')
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('replica').select('key').where('object_id', '=', objectId))),
    )
    .returning(['owner_id', 'kind', 'size', 'sha256', 'purge_reason'])
    .executeTakeFirst()
  if (gone?.purge_reason === 'user') await decideDuplicatesOf(tx, gone)
  if (gone?.purge_reason === 'duplicate') {
    const { owner_id: ownerId, kind, size, sha256 } = gone
    await keepDuplicateBytes(tx, objectId, { ownerId, kind, size, sha256 })
  }
  return gone !== undefined
}

type Bytes = Pick<Selectable<Schema['stored_object']>, 'owner_id' | 'kind' | 'size' | 'sha256'>

/**
 * What waits for another copy of bytes that their owner has deleted, and would wait for ever: the decision is
 * about the bytes, so it is about these as well, unless the library refers to yet another object with them.
 * Asked when the row goes, when nobody can become its duplicate any more: of two twins that are deleted at
 * the same moment each would see the other alive.
 */
async function decideDuplicatesOf(tx: Tx, { owner_id, kind, size, sha256 }: Bytes): Promise<void> {
  const decided = await tx
    .updateTable('stored_object')
    .set({ purge_reason: 'user' })
    .where((where) =>
      where.and({ owner_id, kind, size, sha256, state: 'purging', purge_reason: 'duplicate' }),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('stored_object as twin')
            .select('twin.id')
            .where((where) =>
              where.and({
                'twin.owner_id': owner_id,
                'twin.kind': kind,
                'twin.size': size,
                'twin.sha256': sha256,
                'twin.state': 'live',
                'twin.is_linked': true,
              }),
            ),
        ),
      ),
    )
    .returning('id')
    .execute()
  for (const { id } of decided) await enqueue(tx, 'purge-object', { objectId: id })
}

/**
 * Under the object's lock, also where it was turned before: another run of the same purge may have relied on
 * this replica meanwhile, and be giving up those that this one relies on. Of a live object the database sees
 * to that. @throws RetryLater
 */
async function turnToEvicting(
  placement: Placement,
  replica: Replica,
  decision: Leave,
  actor: string,
): Promise<void> {
  const isTurned = await placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, replica.objectId)
    if (!areStillVerified(decision.confirmed, now?.replicas ?? [])) return false
    const turn = replica.state === 'evicting' ? renewEviction : beginEviction
    return turn(tx, replica, { decision, actor })
  })
  if (!isTurned)
    throw new RetryLater(`the copies of ${replica.objectId} changed while they were looked at`, 1_000)
}
