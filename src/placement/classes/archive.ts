/**
 * Archived originals: the bytes are safe and can be proven, but must be restored before they can be read.
 * What counts stays in the archive; a restore makes a readable copy beside it that the location removes again
 * after some days.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { AppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'
import { knownKey } from '../keys.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { isReadableNow, isReadableNowSql, loadObject, noteClass } from '../ledger/replicas.ts'
import { whyReadOnly } from '../location.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { isArchiveClass, type RestoreTier, restoresOf } from '../storage-classes.ts'

/** `restored`: a readable copy is there until `availableUntil`. */
export type ArchiveState = {
  state: 'available' | 'archived' | 'restoring' | 'restored'
  storageClass: string | null
  requestedAt: string | null
  expectedAt: string | null
  availableUntil: string | null
}

const MINUTE_MS = 60_000

/** How an object stands for somebody who wants its bytes. */
export function archiveStateOf(placement: Placement, replicas: readonly Replica[]): ArchiveState {
  const verified = replicas.filter(({ state }) => state === 'verified')
  const archived = verified.find(({ storageClass }) => isArchiveClass(storageClass))
  const plain = verified.find(({ storageClass }) => !isArchiveClass(storageClass))
  const shown = plain ?? archived
  const restore = plain ? null : (archived?.restore ?? null)
  const state = () => {
    if (plain || !archived) return 'available'
    if (isReadableNow(placement, archived)) return 'restored'
    return restore && restore.availableUntil === null ? 'restoring' : 'archived'
  }
  return {
    state: state(),
    storageClass: shown?.storageClass ?? null,
    requestedAt: restore?.requestedAt.toISOString() ?? null,
    expectedAt: restore?.expectedAt.toISOString() ?? null,
    availableUntil: restore?.availableUntil?.toISOString() ?? null,
  }
}

/**
 * What to throw where the bytes are asked for and only archived replicas hold them; null where that is not
 * so.
 */
export function archivedError(
  placement: Placement,
  object: Pick<StoredObject, 'id'>,
  replicas: readonly Replica[],
): AppError | null {
  const archive = archiveStateOf(placement, replicas)
  if (archive.state !== 'archived' && archive.state !== 'restoring') return null
  const message =
    archive.state === 'restoring'
      ? `The original is being restored from the archive; it is expected by ${archive.expectedAt}`
      : 'The original is archived: it is safe, and must be restored before it can be opened'
  return new AppError('archived', message, { details: { archive: { objectId: object.id, ...archive } } })
}

/**
 * A read was refused with `archived`: the ledger learns the class, or that the restored copy is gone. Where
 * the location can't be asked now, the next read learns it; the reader goes on to other replicas.
 */
export async function noteArchived(placement: Placement, replica: Replica): Promise<void> {
  try {
    const held = await locationOf(placement, replica.locationId).backend.head(replica.key)
    if (!held) return
    await noteClass(placement.db, replica, held.storageClass)
    if (replica.restore?.availableUntil && !held.restore) await forgetRestore(placement.db, replica)
  } catch (error) {
    placement.log.warn(
      { objectId: replica.objectId, location: replica.locationId, error: (error as Error).message },
      'the class of an archived replica could not be learnt',
    )
  }
}

/** The replica that would have to be restored, or null where the bytes can be had without. */
function replicaToRestore(placement: Placement, replicas: readonly Replica[]): Replica | null {
  const { state } = archiveStateOf(placement, replicas)
  if (state === 'available') return null
  return replicas.find((one) => one.state === 'verified' && isArchiveClass(one.storageClass)) ?? null
}

export type RestoreWish = { tier: RestoreTier; days: number; requestedBy: string | null }

/**
 * Writes down, in the caller's transaction, that the object's archived replica is to be restored;
 * `restore-replica` asks the location. Returns where, or null where there is nothing to restore or it is
 * under way. For one that is restored already, it is kept for `days` from now. Throws `invalid` for a tier
 * that the class does not offer.
 */
export async function requestRestore(
  tx: Queryable,
  placement: Placement,
  objectId: string,
  { tier, days, requestedBy }: RestoreWish,
): Promise<{ at: string } | null> {
  const loaded = await loadObject(tx, objectId)
  if (loaded?.object.state !== 'live') return null
  const replica = replicaToRestore(placement, loaded.replicas)
  if (!replica) return null
  const location = locationOf(placement, replica.locationId)
  if (location.isReadOnly)
    throw new AppError('conflict', `nothing is restored there: ${location.label} ${whyReadOnly(location)}`)
  const { provider } = location
  const restores = restoresOf(provider, replica.storageClass)
  const minutes = restores[tier]
  if (minutes === undefined) {
    const offered = Object.keys(restores).join(' or ')
    throw new AppError(
      'invalid',
      `tier: ${replica.storageClass} is not restored as ${tier}; write ${offered}`,
    )
  }
  if (replica.restore !== null && replica.restore.availableUntil === null) return null
  const now = placement.now()
  const wish = {
    tier,
    days,
    requested_at: now,
    requested_by: requestedBy,
    expected_at: new Date(now.getTime() + minutes * MINUTE_MS),
    accepted_at: null,
    check_at: now,
  }
  const isThere = isReadableNow(placement, replica)
  await tx
    .insertInto('replica_restore')
    .values({ object_id: objectId, location_id: replica.locationId, ...wish, available_until: null })
    .onConflict((conflict) =>
      conflict
        .columns(['object_id', 'location_id'])
        .doUpdateSet(isThere ? wish : { ...wish, available_until: null }),
    )
    .execute()
  return { at: replica.locationId }
}

