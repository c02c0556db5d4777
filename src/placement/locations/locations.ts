/**
 * Which place a location is. A folder whose mount is missing, or a bucket that became another one, must not
 * be written to.
 */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { AppError, isAppError } from '../../errors.ts'
import { enqueue } from '../../queue/enqueue.ts'
import type { JobName } from '../../queue/job-types.ts'
import { wakeJobs } from '../../queue/wake.ts'
import type { Features, StorageBackend } from '../../storage/backend.ts'
import { before, longestBetween, type Moment } from '../../storage/moment.ts'
import type { ProbeOptions, ProbeReport } from '../../storage/probe-report.ts'
import { type Location, whyReadOnly } from '../location.ts'
import type { Placement } from '../placement.ts'
import { knownOrigins } from './browser-reach.ts'
import { beginOwning, endOwning, forgetLook, lookOf, noteLook, owningOf } from './counter/confirmations.ts'
import { assertOneLedger, endConflict, recordConflict } from './counter/conflict.ts'
import { beginCounter, keepCounter, type Purpose } from './counter/counter.ts'
import { assertUnmovedIfReadOnly } from './counter/read-only-counter.ts'
import { readMarker } from './counter/record.ts'
import { locationsWithReplicas } from './known-locations.ts'
import { beginOutage, endOutage } from './outage-log.ts'
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
  'back-up-database',
  'adopt-catalogue',
]

/** Of a name that somebody typed. @throws AppError invalid, with the names that there are */
export function requireLocation(placement: Pick<Placement, 'locations'>, locationId: string): Location {
  const location = placement.locations.get(locationId)
  if (location !== undefined) return location
  const available = [...placement.locations.keys()].join(', ')
  throw new AppError('invalid', `unknown location "${locationId}". Available: ${available}`)
}

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
 * Makes sure that the place behind a location is the one that the ledger knows (its recorded identity is the
 * configured one, and the marker in it is the recorded one), and that it knows no other ledger. A new
 * location is recorded and marked. To be called before anything is written or removed there; asks the place
 * once a minute at most. Throws `conflict` when it is another place or has another ledger, `unavailable` when
 * it can't be asked now or is left alone for now.
 */
export async function confirmLocation(placement: Placement, location: Location): Promise<void> {
  // Before an intent is written that could not be carried out, nor taken back, now.
  location.breaker?.assertAdmits()
  if (location.isReadOnly) throw new AppError('conflict', `${location.label} ${whyReadOnly(location)}`)
  await confirmPlace(placement, location)
  await probeIfReconfigured(placement, location)
  assertStillConfigured(placement, location)
}

/**
 * Of what was looked at: a reload may have put another place under its id meanwhile, which nobody has seen.
 */
function assertStillConfigured({ locations }: Placement, location: Location): void {
  if (locations.get(location.id) !== location)
    throw new AppError('unavailable', `location "${location.id}" was described anew while it was looked at`)
}

/** The same of a place whose probe says nothing yet. */
async function confirmPlace(placement: Placement, location: Location): Promise<void> {
  const known = lookOf(placement, location)
  const isGood = known && 'at' in known && isGoodLook(placement, known.at)
  if (isGood) {
    await orEndOwning(placement, location, assertOneLedger(placement, location))
    await adoptProbe(placement, location)
    return
  }
  // One look for all who come at the same time.
  if (known && 'confirming' in known) {
    await known.confirming
    return
  }
  const confirming = confirmAnew(placement, location, known === undefined ? 'begin' : 'advance')
  noteLook(placement, location, { confirming })
  const beganAt = placement.clock()
  try {
    const agoMs = await orEndOwning(placement, location, confirming)
    await beginOwning(placement, location)
    // Of the comparison, which another process may have made: it is not good for longer because we rely on
    // it.
    noteLook(placement, location, { at: before(beganAt, agoMs) })
  } catch (error) {
    forgetLook(placement, location)
    // Everybody is to know it at once, not at the next check.
    if (isAppError(error, 'conflict') && error.details?.ledger !== undefined) {
      assertStillConfigured(placement, location)
      await recordHealth(placement, location.id, error.message)
    }
    throw error
  }
}

/** Somebody else may have taken the location while the machine slept, so that this time counts. */
function isGoodLook({ settings, clock }: Placement, at: Moment): boolean {
  return longestBetween(at, clock()) < settings.counterGoodForMs
}

