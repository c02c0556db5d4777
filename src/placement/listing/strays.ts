/**
 * Files that a location lists and that nothing in the ledger names. A listing notes what it sees; at its end
 * that becomes what is known of the location, and only where the listing can be believed. Nothing is removed
 * here: `collect/` does that, by a decision of an administrator.
 */
import { sql } from 'kysely'
import { NOW_AS_SEEN } from '../../database/clock.ts'
import type { Queryable, Tx } from '../../database/connect.ts'
import { isStorageError } from '../../storage/backend.ts'
import { partsOfKey } from '../keys.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'
import { namesKeySql } from './named-keys.ts'

/** Rows that are written at a time. */
const BATCH = 1_000

/** `uploadId`: of an upload in parts that was not finished; '': a file. Its size is not known: 0. */
export type Sighting = {
  key: string
  uploadId: string
  kind: string
  size: number
  etag: string | null
  lastModified: Date
}

/** A key of ours; null for any other name. */
export function sightingOf(listed: {
  key: string
  size: number
  etag: string | null
  lastModified: Date
}): Sighting | null {
  const parts = partsOfKey(listed.key)
  return parts && { ...listed, uploadId: '', kind: parts.kind }
}

/** Of the listing that is under way. What it has noted before is noted once. */
export async function noteSightings(
  db: Queryable,
  locationId: string,
  seen: readonly Sighting[],
): Promise<void> {
  if (seen.length === 0) return
  await sql`
    insert into stray_sighting (location_id, key, upload_id, kind, size, etag, last_modified, seen_at)
    select ${locationId}, s.key, s."uploadId", s.kind, s.size, s.etag, s."lastModified", ${NOW_AS_SEEN}
    from jsonb_to_recordset(${JSON.stringify(seen)}::jsonb)
      as s (key text, "uploadId" text, kind text, size bigint, etag text, "lastModified" timestamptz)
    where not ${namesKeySql(sql`${locationId}`, sql`s.key`)}
    on conflict (location_id, key, upload_id) do nothing`.execute(db)
}

/**
 * Uploads in parts that nobody has finished, under keys of ours that nothing names. Null, or why the location
 * does not list them.
 */
export async function noteUnfinishedUploads(
  { db }: Pick<Placement, 'db'>,
  { id, backend }: Location,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  if (!backend.multipart) return null
  let seen: Sighting[] = []
  try {
    for await (const { key, uploadId, startedAt } of backend.multipart.listUnfinished('')) {
      signal?.throwIfAborted()
      const parts = partsOfKey(key)
      if (parts === null) continue
      seen.push({ key, uploadId, kind: parts.kind, size: 0, etag: null, lastModified: startedAt })
      if (seen.length < BATCH) continue
      await noteSightings(db, id, seen)
      seen = []
    }
  } catch (error) {
    // Some services have no such request. A place that is away is noticed by the look that follows.
    if (!isStorageError(error)) throw error
    return error.message
  }
  await noteSightings(db, id, seen)
  return null
}

/**
 * The listing has ended. `isSound`: what it has seen is what the location holds. One sighting more for each
 * file that is as it was in the one before; what is another one by now begins anew, and what was not seen is
 * forgotten.
 */
export async function takeSightings(tx: Tx, locationId: string, isSound: boolean): Promise<void> {
  if (isSound) {
    await sql`
      delete from stray where location_id = ${locationId} and not exists (
        select from stray_sighting seen where seen.location_id = stray.location_id and seen.key = stray.key
          and seen.upload_id = stray.upload_id)`.execute(tx)
    const isSame = sql`(stray.size, stray.etag, stray.last_modified)
      is not distinct from (excluded.size, excluded.etag, excluded.last_modified)`
    await sql`
      insert into stray (location_id, key, upload_id, kind, size, etag, last_modified, first_seen_at, last_seen_at, sightings)
      select location_id, key, upload_id, kind, size, etag, last_modified, seen_at, seen_at, 1
      from stray_sighting where location_id = ${locationId}
      on conflict (location_id, key, upload_id) do update set
        sightings = case when ${isSame} then stray.sightings + 1 else 1 end,
        first_seen_at = case when ${isSame} then stray.first_seen_at else excluded.first_seen_at end,
        last_seen_at = excluded.last_seen_at, kind = excluded.kind, size = excluded.size, etag = excluded.etag,
        last_modified = excluded.last_modified`.execute(tx)
  }
  await tx.deleteFrom('stray_sighting').where('location_id', '=', locationId).execute()
}
