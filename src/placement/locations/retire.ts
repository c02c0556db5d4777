/** The end of a location: nothing is left there, and nothing comes there again. */
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { AppError } from '../../errors.ts'
import { forgetPlace } from '../ledger/belonging-rows.ts'
import type { Placement } from '../placement.ts'
import { requireLocation } from './locations.ts'

/** `replicas`: in any state, those of deleted files included. */
type Remainder = { replicas: number; bytes: number; keys: number; uploads: number; changes: number }

/**
 * Retires a drained location. Its marker and counter stay there, so that whoever looks sees whose it was; its
 * rows go when the configuration names it no more (`forgetRetired`).
 * @throws AppError conflict, with the numbers, while anything is left there or it is not drained
 */
export async function retireLocation(placement: Placement, locationId: string): Promise<void> {
  requireLocation(placement, locationId)
  await placement.db.transaction().execute(async (tx) => {
    if (await isRetired(tx, locationId, 'look')) return
    // Objects before locations, as whoever makes a replica locks them.
    await forgetPlace(tx, locationId)
    // Whoever inserts a replica there waits for this lock, and is refused afterwards (`guard_retired`).
    if (await isRetired(tx, locationId, 'lock')) return
    await tx
      .updateTable('location')
      .set({ retired_at: sql<Date>`now()` })
      .where('id', '=', locationId)
      .execute()
  })
  await publish(placement.db, { type: 'storage-changed' })
}

/** @throws AppError conflict where it may not be retired */
async function isRetired(tx: Tx, locationId: string, how: 'look' | 'lock'): Promise<boolean> {
  const row = await tx
    .selectFrom('location')
    .select(['drain_begun_at', 'retired_at'])
    .where('id', '=', locationId)
    .$if(how === 'lock', (query) => query.forUpdate())
    .executeTakeFirst()
  if (row?.retired_at) return true
  if (!row?.drain_begun_at)
    throw new AppError(
      'conflict',
      `${locationId} is in use. First empty it: npx glassine storage drain ${locationId}`,
    )
  const { rows } = await sql<Remainder>`
    select count(*)::float8 as replicas, coalesce(sum(o.size), 0)::float8 as bytes,
      (select count(*) from key_to_clear where location_id = ${locationId})::float8 as keys,
      (select count(*) from unfinished_upload where location_id = ${locationId})::float8 as uploads,
      (select count(*) from class_change where location_id = ${locationId})::float8 as changes
    from replica r join stored_object o on o.id = r.object_id where r.location_id = ${locationId}`.execute(tx)
  const left = describe(rows[0]!)
  if (left.length > 0) throw new AppError('conflict', `${locationId} still has ${left.join(', ')}`)
  return false
}

function describe({ replicas, bytes, keys, uploads, changes }: Remainder): string[] {
  return [
    ...(replicas > 0 ? [`${replicas} files (${bytes} bytes)`] : []),
    ...(keys > 0 ? [`${keys} keys that somebody may still put to, and that are looked after for a day`] : []),
    ...(uploads > 0 ? [`${uploads} unfinished uploads`] : []),
    ...(changes > 0 ? [`${changes} changes of class`] : []),
  ]
}

/**
 * Forgets the retired locations that are not configured any more, and all that belongs there by their names.
 */
export async function forgetRetired({
  db,
  log,
  locations,
}: Pick<Placement, 'db' | 'log' | 'locations'>): Promise<void> {
  const gone = await db
    .selectFrom('location')
    .select('id')
    .where('retired_at', 'is not', null)
    .where(sql<boolean>`id <> all(${[...locations.keys()]}::text[])`)
    .orderBy('id')
    .execute()
  for (const { id } of gone) {
    await db.transaction().execute(async (tx) => {
      await forgetPlace(tx, id)
      await tx.deleteFrom('location').where('id', '=', id).where('retired_at', 'is not', null).execute()
    })
    log.info({ location: id }, 'a retired location is forgotten')
  }
}
