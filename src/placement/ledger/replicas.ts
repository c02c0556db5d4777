/**
 * The ledger: reads and moves of replica rows, one function a move of `states.ts`. The database's guards
 * stand behind each of them.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { Removal } from '../../database/schema.ts'
import { COMMITTING_LATER } from '../../database/statements/commit-later.ts'
import { compileOnce, type ValueOf } from '../../database/statements/compile-once.ts'
import { AppError } from '../../errors.ts'
import type { ObjectKey, RemovalPermit } from '../../storage/backend.ts'
import type { Placement } from '../placement.ts'
import type { ProofLevel, ReplicaState } from '../states.ts'
import { ARCHIVE_CLASSES, isArchiveClass, ORDINARY_CLASS } from '../storage-classes.ts'
import { type LoadedObject, objectOfRows, rowsOfObject } from './object-rows.ts'
import type { Proof, Replica, StoredObject } from './objects.ts'

/** Can its bytes be read, or would it have to be restored first? As far as the ledger knows; asks nobody. */
export function isReadableNow(placement: Pick<Placement, 'now'>, replica: Replica): boolean {
  if (!isArchiveClass(replica.storageClass)) return true
  const until = replica.restore?.availableUntil
  return until != null && until > placement.now()
}

/** The same in SQL, of `replica r left join replica_restore a`; by the database's clock. */
export const isReadableNowSql = sql<boolean>`(r.storage_class is null
  or r.storage_class <> all(${ARCHIVE_CLASSES}::text[]) or coalesce(a.available_until > now(), false))`

/** The object and its replicas, or null where there is no such object. */
export async function loadObject(db: Queryable, objectId: string): Promise<LoadedObject | null> {
  return objectOfRows(await rowsOfObject(db, { objectId }))
}

/** False when it is being purged, or gone. */
export async function isObjectLive(db: Queryable, objectId: string): Promise<boolean> {
  const row = await db
    .selectFrom('stored_object')
    .select('state')
    .where('id', '=', objectId)
    .executeTakeFirst()
  return row?.state === 'live'
}

/**
 * Whether the replica of a live object is verified by the same proof as when it was loaded: it was neither
 * found bad since then, nor replaced, nor proven anew.
 */
export async function isStillProven(db: Queryable, replica: Replica): Promise<boolean> {
  const loaded = await loadObject(db, replica.objectId)
  const now = loaded?.replicas.find(({ locationId }) => locationId === replica.locationId)
  return (
    loaded?.object.state === 'live' &&
    now?.state === 'verified' &&
    now.key === replica.key &&
    now.verifiedAt?.getTime() === replica.verifiedAt?.getTime()
  )
}

/**
 * As `loadObject`, with the object's row locked until the transaction ends: evictions and leases of it wait
 * for each other.
 */
export async function lockObject(tx: Queryable, objectId: string) {
  await lockObjectRow(tx, objectId)
  return loadObject(tx, objectId)
}

/**
 * To be called before a transaction changes a replica or lease of the object and its row as well: a purge
 * locks the object first, and two that lock in different orders wait for each other until one is refused.
 */
export async function lockObjectRow(tx: Queryable, objectId: string): Promise<void> {
  await tx.selectFrom('stored_object').select('id').where('id', '=', objectId).forUpdate().executeTakeFirst()
}

type NewReplica = {
  objectId: string
  locationId: string
  key: ObjectKey
  actor: string
  leaseMs: number
  storageClass?: string | null
  uploadId?: string | null
}

/** absent -> writing: the intent, committed before the first byte. False when another writer was first. */
export async function beginReplica(tx: Queryable, what: NewReplica): Promise<boolean> {
  const result = await tx
    .insertInto('replica')
    .values({
      object_id: what.objectId,
      location_id: what.locationId,
      key: what.key,
      state: 'writing',
      actor: what.actor,
      lease_expires_at: leaseEnd(what.leaseMs),
      storage_class: what.storageClass ?? null,
      upload_id: what.uploadId ?? null,
    })
    .onConflict((conflict) => conflict.columns(['object_id', 'location_id']).doNothing())
    .executeTakeFirst()
  return result.numInsertedOrUpdatedRows === 1n
}

export type NewObject = Omit<StoredObject, 'state' | 'createdAt' | 'assigned' | 'readFirst'>
export type FirstReplicas = {
  /** `writableForMs`: so long somebody outside holds a URL that may put to the key. */
  replicas: readonly { locationId: string; key: ObjectKey; uploadId?: string; writableForMs?: number }[]
  actor: string
  leaseMs: number
}

