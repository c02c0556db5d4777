/**
 * The rows of `key_to_clear`: keys that no replica names, and what may come to lie, or be left, under them.
 */
import { sql } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import type { ObjectKind, Removal } from '../../database/schema.ts'
import { knownKey } from '../keys.ts'
import { leaseEnd, type ReplicaName } from './replicas.ts'

/**
 * Something may come to lie, or be left, under a key that no replica names: it is looked at in `afterMs`, or
 * when an earlier note says, whichever is later.
 */
export async function noteKeyToClear(
  db: Queryable,
  { objectId, locationId, key }: ReplicaName,
  afterMs: number,
): Promise<void> {
  const at = leaseEnd(afterMs)
  await db
    .insertInto('key_to_clear')
    .values({
      location_id: locationId,
      key,
      writable_until: at,
      clear_at: at,
      object_id: objectId,
      removal: null,
    })
    .onConflict((clash) =>
      clash.columns(['location_id', 'key']).doUpdateSet({
        writable_until: sql<Date>`greatest(key_to_clear.writable_until, excluded.writable_until)`,
        clear_at: sql<Date>`greatest(key_to_clear.clear_at, excluded.clear_at)`,
      }),
    )
    .execute()
}

/**
 * A replica is about to name this key, which its own writer has put: nothing must be cleared there any more.
 * False where it was put for so long that its removal was begun meanwhile, or where it is not noted: then it
 * is not to be named. Under the object's lock.
 */
export async function takeKeyBack(tx: Tx, { locationId, key }: ReplicaName): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('key_to_clear')
    .where('location_id', '=', locationId)
    .where('key', '=', key)
    .where('removal', 'is', null)
    .executeTakeFirst()
  return numDeletedRows === 1n
}

/**
 * The removal of what lies there begins, for that reason: for `leaseMs` nobody names the key. A no-op for a
 * key that is noted elsewhere. Under the object's lock.
 */
export async function noteRemovalBegun(
  tx: Tx,
  { locationId, key }: ReplicaName,
  { removal, leaseMs }: { removal: Removal; leaseMs: number },
): Promise<void> {
  await tx
    .updateTable('key_to_clear')
    .set({ removal, clear_at: sql<Date>`greatest(clear_at, ${leaseEnd(leaseMs)})` })
    .where('location_id', '=', locationId)
    .where('key', '=', key)
    .execute()
}

/**
 * For how many milliseconds somebody may be removing what lies there; 0: nobody is. Under the object's lock.
 */
export async function clearingForMs(tx: Tx, { locationId, key }: ReplicaName): Promise<number> {
  const row = await tx
    .selectFrom('key_to_clear')
    .select(sql<number>`(extract(epoch from clear_at - now()) * 1000)::float8`.as('left_ms'))
    .where('location_id', '=', locationId)
    .where('key', '=', key)
    .where('removal', 'is not', null)
    .executeTakeFirst()
  return Math.max(0, row?.left_ms ?? 0)
}

export type DuplicateBytes = { ownerId: string; kind: ObjectKind; size: number; sha256: Buffer }

/**
 * An object's row goes because the same bytes are kept as another one. What is put late to its keys must not
 * be removed unseen: that other one may have lost its copy by then.
 */
export async function keepDuplicateBytes(tx: Tx, objectId: string, bytes: DuplicateBytes): Promise<void> {
  await tx
    .updateTable('key_to_clear')
    .set({
      duplicate_owner_id: bytes.ownerId,
      duplicate_kind: bytes.kind,
      duplicate_size: bytes.size,
      duplicate_sha256: bytes.sha256,
    })
    .where('object_id', '=', objectId)
    .execute()
}

/** Those of one object. `mayComeForMs`: for so long something may be put there; 0 or less: no more. */
export async function keysToClearOf(
  db: Queryable,
  objectId: string,
): Promise<(ReplicaName & { mayComeForMs: number })[]> {
  const rows = await db
    .selectFrom('key_to_clear')
    .select(['location_id', 'key'])
    .select(sql<number>`(extract(epoch from writable_until - now()) * 1000)::float8`.as('may_come_for_ms'))
    .where('object_id', '=', objectId)
    .execute()
  return rows.map((row) => ({
    objectId,
    locationId: row.location_id,
    key: knownKey(row.key),
    mayComeForMs: row.may_come_for_ms,
  }))
}
