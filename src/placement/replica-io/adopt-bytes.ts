import { sql } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import type { ObjectInfo } from '../../storage/backend.ts'
import { knownKey } from '../keys.ts'
import { clearingForMs, noteKeyToClear } from '../ledger/keys-to-clear.ts'
import type { Proof } from '../ledger/objects.ts'
import { leaseEnd, proveReplica, type ReplicaName } from '../ledger/replicas.ts'
import type { Location } from '../location.ts'
import { ORDINARY_CLASS } from '../storage-classes.ts'
import type { Same } from './verify.ts'

/** What an answer that was read to its end said of itself, so that a later one can be compared with it. */
export function proofOfRead(
  { kind }: Pick<Location, 'kind'>,
  held: Pick<ObjectInfo, 'etag' | 'modifiedAt'>,
): Proof {
  if (kind === 'disk') return { method: 'read-back', modifiedAtMs: held.modifiedAt.getTime() }
  return { method: 'read-back', ...(held.etag !== undefined && { etag: held.etag }) }
}

/** A removal that an administrator has decided is over by then, or goes on after its process has died. */
const COLLECTED_MS = 60_000

/** The trigger `keep_collected` refuses the replica, too. */
async function isBeingCollected(tx: Tx, { locationId, key }: ReplicaName): Promise<boolean> {
  const row = await tx
    .selectFrom('collection_item')
    .select('key')
    .where('location_id', '=', locationId)
    .where('key', '=', key)
    .where('upload_id', '=', '')
    .where('state', '=', 'removing')
    .executeTakeFirst()
  return row !== undefined
}

/** A writer that lost its replica so has ended by then; what it has put is looked at. */
const WRITER_ENDS_MS = 10 * 60_000

/**
 * Makes bytes that were found at a location, and are the object's, its verified replica there. `taken`: there
 * is a verified replica at that location already, under another key; then nothing changes, and these bytes
 * are left alone. A key that the replica named before is noted: what lies there may be right after all. Under
 * the object's lock. @throws RetryLater where somebody may be removing them
 */
export async function adoptBytes(
  tx: Tx,
  { objectId, locationId, key }: ReplicaName,
  proven: Pick<Same, 'level' | 'proof' | 'held'> & { actor: string },
): Promise<'adopted' | 'taken'> {
  const replica = { objectId, locationId, key }
  const heldIn = proven.held?.storageClass ?? ORDINARY_CLASS
  const inClass = {
    storage_class: heldIn === ORDINARY_CLASS ? null : heldIn,
    class_since: sql<Date>`now()`,
  }
  const known = await tx
    .selectFrom('replica')
    .select(['key', 'state'])
    .where('object_id', '=', objectId)
    .where('location_id', '=', locationId)
    .forUpdate()
    .executeTakeFirst()
  if (known?.state === 'verified') return known.key === key ? 'adopted' : 'taken'
  if (known?.state === 'evicting') return 'taken'
  if (await isBeingCollected(tx, replica)) throw new RetryLater(`${key} is being removed`, COLLECTED_MS)
  const clearingMs = await clearingForMs(tx, replica)
  if (clearingMs > 0) throw new RetryLater(`${key} is being cleared`, clearingMs)
  if (known && known.key !== key) {
    await tx
      .updateTable('replica')
      .set({
        key,
        state: 'verified',
        proof_level: proven.level,
        proof: JSON.stringify(proven.proof),
        verified_at: sql<Date>`now()`,
        lease_expires_at: null,
        upload_id: null,
        is_adopted: true,
        actor: proven.actor,
        ...inClass,
      })
      .where('object_id', '=', objectId)
      .where('location_id', '=', locationId)
      .execute()
    // After the trigger, which notes a key that a URL may still put to, and knows no earlier note.
    const before = { objectId, locationId, key: knownKey(known.key) }
    await noteKeyToClear(tx, before, known.state === 'writing' ? WRITER_ENDS_MS : 0)
    // Of the bytes under the other key.
    for (const table of ['replica_restore', 'class_refusal'] as const)
      await tx
        .deleteFrom(table)
        .where('object_id', '=', objectId)
        .where('location_id', '=', locationId)
        .execute()
    return 'adopted'
  }
  if (!known)
    await tx
      .insertInto('replica')
      .values({
        object_id: objectId,
        location_id: locationId,
        key,
        state: 'writing',
        actor: proven.actor,
        lease_expires_at: leaseEnd(60_000),
        is_adopted: true,
        ...inClass,
      })
      .execute()
  await proveReplica(tx, replica, proven)
  return 'adopted'
}

/**
 * Whether a replica names the key, of whichever object (a photo may have taken over what was put late for its
 * duplicate): then it lives and goes with that, whatever else an older row says of it.
 */
export async function isNamed(
  db: Queryable,
  name: Pick<ReplicaName, 'locationId' | 'key'>,
): Promise<boolean> {
  return (await objectUnder(db, name)) !== null
}

/**
 * The object whose replica names the key. `isLinked`: the library has referred to it; else its upload had not
 * ended when this ledger last heard of it.
 */
export async function objectUnder(
  db: Queryable,
  { locationId, key }: Pick<ReplicaName, 'locationId' | 'key'>,
): Promise<{ id: string; isLinked: boolean } | null> {
  const row = await db
    .selectFrom('replica')
    .innerJoin('stored_object', 'stored_object.id', 'replica.object_id')
    .select(['stored_object.id', 'is_linked as isLinked'])
    .where('location_id', '=', locationId)
    // As its index is ordered.
    .where(sql<boolean>`key collate "C" = ${key}`)
    .executeTakeFirst()
  return row ?? null
}
