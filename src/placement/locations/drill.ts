/**
 * A drill makes a place unreachable for some minutes, to see that everything copes. It lives in a row with an
 * end, which every process looks at every two seconds: it ends by itself, no matter which processes are alive
 * by then, and it never touches bytes.
 */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { AppError } from '../../errors.ts'
import type { Placement } from '../placement.ts'
import { enqueueLocationCheck, recordHealth, requireLocation } from './locations.ts'

export const MAX_DRILL_MINUTES = 60

export type Drill = {
  locationId: string
  startedAt: Date
  endsAt: Date
  /** By the database's clock. */
  leftMs: number
}

/**
 * Begins a drill, or gives one that runs another end. Here it holds at once, what is under way is cut; other
 * processes follow within two seconds. Throws `invalid` for a length that is not 1 to 60 whole minutes and
 * for a place that can't be blocked.
 */
export async function startDrill(
  placement: Placement,
  { locationId, minutes, actor }: { locationId: string; minutes: number; actor: string },
): Promise<Drill> {
  if (!Number.isInteger(minutes) || minutes < 1 || minutes > MAX_DRILL_MINUTES) {
    throw new AppError('invalid', `minutes: write a whole number from 1 to ${MAX_DRILL_MINUTES}`)
  }
  requireBlockable(placement, locationId)
  await ensureRow(placement, locationId)
  const endsAt = sql<Date>`now() + ${minutes} * interval '1 minute'`
  await placement.db
    .insertInto('drill')
    .values({ location_id: locationId, ends_at: endsAt, actor })
    .onConflict((conflict) =>
      conflict.column('location_id').doUpdateSet({ started_at: sql<Date>`now()`, ends_at: endsAt, actor }),
    )
    .execute()
  const drill = (await applyDrills(placement)).find((one) => one.locationId === locationId)
  if (drill === undefined) throw new AppError('conflict', 'the drill was stopped at the moment it began')
  await recordHealth(placement, locationId, DRILL_REASON, { isDrill: true })
  await publish(placement.db, { type: 'storage-changed' })
  return drill
}

/** Ends the drills of this location, or all. @returns the locations whose drill still ran */
export async function stopDrill(placement: Placement, locationId: string | null): Promise<string[]> {
  if (locationId !== null) requireBlockable(placement, locationId)
  const stopped = await placement.db
    .updateTable('drill')
    .set({ ends_at: sql<Date>`now()` })
    .where('ends_at', '>', sql<Date>`now()`)
    .$if(locationId !== null, (query) => query.where('location_id', '=', locationId ?? ''))
    .returning('location_id')
    .execute()
  await applyDrills(placement)
  // Finds the places well, tells it, and wakes the jobs that waited for them.
  if (stopped.length > 0) await enqueueLocationCheck(placement.db)
  return stopped.map((row) => row.location_id)
}

/** The drills that run now. */
export async function currentDrills(db: Database): Promise<Drill[]> {
  const rows = await db
    .selectFrom('drill')
    .select(['location_id', 'started_at', 'ends_at'])
    .select(sql<number>`extract(epoch from ends_at - now())::float8 * 1000`.as('left_ms'))
    .where('ends_at', '>', sql<Date>`now()`)
    .execute()
  return rows.map((row) => ({
    locationId: row.location_id,
    startedAt: row.started_at,
    endsAt: row.ends_at,
    leftMs: row.left_ms,
  }))
}

/**
 * Reads of the drills by this process, in the order in which they began: by its locations, the last that was
 * heeded.
 */
const heeded = new WeakMap<Placement['locations'], number>()
let lastRead = 0

/** Makes this process refuse what the drills of now block, and nothing else. @returns those drills */
export async function applyDrills(placement: Pick<Placement, 'db' | 'locations'>): Promise<Drill[]> {
  const read = ++lastRead
  const drills = await currentDrills(placement.db)
  // Overtaken by a read that began later and may know of a drill that this one does not.
  if (read < (heeded.get(placement.locations) ?? 0)) return drills
  heeded.set(placement.locations, read)
  for (const { id, breaker } of placement.locations.values()) {
    const drill = drills.find(({ locationId }) => locationId === id)
    if (drill !== undefined) breaker?.block(drill.leftMs, DRILL_REASON)
    else breaker?.unblock()
  }
  return drills
}

/** Without its end, which who shows it has beside it, and tells by the clock of whoever looks. */
export const DRILL_REASON = 'a simulated outage'

/** Those that a drill may be of. */
export function blockableLocations(placement: Pick<Placement, 'locations'>): string[] {
  return [...placement.locations.values()].filter(({ breaker }) => breaker !== undefined).map(({ id }) => id)
}

function requireBlockable(placement: Pick<Placement, 'locations'>, locationId: string): void {
  if (requireLocation(placement, locationId).breaker !== undefined) return
  const blockable = blockableLocations(placement)
  const right = blockable.length === 0 ? 'none' : blockable.join(', ')
  throw new AppError('invalid', `location: "${locationId}" can't be blocked. Available: ${right}`)
}

/** Of a place that was never reached: the drill's row refers to it. */
async function ensureRow(placement: Pick<Placement, 'locations' | 'db'>, locationId: string): Promise<void> {
  const { kind, identity } = placement.locations.get(locationId)!
  await placement.db
    .insertInto('location')
    .values({ id: locationId, kind, identity, marker: null, probe: null })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
}
