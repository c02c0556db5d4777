import { sql } from 'kysely'
import type { ObjectKey } from '../storage/backend.ts'
import { knownKey } from './keys.ts'
import { confirmLocation, locationOf } from './locations.ts'
import type { Placement } from './placement.ts'

const BATCH = 500

/**
 * Removes what was put under keys that no replica names any more, by a URL that still held or a put that was slow. How many
 * keys were looked after. A key is cleared ever more rarely, the last time a day after its URL's end; one whose place is
 * away is left to the next sweep.
 */
export async function clearLateKeys(placement: Placement): Promise<number> {
  const due = await placement.db
    .selectFrom('key_to_clear')
    .select(['location_id', 'key'])
    .where('clear_at', '<=', sql<Date>`now()`)
    .orderBy('clear_at')
    .limit(BATCH)
    .execute()
  const keysOf = new Map<string, ObjectKey[]>()
  for (const { location_id: id, key } of due) keysOf.set(id, [...(keysOf.get(id) ?? []), knownKey(key)])
  let count = 0
  for (const [locationId, keys] of keysOf) {
    try {
      const location = locationOf(placement, locationId)
      // Another bucket of the same name has nothing under the keys, and says yes.
      await confirmLocation(placement, location)
      await location.backend.delete(keys)
      await noteCleared(placement, locationId, keys)
      count += keys.length
    } catch (error) {
      placement.log.warn(
        { location: locationId, keys: keys.length, error: (error as Error).message },
        "keys can't be cleared now",
      )
    }
  }
  return count
}

async function noteCleared({ db }: Placement, locationId: string, keys: readonly string[]): Promise<void> {
  await sql`
    with over as (
      delete from key_to_clear where location_id = ${locationId} and key = any(${keys}::text[])
        and writable_until < now() - interval '1 day')
    update key_to_clear set clear_at = now() + greatest(interval '10 minutes', now() - writable_until)
    where location_id = ${locationId} and key = any(${keys}::text[])
      and writable_until >= now() - interval '1 day'`.execute(db)
}
