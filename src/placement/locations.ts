/** Which place a location is. A folder whose mount is missing, or a bucket that became another one, must not be written to. */
import { randomUUID } from 'node:crypto'
import type { Queryable } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import { enqueue } from '../queue/enqueue.ts'
import type { JobName } from '../queue/job-types.ts'
import { wakeJobs } from '../queue/wake.ts'
import type { Features, ProbeOptions, ProbeReport } from '../storage/backend.ts'
import { isStorageError } from '../storage/backend.ts'
import { knownOrigins } from './browser-reach.ts'
import type { Location, Placement } from './placement.ts'
import { storeProbe } from './probe-changes.ts'

const WAITING_FOR_A_LOCATION: JobName[] = [
  'replicate-object',
  'evict-replica',
  'purge-object',
  'process-asset',
  'transcode-video',
  'prove-upload',
  'change-class',
  'restore-replica',
]

/** The location by its id; throws `unavailable` when the configuration no longer names it. */
export function locationOf(placement: Pick<Placement, 'locations'>, locationId: string): Location {
  const location = placement.locations.get(locationId)
  if (!location) {
    throw new AppError(
      'unavailable',
      `location "${locationId}" holds replicas but is not configured; configure it again`,
    )
  }
  return location
}

/**
 * Makes sure that the place behind a location is the one that the ledger knows: its recorded identity is the configured
 * one, and the marker in it is the recorded one. A new location is recorded and marked. Asked once a process and location.
 * Throws `conflict` when it is another place, `unavailable` when it can't be asked now or is left alone for now.
 */
export async function confirmLocation(placement: Placement, location: Location): Promise<void> {
  // Before an intent is written that could not be carried out, nor taken back, now.
  location.breaker?.assertAdmits()
  if (placement.confirmedLocations.has(location.id)) return adoptProbe(placement, location)
  const recorded = await placement.db
    .selectFrom('location')
    .select(['identity', 'marker'])
    .where('id', '=', location.id)
    .executeTakeFirst()
  // A row without a marker is of a place that was never reached: nothing is there, and its address may have been a mistake.
  const isKnown = recorded !== undefined && recorded.marker !== null
  if (isKnown && recorded.identity !== location.identity) {
    throw new AppError(
      'conflict',
      `location "${location.id}" was ${recorded.identity} and is now configured as ${location.identity}; ` +
        'its files are still at the first place. Configure that one again, or give the new place a name of its own.',
    )
  }
  const marker = await readMarker(location)
  if (isKnown) {
    if (marker === recorded.marker) {
      await adoptProbe(placement, location)
      placement.confirmedLocations.add(location.id)
      return
    }
    throw new AppError(
      'conflict',
      marker === null
        ? `${location.label} does not hold the marker of location "${location.id}": is it mounted, and is it the right place? ` +
            'Nothing is written there until the marker is back.'
        : `${location.label} holds the marker of another installation (${marker}); nothing is written there.`,
    )
  }
  if (marker !== null) {
    throw new AppError(
      'conflict',
      `${location.label} belongs to another installation (marker ${marker}); choose an empty folder or another prefix.`,
    )
  }
  await markNew(placement, location)
  placement.confirmedLocations.add(location.id)
}

/**
 * Works by the features of the last stored probe from now on, whichever process made it: what a place no longer does
 * must not be relied upon by anybody, and what it does now is used at once.
 */
export async function adoptProbe(placement: Placement, location: Location): Promise<void> {
  if (location.kind === 'disk') return
  const row = await placement.db
    .selectFrom('location')
    .select('probed_at')
    .where('id', '=', location.id)
    .executeTakeFirst()
  const probedAt = row?.probed_at?.getTime()
  if (probedAt === undefined || placement.featuresOf.get(location.id) === probedAt) return
  const { probe, probed_at } = await placement.db
    .selectFrom('location')
    .select(['probe', 'probed_at'])
    .where('id', '=', location.id)
    .executeTakeFirstOrThrow()
  if (probe === null || probed_at === null) return
  location.backend.useFeatures(probe.features as Features)
  placement.featuresOf.set(location.id, probed_at.getTime())
}