/** As `confirmLocation`, but looks in any case, and only looks: for the check of every minute. */
export async function lookAtLocation(placement: Placement, location: Location): Promise<void> {
  location.breaker?.assertAdmits()
  if (location.isReadOnly) {
    await assertPlaceKnown(placement, location)
    return adoptProbe(placement, location)
  }
  // The first look in a process is that of a writer.
  if (lookOf(placement, location) === undefined) return confirmLocation(placement, location)
  try {
    await orEndOwning(placement, location, confirmAnew(placement, location, 'compare'))
  } catch (error) {
    forgetLook(placement, location)
    throw error
  }
  // For an adoption that has ended meanwhile: the waits after it begin now, not when a copy is to be given
  // up.
  await owningOf(placement, location.id)
  assertStillConfigured(placement, location)
}

/** What a conflict that is found by a look means for this process: it does not own the location. */
async function orEndOwning<T>(placement: Placement, location: Location, looking: Promise<T>): Promise<T> {
  try {
    return await looking
  } catch (error) {
    if (isAppError(error, 'conflict')) endOwning(placement, location)
    throw error
  }
}

/**
 * Of a read-only place only its marker is looked at: its counter may be advanced by whoever writes there. One
 * that the ledger does not know yet has to answer, no more: nothing of ours is there.
 */
async function assertPlaceKnown(placement: Pick<Placement, 'db'>, location: Location): Promise<void> {
  const row = await placement.db
    .selectFrom('location')
    .select(['marker', 'identity'])
    .where('id', '=', location.id)
    .executeTakeFirst()
  if (row?.marker == null && !location.isOfOriginal) return void (await readMarker(location))
  const isSamePlace = location.isOfOriginal || row?.identity === location.identity
  if (isSamePlace && (await readMarker(location)) === row?.marker) return
  throw new AppError(
    'conflict',
    location.isOfOriginal
      ? `${location.label} is no longer the location that this installation was copied from`
      : `${location.label} is no longer the location "${location.id}" that this installation wrote to`,
  )
}

/**
 * Whether every place was looked at now and knows no other ledger: before anything is decided by what this
 * one says alone. A place that holds files and is not configured can't be looked at.
 */
export async function knowNoOtherLedger(placement: Placement): Promise<boolean> {
  for (const id of await locationsWithReplicas(placement.db)) {
    if (placement.locations.has(id)) continue
    placement.log.warn({ location: id }, 'a place is not configured: nothing is purged for now')
    return false
  }
  for (const location of placement.locations.values()) {
    try {
      await lookAtLocation(placement, location)
      await assertUnmovedIfReadOnly(placement, location)
    } catch (error) {
      placement.log.info(
        { location: location.id, error: (error as Error).message },
        'a place could not be confirmed: nothing is purged for now',
      )
      return false
    }
  }
  return true
}

/** @returns as `keepCounter` */
async function confirmAnew(placement: Placement, location: Location, purpose: Purpose): Promise<number> {
  const recorded = await placement.db
    .selectFrom('location')
    .select(['identity', 'marker'])
    .where('id', '=', location.id)
    .executeTakeFirst()
  // A row without a marker is of a place that was never reached: nothing is there, and its address may have
  // been a mistake.
  const isKnown = recorded !== undefined && recorded.marker !== null
  if (isKnown && recorded.identity !== location.identity) {
    throw new AppError(
      'conflict',
      `location "${location.id}" was ${recorded.identity} and is now configured as ${location.identity}; ` +
        `its files are still at the first one. Configure that one again or, if this is a copy, run "npx glassine storage use-as-copy ${location.id} --yes".`,
    )
  }
  if (isKnown) {
    const agoMs = await keepCounter(placement, location, purpose)
    await adoptProbe(placement, location)
    return agoMs
  }
  const marker = await readMarker(location)
  // Read after the marker: what another process of ours has written there, it has noted here before.
  if (marker !== null && !(await isOurMarker(placement, location, marker))) {
    // For whoever decides to take it over. Its marker is not noted: another prefix may be chosen as well.
    await recordUnknownPlace(placement, location)
    throw new AppError(
      'conflict',
      `${location.label} is in use by a database that is not this one (marker ${marker}). Choose an empty folder or another prefix; or, if this ` +
        'database was restored from a backup that is older than this location, restore a newer one: this database knows nothing of what is ' +
        `there. Where there is none, "npx glassine storage adopt ${location.id}" shows what taking it over would mean.`,
      { details: { ledger: 'another-ledger', location: location.id } },
    )
  }
  await markNew(placement, location)
  return 0
}

