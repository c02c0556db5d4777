/** The counter as the ledger and the location hold it: read and compared. */
import { type Selectable, sql } from 'kysely'
import { z } from 'zod'
import type { CounterConflict, Schema } from '../../../database/schema.ts'
import { AppError } from '../../../errors.ts'
import { type HeldCounter, isStorageError } from '../../../storage/backend.ts'
import { MARKER_NAME } from '../../../storage/object-key.ts'
import type { Location } from '../../location.ts'
import type { Placement } from '../../placement.ts'

const heldText = z.object({ marker: z.uuid(), value: z.int().min(1), token: z.uuid() })
/** What can't be understood has no marker and no token: it is damaged, or of something newer. */
export type Held = { marker: string | null; value: number; token: string | null } & Pick<
  HeldCounter,
  'version' | 'ageMs'
>
/**
 * `ageMs`: since it was advanced, by the database's clock, which all processes share. Negative when that
 * clock was set back.
 */
export type CounterRow = Selectable<Schema['location_counter']> & { ageMs: number }

export async function loadCounter(
  { db }: Pick<Placement, 'db'>,
  locationId: string,
): Promise<CounterRow | null> {
  const row = await db
    .selectFrom('location_counter')
    .selectAll()
    .select(sql<number>`(extract(epoch from now() - advanced_at) * 1000)::float8`.as('ageMs'))
    .where('location_id', '=', locationId)
    .executeTakeFirst()
  return row ?? null
}

export async function readHeld({ backend }: Location): Promise<Held | null> {
  const held = await backend.readCounter()
  if (held === null) return null
  const { version, ageMs } = held
  const text = heldText.safeParse(jsonOf(held.text))
  return { ...(text.success ? text.data : { marker: null, value: 0, token: null }), version, ageMs }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // not JSON: `readHeld` says what that means
  }
}

export function judgeCounter(row: CounterRow | null, held: Held | null): 'own' | CounterConflict {
  if (held === null) return row === null || row.value === 0 ? 'own' : 'older-place'
  if (row === null) return 'another-ledger'
  if (held.token === row.token && held.value === row.value) return 'own'
  if (held.token === row.next_token && held.value === row.value + 1) return 'own'
  return held.value < row.value ? 'older-place' : 'another-ledger'
}

export function isSameCounter(a: CounterRow | null, b: CounterRow | null): boolean {
  return a?.value === b?.value && a?.token === b?.token && a?.next_token === b?.next_token
}

/**
 * The marker is part of the counter, so that one request tells both. It is read by itself once a process,
 * where the counter has none, and on a disk, where that costs nothing.
 */
export async function assertPlace(
  location: Location,
  recorded: string,
  held: Held | null,
  isFirst: boolean,
): Promise<void> {
  const isAsked = isFirst || location.kind === 'disk' || held?.marker == null
  if (!isAsked && held.marker === recorded) return
  const marker = isAsked ? await readMarker(location) : held.marker
  if (marker === recorded && (held?.marker ?? recorded) === recorded) return
  throw new AppError(
    'conflict',
    marker === null
      ? `${location.label} does not hold the marker of location "${location.id}": is it mounted, and is it the right one? ` +
          `Nothing is written there until the marker is back. If that is lost for good, write ${recorded} into ${MARKER_NAME} ` +
          'there, and start again.'
      : `${location.label} holds the marker of another installation (${marker}); nothing is written there.`,
  )
}

/** @throws AppError unavailable, with a remedy */
export async function readMarker(location: Location): Promise<string | null> {
  try {
    return await location.backend.readMarker()
  } catch (error) {
    const remedy = isStorageError(error, 'denied') ? ' Check its credentials and permissions.' : ''
    throw new AppError(
      'unavailable',
      `${location.label} can't be read: ${(error as Error).message}.${remedy}`,
      { cause: error },
    )
  }
}

export async function markerOf({ db }: Pick<Placement, 'db'>, locationId: string): Promise<string> {
  const row = await db
    .selectFrom('location')
    .select('marker')
    .where('id', '=', locationId)
    .executeTakeFirstOrThrow()
  if (row.marker === null) throw new AppError('unavailable', `location ${locationId} was never reached`)
  return row.marker
}