async function readMarker(location: Location): Promise<string | null> {
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

/** The row first: a second process that starts at the same moment finds it and waits for the same marker. */
async function markNew(placement: Placement, location: Location): Promise<void> {
  await placement.db.transaction().execute(async (tx) => {
    const row = await tx
      .insertInto('location')
      .values({
        id: location.id,
        kind: location.kind,
        identity: location.identity,
        marker: randomUUID(),
        probe: null,
      })
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet(({ fn, ref }) => ({
          identity: location.identity,
          marker: fn.coalesce(ref('location.marker'), ref('excluded.marker')),
        })),
      )
      .returning(({ ref }) => ref('marker').$notNull().as('marker'))
      .executeTakeFirstOrThrow()
    const held = await location.backend.readMarker()
    if (held === null) await location.backend.writeMarker(row.marker)
    else if (held !== row.marker)
      throw new AppError('conflict', `${location.label} was taken by another installation`)
  })
}

/**
 * Probes a location, stores what was found and works by it from now on. What a failed probe did not see is not trusted
 * either: of a service that was caught lying, every byte is read back until a probe finds it well. What changed since
 * the last probe is logged as an error and kept until it is acknowledged.
 */
export async function probeLocation(
  placement: Placement,
  locationId: string,
  options: ProbeOptions = {},
): Promise<ProbeReport> {
  const location = locationOf(placement, locationId)
  const origins = [...new Set([...(options.origins ?? []), ...(await knownOrigins(placement, locationId))])]
  const report = await location.probe({ ...options, origins })
  // A drill that began meanwhile: the place counts as away, whatever was seen before.
  location.breaker?.assertNotBlocked()
  if (report.ok) location.breaker?.close()
  if (report.ok) await confirmLocation(placement, location)
  location.backend.useFeatures(report.features)
  placement.featuresOf.set(locationId, report.at.getTime())
  const problem = report.findings.find((finding) => !finding.ok && finding.critical)
  await storeProbe(placement, locationId, report)
  await recordHealth(
    placement,
    locationId,
    problem ? [problem.detail, problem.remedy].filter(Boolean).join(' ') : null,
  )
  return report
}

/**
 * Records whether a location is well, also of one that was never reached, and returns whether that is news. When it is well
 * again, the jobs that waited for it run at once instead of at the end of their back-off. `isAway`: it is not to be reached,
 * as opposed to one that answers and does not do its work; other processes leave such a place alone, too. What is said of a
 * place while its breaker is open is older than that: it is away, whatever was found before.
 */
export async function recordHealth(
  placement: Placement,
  locationId: string,
  error: string | null,
  { isAway = false }: { isAway?: boolean } = {},
): Promise<boolean> {
  const before = await placement.db
    .selectFrom('location')
    .select(['is_healthy', 'away_since'])
    .where('id', '=', locationId)
    .executeTakeFirst()
  const { kind, identity, breaker } = locationOf(placement, locationId)
  // Asked right before the write, lest one that began earlier undo what the breaker has told meanwhile.
  const isLeftAlone = breaker !== undefined && breaker.blockedFor === null && breaker.state !== 'closed'
  const isHealthy = error === null
  if (isHealthy && isLeftAlone) return false
  const hasChanged = before?.is_healthy !== isHealthy
  const health = {
    is_healthy: isHealthy,
    health_error: error,
    away_since: isAway || isLeftAlone ? (before?.away_since ?? placement.now()) : null,
    ...(hasChanged ? { health_changed_at: placement.now() } : {}),
    ...(isHealthy ? { last_success_at: placement.now() } : {}),
  }
  await placement.db
    .insertInto('location')
    .values({ id: locationId, kind, identity, marker: null, probe: null, ...health })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(health))
    .execute()
  if (hasChanged && isHealthy && before?.is_healthy === false) {
    placement.log.info({ location: locationId }, 'a location is back')
    await wakeWaitingJobs(placement.db)
  }
  return hasChanged
}

/** Jobs that failed for want of a place run now instead of at the end of their back-off. */
export async function wakeWaitingJobs(db: Queryable): Promise<void> {
  await wakeJobs(db, WAITING_FOR_A_LOCATION)
}

/** Has the places looked at now instead of at the next check, once however often it is asked for. */
export async function enqueueLocationCheck(db: Queryable): Promise<void> {
  await enqueue(db, 'check-locations', {}, { key: 'recurring check-locations' })
}
