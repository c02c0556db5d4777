/** What the ledger holds about one object, and how it is read from rows. */
import { type Nullable, type Selection, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { compileOnce } from '../../database/statements/compile-once.ts'
import { knownKey } from '../keys.ts'
import type { Proof, Replica, StoredObject } from './objects.ts'

/**
 * Of the tables `stored_object as o`, `replica as r` and `replica_restore as a`: what `objectOfRows` reads.
 */
export const OBJECT_COLUMNS = [
  'o.id',
  'o.owner_id',
  'o.asset_id',
  'o.kind',
  'o.size',
  'o.sha256',
  'o.content_type',
  'o.extension',
  'o.state as object_state',
  'o.created_at',
  'o.assigned_to',
  'o.assigned_at',
  'o.read_first',
  'r.location_id',
  'r.key',
  'r.state',
  'r.proof_level',
  'r.proof',
  'r.verified_at',
  'r.lease_expires_at',
  'r.upload_id',
  'r.writable_until',
  'r.storage_class',
  'r.class_since',
  'a.tier',
  'a.days',
  'a.requested_at',
  'a.expected_at',
  'a.available_until',
] as const

/** The database's clock, which leases run by. */
export const ASKED_AT = sql<Date>`now()`.as('asked_at')

/** The object's columns are of the first row only; those of replicas and restores may be null. */
export type ObjectRow = Selection<
  Schema & {
    o: Schema['stored_object']
    r: Nullable<Schema['replica']>
    a: Nullable<Schema['replica_restore']>
  },
  'o' | 'r' | 'a',
  (typeof OBJECT_COLUMNS)[number]
> & { asked_at: Date }
export type LoadedObject = { object: StoredObject; replicas: Replica[] }

/** One row for each replica, or one without any; none where there is no such object. */
export const rowsOfObject = compileOnce<{ objectId: string }, ObjectRow>((db, value) =>
  db
    .selectFrom('stored_object as o')
    .leftJoin('replica as r', 'r.object_id', 'o.id')
    .leftJoin('replica_restore as a', (join) =>
      join.onRef('a.object_id', '=', 'r.object_id').onRef('a.location_id', '=', 'r.location_id'),
    )
    .where('o.id', '=', value('objectId'))
    .select(OBJECT_COLUMNS)
    .select(ASKED_AT),
)

/** Rows of one object, one for each replica. */
export function objectOfRows(rows: readonly ObjectRow[]): LoadedObject | null {
  const first = rows[0]
  if (!first) return null
  const object: StoredObject = {
    id: first.id,
    ownerId: first.owner_id,
    assetId: first.asset_id,
    kind: first.kind,
    size: first.size,
    sha256: first.sha256.toString('hex'),
    contentType: first.content_type,
    extension: first.extension,
    state: first.object_state,
    createdAt: first.created_at,
    assigned: first.assigned_to && first.assigned_at && { to: first.assigned_to, at: first.assigned_at },
    readFirst: first.read_first,
  }
  const replicas: Replica[] = []
  for (const row of rows) {
    if (row.location_id === null || row.key === null || row.state === null || row.class_since === null)
      continue
    const { tier, days, requested_at: requestedAt, expected_at: expectedAt } = row
    replicas.push({
      objectId: first.id,
      locationId: row.location_id,
      key: knownKey(row.key),
      state: row.state,
      proofLevel: row.proof_level,
      proof: row.proof as Proof | null,
      verifiedAt: row.verified_at,
      leaseLeftMs: msFrom(row.asked_at, row.lease_expires_at),
      uploadId: row.upload_id,
      writableLeftMs: msFrom(row.asked_at, row.writable_until),
      storageClass: row.storage_class,
      classSince: row.class_since,
      restore:
        tier === null || days === null || requestedAt === null || expectedAt === null
          ? null
          : { tier, days, requestedAt, expectedAt, availableUntil: row.available_until },
    })
  }
  return { object, replicas }
}

function msFrom(now: Date, time: Date | null): number | null {
  return time && time.getTime() - now.getTime()
}
