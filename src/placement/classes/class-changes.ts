/**
 * The rows of `class_change`: reads and moves, one function each. The database's guards stand behind them.
 */
import { type Selectable, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import type { ObjectKey } from '../../storage/backend.ts'
import { knownKey } from '../keys.ts'
import type { Proof } from '../ledger/objects.ts'
import { leaseEnd } from '../ledger/replicas.ts'
import type { ProofLevel } from '../states.ts'

export type ClassChange = {
  objectId: string
  locationId: string
  fromKey: ObjectKey
  toKey: ObjectKey
  toClass: string
  /** The bytes that go; null: the copy is still being made. */
  keyToDelete: ObjectKey | null
}
/**
 * `leftMs`: until its writer is taken for dead or, of doomed bytes, until they go for good; by the database's
 * clock, which set it, for pods' clocks differ.
 */
export type StandingClassChange = ClassChange & { leftMs: number }

const due = sql<Date>`coalesce(clear_after, lease_expires_at)`
const leftMs = sql<number>`(extract(epoch from ${due} - now()) * 1000)::float8`.as('left_ms')

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
  const rows = await db
    .selectFrom('class_change')
    .selectAll()
    .select(leftMs)
    .where('object_id', '=', objectId)
    .execute()
  return rows.map(fromRow)
}

/** Those of dead writers, and those whose doomed bytes are to go for good, of any object. */
export async function staleClassChanges(
  db: Queryable,
  limit: number,
  except: readonly string[] = [],
): Promise<StandingClassChange[]> {
  const rows = await db
    .selectFrom('class_change')
    .selectAll()
    .select(leftMs)
    .where(due, '<', sql<Date>`now()`)
    .where(sql<boolean>`location_id <> all(${except}::text[])`)
    // Those that can't be finished keep none from being tried.
    .orderBy(sql`random()`)
    .limit(limit)
    .execute()
  return rows.map(fromRow)
}

function fromRow(row: Selectable<Schema['class_change']> & { left_ms: number }): StandingClassChange {
  return {
    objectId: row.object_id,
    locationId: row.location_id,
    fromKey: knownKey(row.from_key),
    toKey: knownKey(row.to_key),
    toClass: row.to_class,
    keyToDelete: row.doomed_key === null ? null : knownKey(row.doomed_key),
    leftMs: row.left_ms,
  }
}

/**
 * The intent, committed before the copy is asked for. False when another one is under way, or has been since
 * it was looked at.
 */
export async function beginClassChange(
  db: Queryable,
  change: ClassChange,
  { actor, leaseMs }: { actor: string; leaseMs: number },
): Promise<boolean> {
  const { rows } = await sql`
    insert into class_change (object_id, location_id, from_key, to_key, to_class, doomed_key, lease_expires_at, actor)
    select object_id, location_id, key, ${change.toKey}, ${change.toClass}, null, ${leaseEnd(leaseMs)}, ${actor}
    from replica
    where object_id = ${change.objectId} and location_id = ${change.locationId} and key = ${change.fromKey}
      and state = 'verified'
    on conflict (object_id, location_id) do nothing returning to_key`.execute(db)
  return rows.length === 1
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

/**
 * The replica becomes its proven copy. Throws `conflict` when it was given up, or the change taken for dead,
 * meanwhile.
 */
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
    for (const table of ['replica_restore', 'class_refusal'] as const) {
      await tx
        .deleteFrom(table)
        .where('object_id', '=', change.objectId)
        .where('location_id', '=', change.locationId)
        .execute()
    }
    return
  }
  throw new AppError(
    'conflict',
    `the replica of ${change.objectId} at ${change.locationId} changed while its class was changed`,
  )
}

/**
 * Decides, for good, which of the two keys goes, and that it goes in `keepMs` at the earliest; called again
 * it puts that off. The database refuses the key that the replica names.
 */
export async function scheduleDelete(
  tx: Queryable,
  change: ClassChange,
  key: ObjectKey,
  keepMs: number,
): Promise<void> {
  await tx
    .updateTable('class_change')
    .set({ doomed_key: key, clear_after: sql<Date>`greatest(clear_after, ${leaseEnd(keepMs)})` })
    .where('object_id', '=', change.objectId)
    .where('location_id', '=', change.locationId)
    .where('to_key', '=', change.toKey)
    .execute()
}

/** After the doomed bytes are gone, unless that was put off meanwhile. */
export async function forgetClassChange(db: Queryable, change: ClassChange): Promise<void> {
  await db
    .deleteFrom('class_change')
    .where('object_id', '=', change.objectId)
    .where('location_id', '=', change.locationId)
    .where('to_key', '=', change.toKey)
    .where('clear_after', '<', sql<Date>`now()`)
    .execute()
}

/**
 * Where nothing is to go for it any more: the bytes that it doomed, or the copy that it made, were adopted.
 */
export async function endClassChange(db: Queryable, change: ClassChange): Promise<void> {
  await db
    .deleteFrom('class_change')
    .where('object_id', '=', change.objectId)
    .where('location_id', '=', change.locationId)
    .where('to_key', '=', change.toKey)
    .execute()
}