/** A new object and the intent to write its first replicas, in one statement and so in one commit. */
export async function beginObject(db: Queryable, object: NewObject, first: FirstReplicas): Promise<void> {
  await beginAlone(db, intentOf(object, first))
}

/**
 * `beginObject` in one statement with an insert of the caller's that returns what it inserted. What it
 * compiles to answers false where that is nothing: then all the rest isn't, either.
 */
export function compileBeginObject<Values extends Record<string, unknown>>(
  insert: (value: ValueOf<Values>) => RawBuilder<unknown>,
): (db: Queryable, object: NewObject, first: FirstReplicas, values: Values) => Promise<boolean> {
  const begin = intentStatement<Values>(insert)
  return async (db, object, first, values) =>
    (await begin(db, { ...values, ...intentOf(object, first) })).length > 0
}

const beginAlone = intentStatement(null)

/** Its names have a dot, so that they are none of a caller's. */
function intentOf(object: NewObject, { replicas, actor, leaseMs }: FirstReplicas) {
  return {
    'object.id': object.id,
    'object.ownerId': object.ownerId,
    'object.assetId': object.assetId,
    'object.kind': object.kind,
    'object.size': object.size,
    'object.sha256': Buffer.from(object.sha256, 'hex'),
    'object.contentType': object.contentType,
    'object.extension': object.extension,
    'first.locationIds': replicas.map(({ locationId }) => locationId),
    'first.keys': replicas.map(({ key }) => key),
    'first.uploadIds': replicas.map(({ uploadId }) => uploadId ?? null),
    'first.writableForMs': replicas.map((replica) => replica.writableForMs ?? null),
    'first.actor': actor,
    'first.leaseMs': leaseMs,
  }
}

function intentStatement<Values extends Record<string, unknown>>(
  insert: ((value: ValueOf<Values>) => RawBuilder<unknown>) | null,
) {
  return compileOnce<Values & ReturnType<typeof intentOf>, { locationId: string }>((_, valueOfBoth) => {
    const value = valueOfBoth as ValueOf<ReturnType<typeof intentOf>>
    const inserted = insert?.(valueOfBoth as ValueOf<Values>)
    return sql`
      with ${inserted ? sql`inserted as (${inserted}), ` : sql``}object as (
        insert into stored_object (id, owner_id, asset_id, kind, size, sha256, content_type, extension)
        select ${value('object.id')}, ${value('object.ownerId')}, ${value('object.assetId')}, ${value('object.kind')},
          ${value('object.size')}, ${value('object.sha256')}, ${value('object.contentType')}, ${value('object.extension')}
        ${inserted ? sql`from inserted` : sql``}
        returning id)
      insert into replica (object_id, location_id, key, state, actor, lease_expires_at, upload_id, writable_until)
      select object.id, first.location_id, first.key, 'writing', ${value('first.actor')},
        now() + ${value('first.leaseMs')} * interval '1 millisecond',
        first.upload_id, now() + first.writable_for_ms * interval '1 millisecond'
      from object, unnest(${value('first.locationIds')}::text[], ${value('first.keys')}::text[],
        ${value('first.uploadIds')}::text[], ${value('first.writableForMs')}::float8[])
        as first (location_id, key, upload_id, writable_for_ms)
      returning location_id as "locationId"`
  })
}

/**
 * The writer is alive. False: the lease was lost, somebody has taken the replica for abandoned; stop writing.
 */
