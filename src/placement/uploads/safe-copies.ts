/**
 * Is an object here, so that somebody may be told that it is, and delete theirs? Two questions:
 * `findSafeObjects` asks the ledger and this disk, for any number of objects; `hasCopyNow` asks the bucket as
 * well, by one HEAD.
 */
import { sql } from 'kysely'
import { isAppError } from '../../errors.ts'
import type { ObjectInfo } from '../../storage/backend.ts'
import { knownKey } from '../keys.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { isDoubtedSql, loadObject, noteDoubt } from '../ledger/replicas.ts'
import { isOwned } from '../locations/counter/confirmations.ts'
import { leftToWait } from '../locations/counter/moved-installation.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import { orAborted } from '../or-aborted.ts'
import type { Placement } from '../placement.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { recheckReplica } from '../replica-io/recheck-replica.ts'
import { compareHeld } from '../replica-io/verify.ts'
import type { Comparison } from '../states.ts'

const ACTOR = 'duplicate check'
/**
 * A replica elsewhere counts for as long after its proof, or after a listing that showed it: one listing may
 * fail.
 */
const FRESH_LISTINGS = 2
const LOOKS_AT_ONCE = 16

type Verified = {
  objectId: string
  locationId: string
  key: string
  size: number
  /** Of a file on a disk, when it was proven; null: not noted. */
  modifiedAtMs: number | null
  /**
   * Proven, or seen in a listing, not long ago, at a place that is not in trouble, and nothing speaks against
   * it.
   */
  isFresh: boolean
}

/**
 * Those of the objects that have a verified copy at a place that is configured and ours: elsewhere, and
 * proven or listed not long ago, or a file on this disk, which is looked at. Asks no bucket, so of a place
 * that this process has not yet compared with its ledger nothing counts: the ledger may be an older snapshot
 * of itself, and what it names there long purged. A file that is gone stops counting as a copy.
 */
export async function findSafeObjects(
  placement: Placement,
  objectIds: readonly string[],
): Promise<Set<string>> {
  const verified = await verifiedReplicas(placement, objectIds)
  const replicas = verified.filter(({ locationId }) => isOurs(placement, locationId))
  const isLocal = ({ locationId }: Verified) => locationOf(placement, locationId).kind === 'disk'
  const safe = new Set(
    replicas.filter((replica) => !isLocal(replica) && replica.isFresh).map(({ objectId }) => objectId),
  )
  const files = replicas.filter((replica) => isLocal(replica) && !safe.has(replica.objectId))
  for (let at = 0; at < files.length; at += LOOKS_AT_ONCE) {
    const looks = files.slice(at, at + LOOKS_AT_ONCE).map(async (file) => {
      const held = await lookAtFile(placement, file)
      // One that was changed is read when somebody sends it.
      if (held && [null, held.modifiedAt.getTime()].includes(file.modifiedAtMs)) safe.add(file.objectId)
    })
    await Promise.all(looks)
  }
  return safe
}

/**
 * Compared with the ledger since this process started, and found to be its own; one that went away after that
 * still is. What was compared by another process says nothing here: that one may have had a newer ledger.
 */
function isOurs(placement: Placement, locationId: string): boolean {
  return isOwned(placement, locationId)
}

async function verifiedReplicas(placement: Placement, objectIds: readonly string[]): Promise<Verified[]> {
  if (objectIds.length === 0) return []
  // What belongs to another installation, or may, can be removed by it.
  const places = [...placement.locations.values()]
    .filter(({ id, isReadOnly }) => !isReadOnly && leftToWait(placement, id) === null)
    .map(({ id, identity }) => ({ id, identity }))
  const freshMs = FRESH_LISTINGS * placement.settings.listingIntervalMs
  const { rows } = await sql<Verified>`
    with place as (
      select l.id, l.is_healthy is distinct from false or l.away_since is not null as is_trusted,
        (select max(begun_at) from location_listing where location_id = l.id and finished_at is not null) as seen_at
      from location l join jsonb_to_recordset(${JSON.stringify(places)}::jsonb) as configured (id text, identity text)
        using (id, identity)
      where not exists (select from location_counter where location_id = l.id and conflict is not null))
    select r.object_id as "objectId", r.location_id as "locationId", r.key, o.size,
      (r.proof ->> 'modifiedAtMs')::float8 as "modifiedAtMs",
      place.is_trusted and not ${isDoubtedSql(sql`r`)} and greatest(r.verified_at, place.seen_at) > now() - ${freshMs} * interval '1 millisecond' as "isFresh"
    from replica r join stored_object o on o.id = r.object_id join place on place.id = r.location_id
    where r.object_id = any(${objectIds as string[]}::uuid[]) and r.state = 'verified' and o.state = 'live'`.execute(
    placement.db,
  )
  return rows
}