/** Of a place that was not known a moment ago: a process of ours has written it, or was about to. */
async function isOurMarker(
  { db }: Pick<Placement, 'db'>,
  { id, identity }: Location,
  marker: string,
): Promise<boolean> {
  const row = await db
    .selectFrom('location')
    .select(['marker', 'next_marker'])
    .where('id', '=', id)
    .where('identity', '=', identity)
    .executeTakeFirst()
  return row !== undefined && (row.marker === marker || row.next_marker === marker)
}

async function recordUnknownPlace(placement: Placement, location: Location): Promise<void> {
  const { id, kind, identity } = location
  await placement.db
    .insertInto('location')
    .values({ id, kind, identity, marker: null, probe: null })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await recordConflict(placement, location, null, null, 'another-ledger')
}

/** Of a probe that was made with another encryption than the configuration asks for now. */
const outdatedProbes = new WeakSet<StorageBackend>()
const probing = new WeakMap<StorageBackend, Promise<ProbeReport>>()

/**
 * What a place did with one encryption says nothing of what it does with another: before the first write with
 * that it is probed again, once for all who come at the same time.
 * @throws AppError unavailable where the probe finds the place unfit
 */
async function probeIfReconfigured(placement: Placement, location: Location): Promise<void> {
  const { backend } = location
  if (!outdatedProbes.has(backend)) return
  let probe = probing.get(backend)
  if (probe === undefined) {
    probe = probeLocation(placement, location.id).finally(() => probing.delete(backend))
    probing.set(backend, probe)
  }
  const { findings } = await probe
  const problem = findings.find(({ ok, critical }) => !ok && critical)
  if (problem)
    throw new AppError(
      'unavailable',
      `${location.label} is not fit as it is configured now: ${problem.detail}`,
    )
}

/** When the probe was made whose features this process works by, in milliseconds. */
const probedAtOf = new WeakMap<StorageBackend, number>()

/**
 * Works by the features of the last stored probe from now on, whichever process made it: what a place no
 * longer does must not be relied upon by anybody, and what it does now is used at once. Of a probe with
 * another encryption than ours nothing is used.
 */
export async function adoptProbe(placement: Pick<Placement, 'db'>, location: Location): Promise<void> {
  if (location.kind === 'disk') return
  const row = await placement.db
    .selectFrom('location')
    .select('probed_at')
    .where('id', '=', location.id)
    .executeTakeFirst()
  const probedAt = row?.probed_at?.getTime()
  if (probedAt === undefined || probedAtOf.get(location.backend) === probedAt) return
  const { probe, probed_at } = await placement.db
    .selectFrom('location')
    .select(['probe', 'probed_at'])
    .where('id', '=', location.id)
    .executeTakeFirstOrThrow()
  if (probe === null || probed_at === null) return
  const isOutdated = ((probe as ProbeReport).encryption ?? null) !== (location.encryption ?? null)
  if (isOutdated) {
    outdatedProbes.add(location.backend)
    return
  }
  outdatedProbes.delete(location.backend)
  location.backend.useFeatures(probe.features as Features)
  probedAtOf.set(location.backend, probed_at.getTime())
}

/**
 * The marker is committed here before it is written there, for all processes the same one: whoever finds it
 * there knows that it is ours, also after a lost answer or a crash.
 */
