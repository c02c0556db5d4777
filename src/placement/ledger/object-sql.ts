/**
 * What other rooms may ask of an object in the middle of a statement of theirs, so that they need no table of
 * the ledger.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { isReadableNowSql } from './replicas.ts'

/** Name the table in front of the column: each stands inside a subquery. */
type ObjectId = RawBuilder<unknown>

/** The SHA-256 of its bytes; null where there is no such object. */
export function sha256Of(objectId: ObjectId): RawBuilder<Buffer | null> {
  return sql<Buffer | null>`(select sha256 from stored_object where stored_object.id = ${objectId})`
}

/** The size of its bytes; null where there is no such object. */
export function sizeOf(objectId: ObjectId): RawBuilder<number | null> {
  return sql<number | null>`(select size from stored_object where stored_object.id = ${objectId})`
}

/** It was given up, and what is left of it is on its way out. */
export function isPurging(objectId: ObjectId): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from stored_object where stored_object.id = ${objectId} and stored_object.state = 'purging')`
}

/**
 * A write of it has begun and was not given up, or its bytes were found: there is something that a proof can
 * look at.
 */
export function hasReplicaToProve(objectId: ObjectId): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from replica where replica.object_id = ${objectId} and replica.state in ('writing', 'verified'))`
}

/** A verified replica of it is known, somewhere. */
export function isVerifiedSomewhere(objectId: ObjectId): RawBuilder<boolean> {
  return sql<boolean>`exists (select from replica where replica.object_id = ${objectId}
    and replica.state = 'verified')`
}

/** A verified replica of it is known, somewhere. */
export async function hasVerifiedReplica(db: Queryable, objectId: string): Promise<boolean> {
  const { rows } = await sql`
    select from replica where object_id = ${objectId}::uuid and state = 'verified' limit 1`.execute(db)
  return rows.length > 0
}

export type PlacedObject = {
  id: string
  size: number
  /** Lower-case hex. */
  sha256: string
  contentType: string
  extension: string
  /** Where it is verified, by the name of the location. */
  keys: Record<string, string>
}

/** What these objects are, and where their verified replicas lie; by their ids. */
export async function placesOfObjects(
  db: Queryable,
  ids: readonly string[],
): Promise<Map<string, PlacedObject>> {
  const { rows } = await sql<PlacedObject>`
    select id, size, encode(sha256, 'hex') as sha256, content_type as "contentType", extension,
      coalesce((select jsonb_object_agg(location_id, key) from replica
        where object_id = o.id and state = 'verified'), '{}') as keys
    from stored_object o where id = any(${uuidArray(ids)}::uuid[])`.execute(db)
  return new Map(rows.map((row) => [row.id, row]))
}

/**
 * The asset to which it belongs by name: an adoption uses it to find where the bytes belong that it finds.
 */
export async function giveToAsset(tx: Queryable, objectId: string, assetId: string): Promise<void> {
  await tx.updateTable('stored_object').set({ asset_id: assetId }).where('id', '=', objectId).execute()
}

/**
 * Keeps it from being purged until the transaction is over: to be called before something refers to an object
 * that was made by an earlier transaction. False where it is being purged, or gone.
 */
export async function holdLive(tx: Queryable, objectId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('stored_object')
    .select('id')
    .where('id', '=', objectId)
    .where('state', '=', 'live')
    .forShare()
    .executeTakeFirst()
  return row !== undefined
}

/** False also where there is no such object. */
export async function hasSha256(db: Queryable, objectId: string, sha256: Buffer): Promise<boolean> {
  const { rows } = await sql<{ same: boolean | null }>`
    select ${sha256Of(sql`${objectId}::uuid`)} = ${sha256} as same`.execute(db)
  return rows[0]?.same === true
}

/** The type that its bytes are served with, once they are known better than by their name. */
export async function setContentType(tx: Queryable, objectId: string, contentType: string): Promise<void> {
  await tx
    .updateTable('stored_object')
    .set({ content_type: contentType })
    .where('id', '=', objectId)
    .where('content_type', '<>', contentType)
    .execute()
}

/** A verified replica of it is at the location. */
export function isHeldAt(objectId: ObjectId, locationId: string): RawBuilder<boolean> {
  return sql<boolean>`exists (select from replica where replica.object_id = ${objectId}
    and replica.location_id = ${locationId} and replica.state = 'verified')`
}

/** A verified replica of it can be read now, or after a restore that has ended. */
export function isReadable(objectId: ObjectId): RawBuilder<boolean> {
  return sql<boolean>`exists (select from replica r
    left join replica_restore a on a.object_id = r.object_id and a.location_id = r.location_id
    where r.object_id = ${objectId} and r.state = 'verified' and ${isReadableNowSql})`
}

/** A restore of an archived replica of it is under way. */
export function isBeingRestored(objectId: ObjectId): RawBuilder<boolean> {
  return sql<boolean>`exists (select from replica_restore
    where replica_restore.object_id = ${objectId} and available_until is null)`
}

/** Have both the same SHA-256? */
export async function areSameBytes(db: Queryable, oneId: string, otherId: string): Promise<boolean> {
  const { rows } = await sql<{ same: boolean | null }>`
    select ${sha256Of(sql`${oneId}::uuid`)} = ${sha256Of(sql`${otherId}::uuid`)} as same`.execute(db)
  return rows[0]?.same === true
}

/**
 * Ids of live objects that are made of others, and of which no verified replica is left: with a lost disk
 * they are all that was made.
 */
export const lostPictures = sql<string>`(
  select r.object_id from replica r join stored_object o on o.id = r.object_id
  where r.state = 'suspect' and o.state = 'live' and o.kind in ('thumbnail', 'preview', 'encoded-video')
    and not exists (select from replica v where v.object_id = r.object_id and v.state = 'verified'))`
