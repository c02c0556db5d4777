/**
 * Where clients may put originals past us: only where the bucket was seen to hold them to what they were
 * given.
 */
import { AppError, isAppError } from '../../errors.ts'
import type { Features } from '../../storage/backend.ts'
import type { ProbeReport } from '../../storage/probe-report.ts'
import type { Location } from '../location.ts'
import { assertOneLedger } from '../locations/counter/conflict.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { ttlCache } from '../ttl-cache.ts'

/**
 * `auto`: only where the bucket was seen to refuse what a URL was not made for; `on`: wherever there is a
 * bucket.
 */
export type DirectMode = 'auto' | 'on' | 'off'
export type DirectTarget = { location: Location; features: Features }
/**
 * `reason` is for whoever uploads; `cause` names buckets, settings and remedies, and is for administrators.
 */
export type NoDirectTarget = { reason: string; cause: string }
export type SignedRequest = { url: string; headers: Record<string, string> }

/** While there is none it is looked up at each call, so that a probe takes effect at once. */
const lately = ttlCache<Placement, DirectTarget | NoDirectTarget>((answer) => 'location' in answer)

/** Looked up in the database every few seconds. */
export async function findDirectTarget(
  placement: Placement,
  mode: DirectMode,
): Promise<DirectTarget | NoDirectTarget> {
  if (mode === 'off')
    return no('direct uploads are switched off', 'direct uploads are switched off (storage.upload.direct)')
  return lately(placement, mode, () => queryForTarget(placement, mode))
}

/** @throws AppError unavailable, with the reason in words for this reader */
export async function requireDirectTarget(
  placement: Placement,
  mode: DirectMode,
  { isAdmin }: { isAdmin: boolean },
): Promise<DirectTarget> {
  const target = await findDirectTarget(placement, mode)
  if ('location' in target) return target
  throw new AppError('unavailable', `No direct uploads: ${isAdmin ? target.cause : target.reason}`)
}

async function queryForTarget(
  placement: Placement,
  mode: DirectMode,
): Promise<DirectTarget | NoDirectTarget> {
  const location = directLocation(placement)
  if (location === null) return noTarget(placement)
  const row = await placement.db
    .selectFrom('location')
    .select(['is_healthy', 'health_error', 'probe', 'marker'])
    .where('id', '=', location.id)
    .executeTakeFirst()
  if (row?.marker == null) return no('the bucket has not been reached yet')
  try {
    await assertOneLedger(placement, location)
  } catch (error) {
    if (!isAppError(error, 'conflict')) throw error
    // Its sentence is for the person who decides, and is shown where the decision is made.
    return no("the bucket can't be used at the moment", 'another database has used the bucket')
  }
  if (row.is_healthy === false)
    return no("the bucket can't be used at the moment", row.health_error ?? 'the bucket is not well')
  try {
    // A URL is leave to write: as for any write, the place must be ours, and know no other ledger.
    await confirmLocation(placement, location)
  } catch (error) {
    return no("the bucket can't be used at the moment", (error as Error).message)
  }
  const probe = row.probe as ProbeReport | null
  // The probe may have run in another process than this one.
  const features = probe?.features ?? location.backend.features
  const doubt = mode === 'auto' ? doubtOf(probe) : null
  if (doubt !== null) return no('the bucket is not fit for uploads past the server', doubt)
  if (!takesSinglePuts(features) && features.multipart === null)
    return no(
      'the bucket is not fit for uploads past the server',
      'the bucket overwrites what is there (If-None-Match) and takes no uploads in parts',
    )
  return { location, features }
}

function noTarget(placement: Placement): NoDirectTarget {
  const isKeyNeeded = placement.policy.original.some((id) => locationOf(placement, id).kind === 's3')
  return isKeyNeeded
    ? no(
        'the bucket is encrypted with a key that no client is given',
        'the bucket is encrypted with sse-c, whose key no client is given',
      )
    : no('originals do not belong in a bucket')
}

function no(reason: string, cause = reason): NoDirectTarget {
  return { reason, cause }
}

/** Why a URL of this bucket may be good for more than it was made for; null: it was seen not to be. */
function doubtOf(probe: ProbeReport | null): string | null {
  if (probe === null) return 'the bucket has not been probed yet'
  if (!probe.features.enforcedDigests.includes('md5'))
    return 'the bucket takes bytes that are not what they were announced as (Content-MD5 is not enforced)'
  if (probe.features.presignedPut === true) return null
  const finding = probe.findings.find(({ id, ok }) => id === 'presigned-put' && !ok)
  return finding === undefined
    ? 'presigned puts have not been probed yet'
    : `the bucket does not hold presigned puts to what was signed: ${finding.detail}`
}

/**
 * A single put stays possible until its URL ends, long after the bytes were proven. Where it could put again
 * what is there, or half of it, files go in parts, however small: their URLs are good for nothing once the
 * parts are an object.
 */
export function takesSinglePuts(features: Pick<Features, 'conditionalPut'>): boolean {
  return features.conditionalPut === true
}

function directLocation(placement: Placement): Location | null {
  for (const id of placement.policy.original) {
    const location = locationOf(placement, id)
    if (location.kind === 's3' && location.backend.presign && location.backend.multipart) return location
  }
  return null
}

/** Whether clients are offered direct uploads while the bucket is well, as far as this process knows. */
export function isDirectPossible(placement: Placement, mode: DirectMode): boolean {
  const location = directLocation(placement)
  if (mode === 'off' || location === null) return false
  const { enforcedDigests, presignedPut } = location.backend.features
  return mode === 'on' || (enforcedDigests.includes('md5') && presignedPut === true)
}