/**
 * One stat; null: it is gone, or of another size. @throws StorageError unavailable where the disk is not
 * mounted
 */
async function lookAtFile(placement: Placement, file: Verified): Promise<ObjectInfo | null> {
  const { objectId, locationId, size } = file
  const key = knownKey(file.key)
  const held = await locationOf(placement, locationId).backend.head(key)
  if (held?.size === size) return held
  await confirmLocationNow(placement, locationId)
  const reason = held === null ? 'the file is gone' : `the file has ${held.size} bytes, not ${size}`
  await noteBadReplica(placement, { objectId, locationId, key }, { actor: ACTOR, reason })
  return null
}

/**
 * As `lookAtFile`, before sent bytes are thrown away: a file whose time is not the one that it was proven
 * with is read.
 * @throws AppError unavailable where it can't be
 */
async function isFileRight(
  placement: Placement,
  object: StoredObject,
  file: Verified & { replica: Replica },
): Promise<boolean> {
  const held = await lookAtFile(placement, file)
  if (held === null) return false
  if (held.modifiedAt.getTime() === file.modifiedAtMs) return true
  const { answer, error } = await recheckReplica(placement, object, file.replica, ACTOR)
  if (answer === 'unknown') throw error
  return answer === 'same'
}

/**
 * As `findSafeObjects`, of one object whose bytes somebody has just sent: what is no file of this disk is
 * asked for at its place, by one HEAD. For a location that is away, or says nothing of the content, the
 * ledger is believed, unless this process has never compared it with that location. Null: no such object, or
 * it is being purged.
 */
export async function hasCopyNow(placement: Placement, objectId: string): Promise<boolean | null> {
  const loaded = await loadObject(placement.db, objectId)
  if (loaded?.object.state !== 'live') return null
  const verified = await verifiedReplicas(placement, [objectId])
  const isLocal = ({ locationId }: Verified) => locationOf(placement, locationId).kind === 'disk'
  const candidates = verified.flatMap((known) => {
    const replica = loaded.replicas.find(
      ({ locationId, key }) => locationId === known.locationId && key === known.key,
    )
    return replica ? [{ ...known, replica }] : []
  })
  for (const file of candidates)
    if (isLocal(file) && (await isFileRight(placement, loaded.object, file))) return true
  for (const { replica, ...known } of candidates) {
    if (isLocal(known)) continue
    const answer = await lookElsewhere(placement, loaded.object, replica)
    const isBelieved = known.isFresh && isOurs(placement, replica.locationId)
    if (answer === 'same' || (answer === 'unknown' && isBelieved)) return true
  }
  return false
}

async function lookElsewhere(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
): Promise<Comparison> {
  const location = locationOf(placement, replica.locationId)
  let reason = 'nothing is held under the key'
  const signal = AbortSignal.timeout(placement.settings.answerWithinMs)
  try {
    // In a location that may be another installation's, what is there now may be gone tomorrow.
    await orAborted(confirmLocation(placement, location), signal)
    const held = await location.backend.head(replica.key, { signal })
    if (held !== null) {
      const found = compareHeld(object, replica, held)
      if (found.answer !== 'different') return found.answer
      reason = found.reason
      if (found.isByEtag) {
        // Reading it may take longer than somebody waits: the bytes that were sent are kept.
        await noteDoubt(placement.db, replica, reason)
        return 'different'
      }
    }
  } catch (error) {
    const { message } = error as Error
    placement.log.info(
      { objectId: object.id, location: location.id, message },
      'a copy could not be looked at now',
    )
    const mayBeAnothers = isAppError(error, 'conflict') || leftToWait(placement, location.id) !== null
    return mayBeAnothers ? 'different' : 'unknown'
  }
  // At another place of that name nothing is known of the right one, and nothing is there for this file
  // either.
  try {
    await confirmLocationNow(placement, location.id)
    await noteBadReplica(placement, replica, { actor: ACTOR, reason })
  } catch (error) {
    if (!isAppError(error)) throw error
    placement.log.warn(
      { location: location.id, error: error.message },
      'what is not there may be another place',
    )
  }
  return 'different'
}