async function markNew(placement: Placement, location: Location): Promise<void> {
  const { db } = placement
  const { id, kind, identity } = location
  const row = await db
    .insertInto('location')
    .values({ id, kind, identity, marker: null, next_marker: randomUUID(), probe: null })
    .onConflict((conflict) =>
      conflict
        .column('id')
        .doUpdateSet({
          identity,
          // What was intended for another address says nothing of this one.
          next_marker: sql<
            string | null
          >`case when location.marker is null and location.identity = ${identity}
            then coalesce(location.next_marker, excluded.next_marker)
            when location.marker is null then excluded.next_marker end`,
        })
        .where(sql<boolean>`location.marker is null or location.identity = ${identity}`),
    )
    .returning(({ fn }) => fn.coalesce('marker', 'next_marker').$notNull().as('marker'))
    .executeTakeFirst()
  if (row === undefined) throw new AppError('conflict', `another process uses "${id}" at another address`)
  const held = await location.backend.readMarker()
  if (held === null) await location.backend.writeMarker(row.marker)
  else if (held !== row.marker)
    throw new AppError('conflict', `${location.label} was taken by another installation`)
  await db.transaction().execute(async (tx) => {
    const { numUpdatedRows } = await tx
      .updateTable('location')
      .set({ marker: row.marker, next_marker: null })
      .where('id', '=', id)
      .where('identity', '=', identity)
      .where('next_marker', '=', row.marker)
      .executeTakeFirstOrThrow()
    // Of another place that was configured before, and was somebody's. Not where another process of ours was
    // quicker: what it has found since is true.
    if (numUpdatedRows > 0n) return endConflict(tx, id)
    const known = await tx
      .selectFrom('location')
      .select(['identity', 'marker'])
      .where('id', '=', id)
      .executeTakeFirst()
    if (known?.identity !== identity || known.marker !== row.marker)
      throw new AppError('conflict', `another process uses "${id}" at another address`)
  })
  await beginCounter(placement, location)
}

/**
 * Probes a location, stores what was found and works by it from now on. What a failed probe did not see is
 * not trusted either: of a service that was caught lying, every byte is read back until a probe finds it
 * well. What changed since the last probe is logged as an error and kept until it is acknowledged.
 */
export async function probeLocation(
  placement: Placement,
  locationId: string,
  options: ProbeOptions = {},
): Promise<ProbeReport> {
  const location = locationOf(placement, locationId)
  if (location.isReadOnly)
    throw new AppError('conflict', `it is not probed: ${location.label} ${whyReadOnly(location)}`)
  const origins = [...new Set([...(options.origins ?? []), ...(await knownOrigins(placement, locationId))])]
  const report = await location.probe({ ...options, origins })
  // A drill that began meanwhile: the place counts as away, whatever was seen before.
  location.breaker?.assertNotBlocked()
  if (report.ok) location.breaker?.close()
  if (report.ok) await confirmPlace(placement, location)
  outdatedProbes.delete(location.backend)
  location.backend.useFeatures(report.features)
  probedAtOf.set(location.backend, report.at.getTime())
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
 * Records whether a location is well, also of one that was never reached, and returns whether that is news.
 * When it is well again, the jobs that waited for it run at once instead of at the end of their back-off.
 * `isAway`: it is not to be reached, as opposed to one that answers and does not do its work; other processes
 * leave such a place alone, too. What is said of a place while its breaker is open is older than that: it is
 * away, whatever was found before.
 */
export async function recordHealth(
  placement: Placement,
  locationId: string,
  error: string | null,
  { isAway = false, isDrill = false }: { isAway?: boolean; isDrill?: boolean } = {},
): Promise<boolean> {
  const before = await placement.db
    .selectFrom('location')
    .select(['is_healthy', 'away_since'])
    .where('id', '=', locationId)
    .executeTakeFirst()
  const location = locationOf(placement, locationId)
  const { kind, identity, breaker } = location
  // Asked right before the write, so that a check that began earlier does not undo what the breaker has
  // written meanwhile.
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
  if (hasChanged && error !== null) await beginOutage(placement, location, { cause: error, isDrill })
  // Also where nobody knew any more how it was: whatever began must end some time.
  if (hasChanged && isHealthy) {
    const waited = before?.is_healthy === false ? await wakeWaitingJobs(placement.db) : 0
    await endOutage(placement, location, waited)
  }
  return hasChanged
}

/** Jobs that failed for want of a place run now instead of at the end of their back-off. @returns how many */
export function wakeWaitingJobs(db: Queryable): Promise<number> {
  return wakeJobs(db, WAITING_FOR_A_LOCATION)
}

/** Has the places looked at now instead of at the next check, once however often it is asked for. */
export async function enqueueLocationCheck(db: Queryable): Promise<void> {
  await enqueue(db, 'check-locations', {})
}
