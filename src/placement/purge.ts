/** The end of an object: the user's own decision, or an upload that never became an asset. All replicas go. */
import type { Queryable } from '../database/connect.ts'
import { enqueue } from '../queue/enqueue.ts'
import { RetryLater } from '../queue/retry-later.ts'
import { removeBytes } from './abandon.ts'
import { forgetObject } from './cache-store.ts'
import { finishClassChange } from './change-class.ts'
import { classChangesOf } from './class-changes.ts'
import { noteTrouble } from './health.ts'
import type { Placement } from './placement.ts'
import { forgetRecalled } from './recall.ts'
import { beginEviction, type EvictionPermit, forgetReplica, loadObject, type Replica } from './replicas.ts'

/**
 * Marks objects as purging, for good, in the caller's transaction, and enqueues their removal. Only for what the user has
 * decided to delete (trash time over, or deleted for good) and for generated files that were replaced.
 */
export async function markForPurge(tx: Queryable, objectIds: readonly string[]): Promise<void> {
  if (objectIds.length === 0) return
  await tx
    .updateTable('stored_object')
    .set({ state: 'purging' })
    .where('id', 'in', [...objectIds])
    .where('state', '=', 'live')
    .execute()
  for (const objectId of objectIds)
    await enqueue(tx, 'purge-object', { objectId }, { key: `purge:${objectId}` })
}

/** Removes every replica of a purging object, then the object. Idempotent; throws, to be run again, while a location is away. */
export async function purgeObject(placement: Placement, { objectId }: { objectId: string }): Promise<void> {
  const loaded = await loadObject(placement.db, objectId)
  // An earlier run was killed when the rows were gone: what is no replica may be left.
  if (loaded === null) return forgetCopies(placement, { id: objectId, size: null })
  if (loaded.object.state !== 'purging') return
  // What lies on this disk goes first, and waits for no bucket.
  await forgetCopies(placement, loaded.object)
  for (const replica of loaded.replicas) {
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
  for (const change of await classChangesOf(placement.db, objectId))
    await finishClassChange(placement, change)
  // They may have turned a replica to another key.
  const { replicas } = (await loadObject(placement.db, objectId)) ?? { replicas: [] }
  await removeAll(placement, objectId, replicas, 'purge')
}

/** Cached and recalled bytes, those of other processes too: the media volume is everybody's. */
async function forgetCopies(
  placement: Placement,
  object: { id: string; size: number | null },
): Promise<void> {
  if (placement.cache) await forgetObject(placement.cache, object)
  await forgetRecalled(placement, object.id)
}

/**
 * Undoes an ingest that did not become part of the library. A linked object is left alone: the commit that this process
 * believes failed may have happened. Never throws: what it can't finish, the sweep does.
 */
export async function discardObject(placement: Placement, objectId: string, actor: string): Promise<void> {
  try {
    const marked = await placement.db
      .updateTable('stored_object')
      .set({ state: 'purging' })
      .where('id', '=', objectId)
      .where('is_linked', '=', false)
      .executeTakeFirst()
    if (marked.numUpdatedRows !== 1n) return
    const loaded = await loadObject(placement.db, objectId)
    if (loaded) await removeAll(placement, objectId, loaded.replicas, actor)
  } catch (error) {
    placement.log.warn(
      { objectId, error: (error as Error).message },
      'an unfinished object is left to the sweep',
    )
  }
}

async function removeAll(
  placement: Placement,
  objectId: string,
  replicas: Replica[],
  actor: string,
): Promise<void> {
  let failure: { error: unknown } | undefined
  for (const replica of replicas) {
    if (replica.state !== 'evicting') {
      await beginEviction(placement.db, { replica, actor } as unknown as EvictionPermit)
    }
    try {
      await removeBytes(placement, replica)
    } catch (error) {
      // A bucket that is away does not keep the disk full.
      await noteTrouble(placement, replica.locationId, error)
      failure ??= { error }
      continue
    }
    await forgetReplica(placement.db, replica)
  }
  if (failure) throw failure.error
  const gone = await placement.db
    .deleteFrom('stored_object')
    .where('id', '=', objectId)
    .where('state', '=', 'purging')
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('replica').select('key').where('object_id', '=', objectId))),
    )
    .executeTakeFirst()
  if (gone.numDeletedRows === 0n && (await loadObject(placement.db, objectId)) !== null)
    throw new RetryLater(`a replica of ${objectId} changed while it was removed`, 1_000)
}
