/**
 * An administrator decides that this ledger goes on with a location that another state of it has used
 * meanwhile: it was restored from a backup, say. What the location holds is listed and laid beside the rows:
 * right bytes become verified replicas, what is missing or wrong stops counting, and what the ledger doesn't
 * know stays where it is. Nothing is removed, and nothing is put but the counter, which is taken over first,
 * so that the other ledger stops, and bytes that were on their way out, once more under a fresh key.
 *
 * Until the end the location stays in conflict: nothing else writes or removes there. Killed at any point,
 * the job goes on behind the last key that it noted; looking at a key twice changes nothing.
 */
import { sql } from 'kysely'
import { AppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { adoptBackup } from '../backups/adopt-backup.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { Replica } from '../ledger/objects.ts'
import {
  doubtReplica,
  keepReplica,
  loadObject,
  lockObject,
  noteDoubt,
  proveVerified,
  type ReplicaName,
} from '../ledger/replicas.ts'
import { type Difference, type ListedKey, listLocation } from '../listing/list-location.ts'
import type { Location } from '../location.ts'
import { endOwning, forgetLook } from '../locations/counter/confirmations.ts'
import { endConflict } from '../locations/counter/conflict.ts'
import { assertOwnCounter } from '../locations/counter/take.ts'
import { locationOf, recordHealth, wakeWaitingJobs } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { isToGo } from '../removal/asked-to-go.ts'
import { asFound, putAnew } from '../removal/put-anew.ts'
import { asReplica } from '../removal/remove.ts'
import { adoptBytes } from '../replica-io/adopt-bytes.ts'
import { bringBackInTakeover } from '../replica-io/bring-back.ts'
import { noteBadReplica } from '../replica-io/mark-bad.ts'
import { asItsCopy } from '../replica-io/prove-copy.ts'
import {
  type Check,
  checkByHead,
  checkFully,
  checkNow,
  type Different,
  type Same,
} from '../replica-io/verify.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER } from '../states.ts'
import { isArchiveClass } from '../storage-classes.ts'
import { type AdoptionOptions, type AdoptionReport, add, noteProgress } from './adoption.ts'
import { type Candidate, candidatesFor, isNamedElsewhere, looksRight, type NamedElsewhere } from './listed.ts'

const ACTOR = 'adopt'
/** Entries between two notes of the progress. */
const STRETCH = 200
/** The same in time: what has to be read takes long, and should not be read again after a kill. */
const STRETCH_MS = 1_000
/** Somebody who gives up a copy is done with it by then, or has died. */
const GIVEN_UP_MS = 30_000

/**
 * The work of `beginAdoption`. Run again after any interruption it goes on. @throws what the place throws; a
 * later try goes on
 */
export async function adoptLocation(
  placement: Placement,
  { locationId }: { locationId: string },
  { signal, onProgress }: AdoptionOptions = {},
): Promise<AdoptionReport | null> {
  const { db } = placement
  const location = locationOf(placement, locationId)
  const row = await db
    .selectFrom('adoption')
    .select(['after_key', 'report', 'started_at'])
    .where('location_id', '=', locationId)
    .where('state', '=', 'running')
    .executeTakeFirst()
  if (!row) return null
  await assertOwnCounter(placement, location)
  const report = row.report as AdoptionReport
  const stretch = { entries: 0, beganAt: performance.now() }
  for await (const entry of listLocation(placement, location, { after: row.after_key, signal })) {
    signal?.throwIfAborted()
    if (entry.listed) add(report.held, entry.listed.size)
    await takeIn(placement, location, entry, report, signal)
    stretch.entries += 1
    if (stretch.entries < STRETCH && performance.now() - stretch.beganAt < STRETCH_MS) continue
    await noteProgress(
      db,
      { locationId, startedAt: row.started_at },
      {
        after_key: (entry.listed ?? entry.replica)!.key,
        report: JSON.stringify(report),
      },
    )
    stretch.entries = 0
    stretch.beganAt = performance.now()
    onProgress?.(report)
  }
  // Somebody else may have taken it over meanwhile, with another ledger.
  await assertOwnCounter(placement, location)
  await db.transaction().execute(async (tx) => {
    await noteProgress(
      tx,
      { locationId, startedAt: row.started_at },
      {
        state: 'done',
        report: JSON.stringify(report),
        finished_at: sql<Date>`now()`,
      },
    )
    await endConflict(tx, locationId)
  })
  placement.log.info({ location: locationId, ...report }, 'what the location holds was taken into the ledger')
  // From here on it is ours, as after a start.
  forgetLook(placement, location)
  endOwning(placement, location)
  await recordHealth(placement, locationId, null)
  await wakeWaitingJobs(db)
  return report
}

async function takeIn(
  placement: Placement,
  location: Location,
  entry: Difference,
  report: AdoptionReport,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { listed, replica } = entry
  if (replica === null) {
    const isAdopted = await adoptStray(placement, location, listed, { report, signal })
    add(isAdopted ? report.adopted : report.unknown, listed.size)
    return
  }
  if (replica.objectState === 'purging') return
  if (listed === null && replica.state !== 'verified') return
  if (listed !== null && replica.state === 'verified' && looksRight(listed, replica)) {
    add(report.confirmed, listed.size)
    return
  }
  const loaded = await loadObject(placement.db, replica.objectId)
  const now = loaded?.replicas.find((one) => one.locationId === location.id && one.key === replica.key)
  if (!loaded || !now) return
  // An upload past us is proven, and becomes a photo, when its time is over.
  if (now.state === 'writing' && (await isAwaited(placement, replica.objectId))) return
  const check = await requireAnswer(placement, now, () => checkNow(placement, loaded.object, now, signal))
  // Nobody can tell now, nor on any later try: its row stays as it is.
  if (check.answer === 'unknown') {
    if (!check.isHidden) return
    // The copy counts, and is brought back when it is read.
    await noteDoubt(placement.db, now, check.reason)
    add(report.toRead, replica.size)
    return
  }
  if (check.answer === 'same') {
    // Its deletion may be on its way.
    const isPut =
      now.state === 'evicting' &&
      (await putAnew(placement, loaded.object, now, { actor: ACTOR, signal })) !== 'not-now'
    if (!isPut) await keep(placement, now, check)
    add(replica.state === 'verified' ? report.confirmed : report.adopted, replica.size)
    return
  }
  // A write that was not finished, or an eviction: what is to become of it is decided when the location is
  // ours again.
  if (now.state !== 'verified') {
    if (!check.isAbsent) add(report.wrong, listed?.size ?? replica.size)
    return
  }
  // All files of a bucket that was copied are like this: they are read by and by, and can be read meanwhile.
  if (check.isByEtag) {
    await noteDoubt(placement.db, now, check.reason)
    add(report.confirmed, replica.size)
    add(report.toRead, replica.size)
    return
  }
  await noteBadReplica(placement, now, { actor: ACTOR, reason: check.reason })
  add(check.isAbsent ? report.missing : report.wrong, replica.size)
}

async function isAwaited({ db, isAwaited }: Placement, objectId: string): Promise<boolean> {
  const { rows } = await sql<{ yes: boolean }>`select ${isAwaited(sql`${objectId}::uuid`)} as yes`.execute(db)
  return rows[0]!.yes
}

async function keep(placement: Placement, replica: Replica, check: Same): Promise<void> {
  const { level, proof } = check
  await placement.db.transaction().execute(async (tx) => {
    await lockObject(tx, replica.objectId)
    // A verified one is proven anew: only its ETag is another one.
    const keepAs = replica.state === 'verified' ? proveVerified : keepReplica
    if (!(await keepAs(tx, replica, { level, proof, actor: ACTOR })))
      throw new RetryLater(`a copy at ${replica.locationId} is being given up`, GIVEN_UP_MS)
    await enqueueNextSteps(tx, placement, replica.objectId)
  })
}

/** Bytes under a key that this ledger has no replica for: of a file that it knows, or not. */
async function adoptStray(
  placement: Placement,
  location: Location,
  listed: ListedKey,
  { report, signal }: { report: AdoptionReport; signal: AbortSignal | undefined },
): Promise<boolean> {
  for (const candidate of await candidatesFor(placement, location, listed)) {
    const { object } = candidate
    const found = { objectId: object.id, locationId: location.id, key: listed.key }
    const named = isNamedElsewhere(candidate) ? candidate : null
    const seen =
      named &&
      (await requireAnswer(placement, named.here, () => checkFully(placement, object, named.here, signal)))
    // The named key is looked at when another one is found: it may come first or last in the listing.
    if (seen !== null && seen.answer !== 'different') continue
    const check = await requireAnswer(placement, found, () =>
      lookAtFound(placement, candidate, found, signal),
    )
    if (check.answer !== 'same') continue
    if (named !== null && seen !== null) await leaveNamed(placement, named, seen, report)
    if (await isToGo(placement, found)) {
      const result = await putAnew(placement, object, asFound(placement, found, check), {
        actor: ACTOR,
        signal,
      })
      if (result === 'done') return true
      if (result === 'settled-meanwhile') continue
    }
    const { level, proof, held } = check
    const result = await placement.db.transaction().execute(async (tx) => {
      const now = await lockObject(tx, object.id)
      // Given up while they were read: as replica of what is to go they would go with it, unseen.
      if (now?.object.state !== 'live') return 'taken'
      const adopted = await adoptBytes(tx, found, { level, proof, held, actor: ACTOR })
      if (adopted === 'adopted') await enqueueNextSteps(tx, placement, object.id)
      return adopted
    })
    if (result === 'adopted') return true
  }
  // Made after the backup that this ledger was restored from.
  return adoptBackup(placement, location, listed, signal)
}

/**
 * What the replica names is not there any more, or is wrong: its bytes have got another key since, by a
 * change of class or a repair.
 */
async function leaveNamed(
  placement: Placement,
  { object, here }: NamedElsewhere,
  { isAbsent, reason }: Different,
  report: AdoptionReport,
): Promise<void> {
  if (here.state === 'verified') {
    if (await noteBadReplica(placement, here, { actor: ACTOR, reason }))
      add(isAbsent ? report.missing : report.wrong, object.size)
    return
  }
  if ((here.leaseLeftMs ?? 0) > 0)
    throw new RetryLater(`a copy at ${here.locationId} is being given up`, GIVEN_UP_MS)
  await placement.db.transaction().execute(async (tx) => {
    await lockObject(tx, object.id)
    await doubtReplica(tx, here, ACTOR)
  })
}

/**
 * Found bytes may be a copy that the location has made itself, as of a class change: what is known of the
 * replica tells them, where nobody can read them. Where it does not, they are any bytes.
 */
async function lookAtFound(
  placement: Placement,
  { object, here }: Candidate,
  found: ReplicaName,
  signal: AbortSignal | undefined,
): Promise<Check> {
  if (here !== null && (here.proofLevel ?? 0) >= LEVEL_TO_GIVE_UP_ANOTHER) {
    const check = await checkByHead(placement, object, asItsCopy(placement, here, found.key))
    if (check.answer === 'same') return check
  }
  return checkNow(placement, object, asReplica(placement, found), signal)
}

/**
 * What a stranger's delete marker hides is brought back and looked at again. `unknown` only of what is
 * archived, or hidden and not to be brought back now: no later try of this job could tell either.
 */
async function requireAnswer(
  placement: Placement,
  what: ReplicaName,
  look: () => Promise<Check>,
): Promise<Check> {
  let check = await look()
  if (check.answer === 'unknown' && check.isHidden && (await bringBackInTakeover(placement, what)))
    check = await look()
  if (check.answer !== 'unknown' || check.isHidden) return check
  if (isArchiveClass(check.held?.storageClass ?? null)) return check
  throw new AppError('unavailable', `${locationOf(placement, what.locationId).label}: ${check.reason}`)
}