export async function renewWriteLease(
  db: Queryable,
  replica: ReplicaName,
  leaseMs: number,
): Promise<boolean> {
  const result = await thisReplica(db, replica, ['writing'])
    .set({ lease_expires_at: leaseEnd(leaseMs) })
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** Its writer has ended without an end of the write. */
export async function endWriteLease(db: Queryable, replica: ReplicaName): Promise<void> {
  await thisReplica(db, replica, ['writing'])
    .set({ lease_expires_at: sql<Date>`now() - interval '1 second'` })
    .execute()
}

export type ReplicaName = { objectId: string; locationId: string; key: ObjectKey }

/**
 * writing -> verified, or suspect -> verified, or a verified one proven anew. Throws `conflict` when it is
 * none of these.
 */
export async function proveReplica(
  tx: Queryable,
  replica: ReplicaName,
  proven: { level: ProofLevel; proof: Proof; actor: string },
): Promise<void> {
  const result = await thisReplica(tx, replica, ['writing', 'suspect', 'verified'])
    .set(asProven(proven))
    .executeTakeFirst()
  if (result.numUpdatedRows !== 1n) throw givenUpMeanwhile(replica)
}

/**
 * verified -> verified, of a copy that was looked at without reading it. Such a look is no word against
 * somebody who has read other bytes meanwhile: false where it counts as verified no more, and nothing is
 * noted then.
 */
export async function proveVerified(
  tx: Queryable,
  replica: ReplicaName,
  proven: { level: ProofLevel; proof: Proof; actor: string },
): Promise<boolean> {
  const result = await thisReplica(tx, replica, ['verified']).set(asProven(proven)).executeTakeFirst()
  return result.numUpdatedRows === 1n
}

function asProven({ level, proof, actor }: { level: ProofLevel; proof: Proof; actor: string }) {
  return {
    state: 'verified' as const,
    proof_level: level,
    proof: JSON.stringify(proof),
    verified_at: sql<Date>`now()`,
    lease_expires_at: null,
    upload_id: null,
    actor,
  }
}

function givenUpMeanwhile(replica: ReplicaName): AppError {
  return new AppError(
    'conflict',
    `replica of ${replica.objectId} at ${replica.locationId} was given up while it was written`,
  )
}

/**
 * writing -> verified for the first replica of an object, which the library links in the same transaction.
 * `from`: another state that it was found in. Throws `conflict` when it is in another one, for the writer was
 * taken for dead meanwhile.
 */
export async function proveNewObject(
  tx: Queryable,
  replica: ReplicaName,
  proven: { level: ProofLevel; proof: Proof; actor: string; from?: ReplicaState },
): Promise<void> {
  const { rows } = await sql`
    with locked as materialized (
      select id from stored_object where id = ${replica.objectId} and state = 'live' for update),
    proven as (
      update replica set state = 'verified', proof_level = ${proven.level}, proof = ${JSON.stringify(proven.proof)}::jsonb,
        verified_at = now(), lease_expires_at = null, upload_id = null, actor = ${proven.actor}
      from locked
      where object_id = locked.id and location_id = ${replica.locationId} and key = ${replica.key}
        and state = ${proven.from ?? 'writing'}
      returning object_id)
    update stored_object set is_linked = true from proven where id = proven.object_id returning id`.execute(
    tx,
  )
  if (rows.length !== 1) throw givenUpMeanwhile(replica)
}

/**
 * Writes down the class that a location says it holds a replica in: a rule of the bucket's owner may have
 * moved it. The ordinary class is null.
 */
export async function noteClass(db: Queryable, replica: Replica, heldIn: string | undefined): Promise<void> {
  const storageClass = heldIn === undefined || heldIn === ORDINARY_CLASS ? null : heldIn
  if (storageClass === replica.storageClass) return
  await thisReplica(db, replica, ['writing', 'verified', 'suspect'])
    .set({ storage_class: storageClass, class_since: sql<Date>`now()` })
    .execute()
}

/**
 * verified -> suspect. False when it is no longer verified (somebody else found it first, or it is being
 * evicted). The reason is kept with its proof, and so in its history.
 */
export async function suspectReplica(
  db: Queryable,
  replica: ReplicaName,
  actor: string,
  reason?: string,
): Promise<boolean> {
  const doubt = reason === undefined ? '{}' : JSON.stringify({ doubt: reason })
  const result = await thisReplica(db, replica, ['verified'])
    .set({ state: 'suspect', actor, proof: sql<string>`coalesce(proof, '{}') || ${doubt}::jsonb` })
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/**
 * Something speaks against a verified replica, and says nothing of its bytes. It stays readable, but nobody
 * is told any more that their file is safe there, and `rebalance` has it read. False where that is known, or
 * it is no longer verified.
 */
export async function noteDoubt(db: Queryable, replica: ReplicaName, reason: string): Promise<boolean> {
  const doubt = JSON.stringify({ doubt: reason })
  const result = await thisReplica(db, replica, ['verified'])
    .where(sql<boolean>`not ${isDoubtedSql(sql`replica`)}`)
    .set({ proof: sql<string>`coalesce(proof, '{}') || ${doubt}::jsonb` })
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** Something speaks against a verified replica, see `noteDoubt`. */
export function isDoubted({ state, proof }: Pick<Replica, 'state' | 'proof'>): boolean {
  return state === 'verified' && proof?.doubt !== undefined
}

/** Whether something speaks against the replica of this table or alias, until it is proven anew. */
export function isDoubtedSql(replica: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`coalesce(${replica}.proof ? 'doubt', false)`
}

/**
 * Leave to end a replica, given by `remove.ts`. `permit`: null where there is nothing to remove. `confirmed`:
 * what stands for it. `isSetAside`: wrong bytes that the location does not let go yet; their key is looked at
 * again then.
 */
export type Leave = {
  removal: Removal
  permit: RemovalPermit | null
  isSetAside?: true
  confirmed: readonly Replica[]
}

/**
 * -> evicting, by a decision of `remove.ts`. The database refuses the last verified copy of a live object,
 * and what was written and is wrong while no other copy is verified (`last-copy`). False: it is in another
 * state by now or, where `onlyIfDead`, its writer is alive after all. For `leaseMs` the process that turned
 * it works on the bytes: no other process decides anew.
 */
export async function beginEviction(
  tx: Queryable,
  replica: ReplicaName,
  {
    decision,
    actor,
    onlyIfDead = false,
    leaseMs = 0,
  }: { decision: Leave; actor: string; onlyIfDead?: boolean; leaseMs?: number },
): Promise<boolean> {
  let turn = thisReplica(tx, replica, ['writing', 'verified', 'suspect'])
  if (onlyIfDead)
    turn = turn.where(({ or, eb }) =>
      or([eb('state', '<>', 'writing'), eb('lease_expires_at', '<', sql<Date>`now()`)]),
    )
  try {
    const result = await turn
      .set({ state: 'evicting', lease_expires_at: leaseEnd(leaseMs), removal: decision.removal, actor })
      .executeTakeFirst()
    return result.numUpdatedRows === 1n
  } catch (error) {
    if ((error as { code?: string }).code === 'GL002') {
      throw new AppError('last-copy', (error as Error).message, { cause: error })
    }
    throw error
  }
}

/**
 * An eviction that was interrupted continues, by a new decision: for `leaseMs` this process works on the
 * bytes. False when it is no longer being given up.
 */
export async function renewEviction(
  tx: Queryable,
  replica: ReplicaName,
  { decision, actor, leaseMs = 0 }: { decision: Leave; actor: string; leaseMs?: number },
): Promise<boolean> {
  const result = await thisReplica(tx, replica, ['evicting'])
    .set({
      lease_expires_at: sql<Date>`greatest(lease_expires_at, ${leaseEnd(leaseMs)})`,
      removal: decision.removal,
      actor,
    })
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** Whether what a decision rests on is so still. `replicas`: as they are now, under the object's lock. */
export function areStillVerified(confirmed: readonly Replica[], replicas: readonly Replica[]): boolean {
  return confirmed.every(({ locationId, key }) =>
    replicas.some((one) => one.locationId === locationId && one.key === key && one.state === 'verified'),
  )
}

/**
 * Its bytes were looked at and are right: whatever was believed of it, it is verified. Also one whose
 * eviction was cut short. False when it is gone, names another key by now, somebody may be removing its bytes
 * at this moment or, where `onlyIfDead`, its writer is alive after all.
 */
export async function keepReplica(
  tx: Queryable,
  replica: ReplicaName,
  proven: { level: ProofLevel; proof: Proof; actor: string; onlyIfDead?: boolean },
): Promise<boolean> {
  let turn = thisReplica(tx, replica, ['writing', 'suspect', 'verified', 'evicting']).where(({ or, eb }) =>
    or([
      eb('state', '<>', 'evicting'),
      eb('lease_expires_at', 'is', null),
      eb('lease_expires_at', '<=', sql<Date>`now()`),
    ]),
  )
  if (proven.onlyIfDead)
    turn = turn.where(({ or, eb }) =>
      or([eb('state', '<>', 'writing'), eb('lease_expires_at', '<', sql<Date>`now()`)]),
    )
  const result = await turn.set(asProven(proven)).executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/**
 * evicting -> suspect: its bytes are wrong or can't be told, and no other copy stands for it, so they stay.
 */
export async function doubtReplica(db: Queryable, replica: ReplicaName, actor: string): Promise<void> {
  await thisReplica(db, replica, ['evicting']).set({ state: 'suspect', actor }).execute()
}

/** evicting -> absent, after the bytes are gone. Taken back by a crash, they are removed once more. */
export async function forgetReplica(db: Queryable, replica: ReplicaName): Promise<void> {
  await db
    .deleteFrom('replica')
    .where('object_id', '=', replica.objectId)
    .where('location_id', '=', replica.locationId)
    .where('key', '=', replica.key)
    .where('state', '=', 'evicting')
    .where(COMMITTING_LATER)
    .execute()
}

function thisReplica(db: Queryable, replica: ReplicaName, states: ReplicaState[]) {
  return db
    .updateTable('replica')
    .where('object_id', '=', replica.objectId)
    .where('location_id', '=', replica.locationId)
    .where('key', '=', replica.key)
    .where('state', 'in', states)
}

/** By the database's clock: pods' clocks differ. */
export function leaseEnd(leaseMs: number) {
  return sql<Date>`now() + ${leaseMs} * interval '1 millisecond'`
}
