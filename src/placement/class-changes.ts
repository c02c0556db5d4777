/** The rows of `class_change`: reads and moves, one function each. The database's guards stand behind them. */
import { type Selectable, sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import type { Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import type { ObjectKey } from '../storage/backend.ts'
import { knownKey } from './keys.ts'
import type { Proof } from './replicas.ts'
import type { ProofLevel } from './states.ts'

export type ClassChange = {
  objectId: string
  locationId: string
  fromKey: ObjectKey
  toKey: ObjectKey
  toClass: string
  /** The bytes that go; null: the copy is still being made. */
  doomedKey: ObjectKey | null
}
export type StandingClassChange = ClassChange & { leaseExpiresAt: Date }

export async function findClassChange(
  db: Queryable,
  objectId: string,
  locationId: string,
): Promise<StandingClassChange | null> {
  const changes = await classChangesOf(db, objectId)
  return changes.find((change) => change.locationId === locationId) ?? null
}

/** Those of one object, one for a location at most. */
export async function classChangesOf(db: Queryable, objectId: string): Promise<StandingClassChange[]> {
  const rows = await db.selectFrom('class_change').selectAll().where('object_id', '=', objectId).execute()
  return rows.map(fromRow)
}

/** Those of dead writers, and those that only wait for their bytes to go, of any object. */
export async function staleClassChanges(db: Queryable, limit: number): Promise<StandingClassChange[]> {
  const rows = await db
    .selectFrom('class_change')
    .selectAll()
    .where('lease_expires_at', '<', sql<Date>`now()`)
    .limit(limit)
    .execute()
  return rows.map(fromRow)
}

function fromRow(row: Selectable<Schema['class_change']>): StandingClassChange {
  return {
    objectId: row.object_id,
    locationId: row.location_id,
    fromKey: knownKey(row.from_key),
    toKey: knownKey(row.to_key),
    toClass: row.to_class,
    doomedKey: row.doomed_key === null ? null : knownKey(row.doomed_key),
    leaseExpiresAt: row.lease_expires_at,
  }
}

/** The intent, committed before the copy is asked for. False when another one is under way. */
export async function beginClassChange(
  db: Queryable,
  change: ClassChange,
  { actor, leaseMs }: { actor: string; leaseMs: number },
): Promise<boolean> {
  const result = await db
    .insertInto('class_change')
    .values({
      object_id: change.objectId,
      location_id: change.locationId,
      from_key: change.fromKey,
      to_key: change.toKey,
      to_class: change.toClass,
      doomed_key: null,
      lease_expires_at: leaseEnd(leaseMs),
      actor,
    })
    .onConflict((conflict) => conflict.columns(['object_id', 'location_id']).doNothing())
    .executeTakeFirst()
  return result.numInsertedOrUpdatedRows === 1n
}

/** The writer is alive. False: somebody has taken it for dead. */
export async function renewClassLease(db: Queryable, change: ClassChange, leaseMs: number): Promise<boolean> {
  const result = await db
    .updateTable('class_change')
    .set({ lease_expires_at: leaseEnd(leaseMs) })
    .where('object_id', '=', change.objectId)
    .where('location_id', '=', change.locationId)
    .where('to_key', '=', change.toKey)
    .where('doomed_key', 'is', null)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** The replica becomes its proven copy. Throws `conflict` when it was given up, or the change taken for dead, meanwhile. */
export async function turnToCopy(
  tx: Queryable,
  change: ClassChange,
  proven: { level: ProofLevel; proof: Proof; actor: string },
): Promise<void> {
  const result = await tx
    .updateTable('replica')
    .set({
      key: change.toKey,
      storage_class: change.toClass,
      class_since: sql<Date>`now()`,
      proof_level: proven.level,
      proof: JSON.stringify(proven.proof),
      verified_at: sql<Date>`now()`,
      actor: proven.actor,
    })
    .where('object_id', '=', change.objectId)
    .where('location_id', '=', change.locationId)
    .where('key', '=', change.fromKey)
    .where('state', '=', 'verified')
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('class_change as c')
          .select('c.to_key')
          .whereRef('c.object_id', '=', 'replica.object_id')
          .whereRef('c.location_id', '=', 'replica.location_id')
          .where('c.to_key', '=', change.toKey)
          .where('c.doomed_key', 'is', null),
      ),
    )
    .executeTakeFirst()
  if (result.numUpdatedRows === 1n) {
    // Of the old bytes; the copy is another object to the location.
    await tx
      .deleteFrom('replica_restore')
      .where('object_id', '=', change.objectId)
      .where('location_id', '=', change.locationId)
      .execute()
    return
  }
  throw new AppError(
    'conflict',
    `the replica of ${change.objectId} at ${change.locationId} changed while its class was changed`,
  )
}

/** Decides, for good, which of the two keys goes. The database refuses the one that the replica names. */
export async function doomKey(tx: Queryable, change: ClassChange, key: ObjectKey): Promise<void> {
  await tx
    .updateTable('class_change')
    // Its lease says no more than when the sweep may look after it.
    .set({ doomed_key: key, lease_expires_at: leaseEnd(60_000) })
    .where('object_id', '=', change.objectId)
    .where('location_id', '=', change.locationId)
    .where('to_key', '=', change.toKey)
    .execute()
}

/** After the doomed bytes are gone. */
export async function forgetClassChange(db: Queryable, change: ClassChange): Promise<void> {
  await db
    .deleteFrom('class_change')
    .where('object_id', '=', change.objectId)
    .where('location_id', '=', change.locationId)
    .where('to_key', '=', change.toKey)
    .where('doomed_key', 'is not', null)
    .execute()
}

/** By the database's clock: pods' clocks differ. */
function leaseEnd(leaseMs: number) {
  return sql<Date>`now() + ${leaseMs} * interval '1 millisecond'`
}
