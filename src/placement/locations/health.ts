import { publish } from '../../database/events.ts'
import { isAppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'
import { removeLateBrowserProbes } from './browser-reach.ts'
import { assertUnmovedIfReadOnly } from './counter/read-only-counter.ts'
import { lookAtLocation, probeLocation, recordHealth } from './locations.ts'

const PROBE_INTERVAL_MS = 7 * 24 * 3_600_000
/**
 * A place in trouble is probed at every check at first, then ever more rarely: each probe costs dozens of
 * requests.
 */
const LONGEST_REPROBE_MS = 10 * 60_000

/**
 * Asks every location for its marker, probes the ones that are in trouble or were not probed for a week, and
 * records what came of it. Returns whether the health of any location changed.
 */
export async function checkLocations(placement: Placement): Promise<boolean> {
  const before = await healthById(placement)
  for (const location of placement.locations.values()) await checkLocation(placement, location)
  await removeLateBrowserProbes(placement).catch((error: Error) =>
    placement.log.warn({ error: error.message }, 'what a browser probe left stays until the next check'),
  )
  const after = await healthById(placement)
  return [...after].some(([id, isHealthy]) => before.get(id) !== isHealthy)
}

/**
 * That the marker can be read proves little of a place that failed at its work: only a probe makes it healthy
 * again.
 */
async function checkLocation(placement: Placement, location: Location): Promise<void> {
  try {
    // A mount or a bucket can go away at any time, and somebody else may have begun to use it.
    await lookAtLocation(placement, location)
    if (location.isReadOnly) {
      await assertUnmovedIfReadOnly(placement, location)
      await recordHealth(placement, location.id, null)
      return
    }
    const { isHealthy, isProbeDue } = await standing(placement, location)
    if (isProbeDue) await probeLocation(placement, location.id)
    else if (isHealthy) await recordHealth(placement, location.id, null)
  } catch (error) {
    const problem = (error as Error).message
    // The row of the drill says what it blocks.
    const isGone = location.breaker?.blockedFor == null && isAway(error)
    await recordHealth(placement, location.id, problem, { isAway: isGone })
    placement.log.debug({ location: location.id, error: problem }, 'a location is not healthy')
  }
}

/** Whether a place can't be reached; also where an error of ours tells it on. */
export function isAway(error: unknown): boolean {
  if (isStorageError(error)) return error.kind === 'unavailable'
  return error instanceof Error && error.cause !== undefined && isAway(error.cause)
}

async function standing(placement: Pick<Placement, 'db' | 'now'>, location: Location) {
  const row = await placement.db
    .selectFrom('location')
    .select(['probed_at', 'is_healthy', 'health_changed_at'])
    .where('id', '=', location.id)
    .executeTakeFirstOrThrow()
  const isHealthy = row.is_healthy === true
  if (row.probed_at === null) return { isHealthy, isProbeDue: true }
  const now = placement.now().getTime()
  const troubledForMs = now - (row.health_changed_at?.getTime() ?? 0)
  const intervalMs = isHealthy ? PROBE_INTERVAL_MS : Math.min(LONGEST_REPROBE_MS, troubledForMs / 2)
  return { isHealthy, isProbeDue: now - row.probed_at.getTime() >= intervalMs }
}

/**
 * Called with what a write or a delete at a location failed with. Where that is the place's doing and will
 * not pass by itself (a permission taken away, no room, other bytes kept than were given), the location
 * counts as unhealthy, with that reason, until a probe finds it well. Never throws: its caller has an error
 * to tell.
 */
export async function noteTrouble(placement: Placement, locationId: string, error: unknown): Promise<void> {
  // Nothing that fails there tells of the place: writes are refused here.
  if (placement.locations.get(locationId)?.isReadOnly) return
  const isTrouble =
    isStorageError(error, 'denied') || isStorageError(error, 'too-large') || isAppError(error, 'corrupt')
  if (!isTrouble) return
  try {
    if ((await healthById(placement)).get(locationId) === false) return
    await recordHealth(placement, locationId, (error as Error).message)
    await publish(placement.db, { type: 'storage-changed' })
  } catch (failure) {
    placement.log.warn(
      { location: locationId, error: (failure as Error).message },
      'the trouble of a location could not be recorded',
    )
  }
}

async function healthById(placement: Pick<Placement, 'db'>): Promise<Map<string, boolean | null>> {
  const rows = await placement.db.selectFrom('location').select(['id', 'is_healthy']).execute()
  return new Map(rows.map((row) => [row.id, row.is_healthy]))
}