/** Asks the location for the restore that was written down. Run again after any interruption it goes on. */
export async function restoreReplica(
  placement: Placement,
  { objectId, at }: { objectId: string; at: string },
): Promise<void> {
  const row = await placement.db
    .selectFrom('replica_restore as a')
    .innerJoin('replica as r', (join) =>
      join.onRef('r.object_id', '=', 'a.object_id').onRef('r.location_id', '=', 'a.location_id'),
    )
    .select(['r.key', 'a.tier', 'a.days', 'a.accepted_at'])
    .where('a.object_id', '=', objectId)
    .where('a.location_id', '=', at)
    .executeTakeFirst()
  if (!row || row.accepted_at !== null) return
  const location = locationOf(placement, at)
  if (location.isReadOnly) {
    placement.log.warn({ objectId, location: at }, 'a restore is given up: the place has become read-only')
    return cancelRestore(placement, { objectId, locationId: at })
  }
  await confirmLocation(placement, location)
  const { archive } = location.backend
  if (!archive) throw new AppError('unavailable', `${location.label} offers no restore from its archive`)
  try {
    await archive.restore(knownKey(row.key), { tier: row.tier, days: row.days })
  } catch (error) {
    // It said no, and would again: the wish is taken back, so that it can be made in another way.
    if (isRestoreRefused(error)) await cancelRestore(placement, { objectId, locationId: at })
    throw error
  }
  const now = placement.now()
  await placement.db
    .updateTable('replica_restore')
    .set({ accepted_at: now, check_at: now })
    .where('object_id', '=', objectId)
    .where('location_id', '=', at)
    .execute()
}

/** The location answered a restore with no, and would again. */
export function isRestoreRefused(error: unknown): error is Error {
  return isStorageError(error, 'denied') || isStorageError(error, 'not-found')
}

type At = { objectId: string; locationId: string }

/**
 * As if it had never been asked for; what was restored before stays so, until the location says otherwise.
 */
export async function cancelRestore(placement: Pick<Placement, 'db' | 'now'>, at: At): Promise<void> {
  const kept = await placement.db
    .updateTable('replica_restore')
    .set({ accepted_at: placement.now() })
    .where('object_id', '=', at.objectId)
    .where('location_id', '=', at.locationId)
    .where('available_until', 'is not', null)
    .executeTakeFirst()
  if (kept.numUpdatedRows === 0n) await forgetRestore(placement.db, at)
  const { assetId, ownerId: userId } = (await loadObject(placement.db, at.objectId))?.object ?? {}
  if (assetId && userId) await publish(placement.db, { type: 'restore-refused', assetId, userId })
}

export async function forgetRestore(db: Queryable, { objectId, locationId }: At): Promise<void> {
  await db
    .deleteFrom('replica_restore')
    .where('object_id', '=', objectId)
    .where('location_id', '=', locationId)
    .execute()
}

export type ArchivedObject = {
  objectId: string
  locationId: string
  size: number
  storageClass: string
  isRestoring: boolean
}

/** Which of these objects can't be read without a restore. In one query, for whole downloads. */
export async function archivedAmong(
  placement: Pick<Placement, 'db'>,
  objectIds: readonly string[],
): Promise<ArchivedObject[]> {
  const { rows } = await sql<ArchivedObject>`
    select o.id as "objectId", o.size, min(r.location_id) as "locationId", min(r.storage_class) as "storageClass",
      bool_or(a.object_id is not null and a.available_until is null) as "isRestoring"
    from stored_object o join replica r on r.object_id = o.id
      left join replica_restore a on a.object_id = r.object_id and a.location_id = r.location_id
    where o.id = any(${[...objectIds]}::uuid[]) and r.state = 'verified'
    group by o.id
    having not bool_or(${isReadableNowSql})`.execute(placement.db)
  return rows
}

/** Archived objects whose restored copy can be read now, those whose copy goes first before others. */
export async function restoredNow(db: Queryable, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('replica_restore')
    .select('object_id')
    .where('available_until', '>', sql<Date>`now()`)
    .orderBy('available_until')
    .limit(limit)
    .execute()
  return rows.map((row) => row.object_id)
}

export type RestoresAmong = {
  restoring: number
  /** When the last one is expected. */
  expectedAt: string | null
  restored: number
  /** When the first readable copy goes. */
  availableUntil: string | null
}

/** How the restores of these objects stand. */
export async function restoresAmong(
  placement: Pick<Placement, 'now' | 'db'>,
  objectIds: readonly string[],
): Promise<RestoresAmong> {
  const { rows } = await sql<{
    restoring: number
    expectedAt: Date | null
    restored: number
    availableUntil: Date | null
  }>`
    select count(*) filter (where available_until is null)::int as restoring,
      max(expected_at) filter (where available_until is null) as "expectedAt",
      count(*) filter (where available_until > ${placement.now()})::int as restored,
      min(available_until) filter (where available_until > ${placement.now()}) as "availableUntil"
    from replica_restore where object_id = any(${[...objectIds]}::uuid[])`.execute(placement.db)
  const { restoring, expectedAt, restored, availableUntil } = rows[0]!
  return {
    restoring,
    expectedAt: expectedAt?.toISOString() ?? null,
    restored,
    availableUntil: availableUntil?.toISOString() ?? null,
  }
}
