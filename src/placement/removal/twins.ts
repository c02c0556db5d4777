/** The same bytes as another object: what was never acknowledged, or is there twice, may go for them. */
import { sql } from 'kysely'
import type { PurgeReason } from '../../database/schema.ts'
import type { LoadedObject } from '../ledger/object-rows.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { loadObject } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { checkNow } from '../replica-io/verify.ts'
import { whyNotOpened } from './opens.ts'
import { isReliable } from './waits.ts'

/** No upload is acknowledged later than that after it began. */
const TWIN_IN_BUCKET_MS = 24 * 3_600_000

/** What the library says of an object. */
export type Standing = { isLinked: boolean; purgeReason: PurgeReason | null }

export async function standingOf(
  placement: Pick<Placement, 'db'>,
  objectId: string,
): Promise<Standing | null> {
  const row = await placement.db
    .selectFrom('stored_object')
    .select(['is_linked', 'purge_reason'])
    .where('id', '=', objectId)
    .executeTakeFirst()
  return row ? { isLinked: row.is_linked, purgeReason: row.purge_reason } : null
}

/** Whether the same bytes are safe as another object, which was looked at now. */
export async function hasTwin(placement: Placement, objectId: string): Promise<boolean> {
  const loaded = await loadObject(placement.db, objectId)
  const standing = await standingOf(placement, objectId)
  return (
    loaded !== null &&
    standing !== null &&
    (await findTwin(placement, loaded.object, standing, undefined)) !== null
  )
}

/** By the database's clock, without the time that nobody saw pass. What has no row is of no known age. */
async function isYoungerThan(
  { db }: Pick<Placement, 'db'>,
  { id }: Pick<StoredObject, 'id'>,
  ms: number,
): Promise<boolean> {
  const { rows } = await sql<{ isYounger: boolean }>`
    select lived_since(created_at) < ${ms} * interval '1 millisecond' as "isYounger"
    from stored_object where id = ${id}`.execute(db)
  return rows[0]?.isYounger ?? true
}

/**
 * For what was never acknowledged, or is there twice: the same bytes of the same person as another object,
 * that the library refers to, with a replica that was looked at now. One in a bucket does for bytes that are
 * a day old only: right after a copy or a restore, another ledger may believe the opposite of the two, and
 * each would remove what the other one rests on.
 */
export async function findTwin(
  placement: Placement,
  object: StoredObject,
  { isLinked, purgeReason }: Standing,
  signal: AbortSignal | undefined,
): Promise<Replica | null> {
  if (isLinked && purgeReason !== 'duplicate') return null
  const isYoung = await isYoungerThan(placement, object, TWIN_IN_BUCKET_MS)
  for (const twin of await twinsOf(placement, object)) {
    const copies = twin.replicas.filter(({ locationId }) => !isYoung || locationId === placement.local.id)
    const copy = await confirmedCopy(placement, { ...twin, replicas: copies }, signal)
    if (copy) return copy
  }
  return null
}

/** Live objects of the library with the same bytes of the same person. `id`: but for this one. */
export async function twinsOf(
  { db }: Pick<Placement, 'db'>,
  { id, sha256, size, ownerId, kind }: Pick<StoredObject, 'id' | 'sha256' | 'size' | 'ownerId' | 'kind'>,
): Promise<LoadedObject[]> {
  const rows = await db
    .selectFrom('stored_object')
    .select('id')
    .where('sha256', '=', Buffer.from(sha256, 'hex'))
    .where('size', '=', size)
    .where('owner_id', '=', ownerId)
    .where('kind', '=', kind)
    .where('state', '=', 'live')
    .where('is_linked', '=', true)
    .where('id', '<>', id)
    .limit(10)
    .execute()
  const loaded = await Promise.all(rows.map((row) => loadObject(db, row.id)))
  return loaded.filter((one) => one !== null)
}

/** A verified replica that can be relied on, and was looked at now. */
export async function confirmedCopy(
  placement: Placement,
  { object, replicas }: LoadedObject,
  signal?: AbortSignal,
): Promise<Replica | null> {
  for (const copy of replicas) {
    if (copy.state !== 'verified' || !(await isReliable(placement, copy))) continue
    const check = await checkNow(placement, object, copy, signal)
    if (check.answer !== 'same') continue
    const location = locationOf(placement, copy.locationId)
    if ((await whyNotOpened(location, copy, check, object.size)) === null) return copy
  }
  return null
}
