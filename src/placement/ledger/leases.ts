/**
 * A lease on the local copy: while it stands, the copy is not evicted. It ends by itself, so that a dead
 * holder blocks nothing for ever.
 */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { Placement } from '../placement.ts'
import { enqueueNextSteps } from './next-steps.ts'
import { lockObjectRow } from './replicas.ts'

const PROCESSING = 'processing'
/** Long enough for the longest queue of uploads; the sweep enqueues the next steps of what it outlives. */
const PROCESSING_LEASE_MS = 7 * 24 * 3_600_000

export async function takeLease(
  tx: Queryable,
  objectId: string,
  purpose: string,
  durationMs: number,
): Promise<string> {
  const id = randomUUID()
  await tx
    .insertInto('local_lease')
    .values({
      id,
      object_id: objectId,
      purpose,
      expires_at: sql<Date>`now() + ${durationMs} * interval '1 millisecond'`,
    })
    .execute()
  return id
}

/**
 * Keeps a fresh original at hand until its previews are made, so that the bucket is not asked for it again.
 */
export async function takeProcessingLease(tx: Queryable, objectId: string): Promise<void> {
  await takeLease(tx, objectId, PROCESSING, PROCESSING_LEASE_MS)
}

/**
 * Processing is over, well or badly: the local copy may go when everything else allows it. Locks the object
 * before its lease, as the removal of the object does.
 */
export async function releaseProcessingLease(
  tx: Queryable,
  placement: Placement,
  objectId: string,
): Promise<void> {
  await lockObjectRow(tx, objectId)
  await tx
    .deleteFrom('local_lease')
    .where('object_id', '=', objectId)
    .where('purpose', '=', PROCESSING)
    .execute()
  await enqueueNextSteps(tx, placement, objectId)
}

/** In the same order as `releaseProcessingLease`. */
export async function releaseLease(placement: Placement, objectId: string, leaseId: string): Promise<void> {
  await placement.db.transaction().execute(async (tx) => {
    await lockObjectRow(tx, objectId)
    await tx.deleteFrom('local_lease').where('id', '=', leaseId).execute()
    await enqueueNextSteps(tx, placement, objectId)
  })
}
