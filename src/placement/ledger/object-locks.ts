/** The rows of `object_lock`: until when a location refuses to remove what lies under a key. */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import type { ObjectKey, Retention } from '../../storage/backend.ts'
import { knownKey } from '../keys.ts'
import type { Placement } from '../placement.ts'
import { belongingSql } from './belonging-rows.ts'

type KeyAt = { locationId: string; key: ObjectKey }

/**
 * Writes down what a location said. An earlier end than the known one is believed as well: it was set by
 * hand.
 */
export async function noteRetention(
  db: Queryable,
  { locationId, key }: KeyAt,
  { until, isOnHold, versionId }: Retention,
): Promise<void> {
  const row = {
    retained_until: until,
    is_on_hold: isOnHold,
    version_id: versionId ?? null,
    retry_at: null,
  }
  await db
    .insertInto('object_lock')
    .values({ location_id: locationId, key, ...row })
    .onConflict((clash) =>
      clash.columns(['location_id', 'key']).doUpdateSet({
        ...row,
        version_id: sql<string | null>`coalesce(excluded.version_id, object_lock.version_id)`,
      }),
    )
    .execute()
}

/** What is known of a key; null: nothing yet. */
export async function knownRetention(db: Queryable, { locationId, key }: KeyAt): Promise<Retention | null> {
  const row = await db
    .selectFrom('object_lock')
    .selectAll()
    .where('location_id', '=', locationId)
    .where('key', '=', key)
    .executeTakeFirst()
  if (!row) return null
  const { retained_until: until, is_on_hold: isOnHold, version_id: versionId } = row
  return { until, isOnHold, ...(versionId !== null && { versionId }) }
}

/** The bytes are gone. */
export async function forgetRetention(db: Queryable, { locationId, key }: KeyAt): Promise<void> {
  await db.deleteFrom('object_lock').where('location_id', '=', locationId).where('key', '=', key).execute()
}

/** Whether what lies under the key of this table or alias is known to be locked. */
export function isLockedSql(keyed: RawBuilder<unknown>, now: Date): RawBuilder<boolean> {
  return sql<boolean>`exists (select from object_lock where object_lock.location_id = ${keyed}.location_id
    and object_lock.key = ${keyed}.key and object_lock.retained_until > ${now})`
}

/** Prolonging it failed: the others come first. */
export async function postponeLock(db: Queryable, { locationId, key }: KeyAt, retryAt: Date): Promise<void> {
  await db
    .insertInto('object_lock')
    .values({ location_id: locationId, key, retained_until: null, version_id: null, retry_at: retryAt })
    .onConflict((clash) => clash.columns(['location_id', 'key']).doUpdateSet({ retry_at: retryAt }))
    .execute()
}

/**
 * So long after a proof a lock that nobody has seen is looked at: mostly another HEAD has told it by then.
 */
const UNSEEN_FOR = sql`interval '10 minutes'`

type Wanted = { placement: Placement; locationId: string; kind: ObjectKind; days: number; now: Date }
export type DueLock = KeyAt & { objectId: string; retention: Retention | null }

/** Copies that are wanted there whose lock is not known, or has less than half of its days left. */
function dueSql({ placement, locationId, kind, days, now }: Wanted) {
  return sql`
    from replica r join stored_object o on o.id = r.object_id
      left join object_lock l on l.location_id = r.location_id and l.key = r.key
      ${belongingSql(placement)}
    where r.location_id = ${locationId} and r.location_id = any(belongs.wanted) and o.kind = ${kind} and r.state in ('verified', 'suspect')
      and o.state = 'live' and o.is_linked
      and coalesce(l.retained_until < ${now}::timestamptz + ${days} * interval '12 hours',
        r.verified_at < ${now}::timestamptz - ${UNSEEN_FOR})`
}

/**
 * Those that end first come first, at most so many; after all others what failed before, and before that what
 * was found bad or missing.
 */
export async function dueLocks(db: Queryable, wanted: Wanted, limit: number): Promise<DueLock[]> {
  const { rows } = await sql<{
    objectId: string
    key: string
    isKnown: boolean
    until: Date | null
    isOnHold: boolean | null
    versionId: string | null
  }>`
    select r.object_id as "objectId", r.key, l.retained_until is not null as "isKnown", l.retained_until as until,
      l.is_on_hold as "isOnHold", l.version_id as "versionId"
    ${dueSql(wanted)} and coalesce(l.retry_at <= ${wanted.now}, true)
    order by l.retry_at is not null, r.state = 'suspect', l.retained_until nulls first, r.object_id limit ${limit}`.execute(
    db,
  )
  return rows.map(({ objectId, key, isKnown, until, isOnHold, versionId }) => ({
    objectId,
    locationId: wanted.locationId,
    key: knownKey(key),
    retention: isKnown
      ? { until, isOnHold: isOnHold === true, ...(versionId !== null && { versionId }) }
      : null,
  }))
}

/** `firstEnd`: when the first of the copies that are wanted there could be removed. */
export async function lockCounts(
  db: Queryable,
  wanted: Wanted,
): Promise<{ due: number; failed: number; firstEnd: Date | null }> {
  const { rows } = await sql<{ due: number; failed: number; firstEnd: Date | null }>`
    select count(*)::float8 as due, count(*) filter (where l.retry_at > ${wanted.now})::float8 as failed,
      (select min(e.retained_until) from object_lock e join replica x on x.location_id = e.location_id and x.key = e.key
        join stored_object o on o.id = x.object_id ${belongingSql(wanted.placement)}
        where e.location_id = ${wanted.locationId} and e.location_id = any(belongs.wanted) and o.kind = ${wanted.kind}
          and o.state = 'live') as "firstEnd"
    ${dueSql(wanted)}`.execute(db)
  return rows[0]!
}

/** Files that are deleted, and that the location does not let go yet; `until`: when the last of them goes. */
export type WaitingRemovals = { count: number; bytes: number; onHold: number; until: Date | null }

export async function waitingRemovals(
  db: Queryable,
  locationId: string,
  now: Date,
): Promise<WaitingRemovals> {
  const { rows } = await sql<WaitingRemovals>`
    select count(*)::float8 as count, coalesce(sum(o.size), 0)::float8 as bytes,
      count(*) filter (where l.is_on_hold)::float8 as "onHold", max(l.retained_until) as until
    from stored_object o join replica r on r.object_id = o.id
      join object_lock l on l.location_id = r.location_id and l.key = r.key
    where o.state = 'purging' and r.location_id = ${locationId}
      and (l.is_on_hold or l.retained_until > ${now})`.execute(db)
  return rows[0]!
}
