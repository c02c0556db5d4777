/** Restores that were asked for, followed until their copy is gone again. */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { jobExists } from '../../queue/find-jobs.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { loadObject, noteClass } from '../ledger/replicas.ts'
import { confirmLocation, locationOf, lookAtLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { cancelRestore, forgetRestore } from './archive.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
/** How many are asked after in one run; the next follows a minute later. */
const CHECKS_AT_ONCE = 200
/**
 * So long after its time a restore is given up: it was lost there, never accepted, or the archive is slow
 * beyond all promises.
 */
const OVERDUE_MS = 3 * DAY_MS

/**
 * Asks after the restores that are due: one HEAD each. Those that are there now are announced, those that are
 * gone again forgotten; what no location has accepted yet is asked for again, and at last taken back. An
 * archived object that is missing makes its replica suspect. Returns how many changed.
 */
export async function checkRestores(placement: Placement, signal?: AbortSignal): Promise<number> {
  return (await pursueUnaccepted(placement)) + (await checkAccepted(placement, signal))
}

/**
 * `restore-replica` gives up after some days; the person who asked for the restore must not wait for ever.
 */
async function pursueUnaccepted(placement: Placement): Promise<number> {
  const { rows } = await sql<{ objectId: string; locationId: string; expectedAt: Date }>`
    select a.object_id as "objectId", a.location_id as "locationId", a.expected_at as "expectedAt" from replica_restore a
    where a.accepted_at is null and (a.expected_at < ${overdueBefore(placement)} or not ${jobExists('restore-replica', { objectId: sql`a.object_id`, at: sql`a.location_id` }, { orDead: false })})
    order by a.requested_at limit ${CHECKS_AT_ONCE}`.execute(placement.db)
  let takenBack = 0
  for (const { objectId, locationId, expectedAt } of rows) {
    const what = { objectId, location: locationId }
    if (expectedAt < overdueBefore(placement)) {
      await cancelRestore(placement, { objectId, locationId })
      placement.log.error(what, 'a restore that the location never accepted is given up; ask for it again')
      takenBack += 1
    } else {
      await enqueue(placement.db, 'restore-replica', { objectId, at: locationId })
      placement.log.warn(what, 'a restore that was given up is asked for again')
    }
  }
  return takenBack
}

function overdueBefore(placement: Placement): Date {
  return new Date(placement.now().getTime() - OVERDUE_MS)
}

async function checkAccepted(placement: Placement, signal: AbortSignal | undefined): Promise<number> {
  const due = await placement.db
    .selectFrom('replica_restore')
    .select(['object_id', 'location_id'])
    .where('check_at', '<=', placement.now())
    .where('accepted_at', 'is not', null)
    .orderBy('check_at')
    .limit(CHECKS_AT_ONCE)
    .execute()
  let changed = 0
  for (const row of due) {
    if (signal?.aborted) break
    try {
      changed += (await checkRestore(placement, row.object_id, row.location_id)) ? 1 : 0
    } catch (error) {
      placement.log.warn(
        { objectId: row.object_id, location: row.location_id, error: (error as Error).message },
        'a restore could not be asked after',
      )
      await checkAgain(
        placement.db,
        { objectId: row.object_id, locationId: row.location_id },
        later(placement, 5),
      )
    }
  }
  return changed
}

/** True where its state became another one. */
async function checkRestore(placement: Placement, objectId: string, locationId: string): Promise<boolean> {
  const loaded = await loadObject(placement.db, objectId)
  const replica = loaded?.replicas.find((one) => one.locationId === locationId)
  if (!loaded || !replica?.restore) return false
  const { restore } = replica
  const location = locationOf(placement, locationId)
  await (location.isReadOnly ? lookAtLocation : confirmLocation)(placement, location)
  // Twice: a bucket that lags behind says once that there is nothing.
  const held = (await location.backend.head(replica.key)) ?? (await location.backend.head(replica.key))
  if (!held) {
    // Another bucket of that name, which came since the last look, holds none of it.
    await confirmLocationNow(placement, locationId)
    await noteBadReplica(placement, replica, {
      reason: 'nothing is held under the key',
      actor: 'job check-restores',
    })
    await forgetRestore(placement.db, replica)
    return true
  }
  await noteClass(placement.db, replica, held.storageClass)
  const until = held.restore?.availableUntil
  if (held.restore && !held.restore.isOngoing && until) {
    if (restore.availableUntil?.getTime() === until.getTime()) {
      await checkAgain(placement.db, replica, until)
      return false
    }
    await placement.db
      .transaction()
      .execute((tx) => announceRestored(tx, placement, loaded.object, replica, until))
    return true
  }
  const isLost = !held.restore && restore.expectedAt < overdueBefore(placement)
  if (isLost && restore.availableUntil === null)
    placement.log.error({ objectId, location: locationId }, 'a restore got lost; ask for it again')
  if (restore.availableUntil !== null || isLost) {
    await forgetRestore(placement.db, replica)
    return true
  }
  await checkAgain(placement.db, replica, later(placement, pollMinutes(restore)))
  return false
}

async function announceRestored(
  tx: Queryable,
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  until: Date,
): Promise<void> {
  await tx
    .updateTable('replica_restore')
    .set({ available_until: until, check_at: until })
    .where('object_id', '=', object.id)
    .where('location_id', '=', replica.locationId)
    .execute()
  if (object.assetId !== null) {
    const { assetId, ownerId: userId } = object
    await publish(tx, { type: 'original-restored', assetId, userId, availableUntil: until.toISOString() })
  }
  // Work that waited for its bytes: a replica elsewhere, another class.
  await enqueueNextSteps(tx, placement, object.id)
}

/**
 * A twentieth of the time that it takes, from a minute to half an hour: a restore is seen soon, for few
 * requests.
 */
function pollMinutes({ requestedAt, expectedAt }: { requestedAt: Date; expectedAt: Date }): number {
  const wholeMinutes = (expectedAt.getTime() - requestedAt.getTime()) / MINUTE_MS
  return Math.min(30, Math.max(1, wholeMinutes / 20))
}

function later(placement: Placement, minutes: number): Date {
  return new Date(placement.now().getTime() + minutes * MINUTE_MS)
}

async function checkAgain(
  db: Queryable,
  { objectId, locationId }: { objectId: string; locationId: string },
  at: Date,
): Promise<void> {
  await db
    .updateTable('replica_restore')
    .set({ check_at: at })
    .where('object_id', '=', objectId)
    .where('location_id', '=', locationId)
    .execute()
}
