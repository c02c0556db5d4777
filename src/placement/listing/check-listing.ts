/**
 * Missing and changed files are noticed by what a location lists: one request for a thousand keys. A listing
 * alone is not believed: what it says is missing or changed is asked for by one HEAD, and the place is
 * confirmed before anything is concluded. Nothing is removed here, least of all what the ledger doesn't know.
 */
import { loadInstallation } from '../../database/backups/installation.ts'
import { AppError, isAppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'
import { isCatalogueKey, partsOfBackupKey, partsOfKey } from '../keys.ts'
import { noteDoubt, proveVerified } from '../ledger/replicas.ts'
import type { Location } from '../location.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { bringBack } from '../replica-io/bring-back.ts'
import { confirmLocationNow, noteBadReplica } from '../replica-io/mark-bad.ts'
import { type Check, compareHeld } from '../replica-io/verify.ts'
import { type Difference, type LedgerReplica, type ListedKey, listLocation } from './list-location.ts'
import {
  addCounts,
  claimListing,
  finishListing,
  type ListingCounts,
  type ListingRun,
  noCounts,
  noteUnsound,
  releaseListing,
  saveProgress,
} from './listing-runs.ts'
import { listsItsMarker } from './sentinel.ts'
import { noteSightings, noteUnfinishedUploads, sightingOf } from './strays.ts'

const ACTOR = 'daily listing'
/** Entries between two saves of the progress. */
const STRETCH = 1_000
const HEADS_AT_ONCE = 8
/**
 * A listing that shows so many in a row as missing or changed that are as they should be is not gone on with:
 * else a service that lists badly would be asked for every single object.
 */
const MAX_FALSE_ALARMS = 200

export type ListingReport = {
  locationId: string
  /** Of this run, which may have gone on with an earlier one. */
  found: ListingCounts
  /** False: it was interrupted, and goes on there the next time. */
  isFinished: boolean
}
type Options = {
  signal?: AbortSignal | undefined
  onProgress?: ((found: ListingCounts) => void) | undefined
}

/**
 * Lists a location where that is due (`isNow`: in any case) and makes suspect what is missing or changed
 * there. Goes on where an earlier run was cut. Null where it is not due, or another process is at it.
 * @throws what the listing, a HEAD or the confirmation of the place fails with; then it goes on there the
 *   next time
 */
export async function checkListing(
  placement: Placement,
  locationId: string,
  { isNow = false, ...options }: Options & { isNow?: boolean } = {},
): Promise<ListingReport | null> {
  const location = locationOf(placement, locationId)
  const run = await claimListing(placement, locationId, { isNow })
  if (run === null) return null
  const total = noCounts()
  try {
    await noteSoundness(placement, location, run)
    const isFinished = await goThrough(placement, location, run, { ...options, total })
    if (isFinished) await finish(placement, location, run, options.signal)
    else await releaseListing(placement, run, null)
    return { locationId, found: total, isFinished }
  } catch (error) {
    const isInterrupted = options.signal?.aborted === true
    await releaseListing(placement, run, isInterrupted ? null : (error as Error).message)
    if (isInterrupted) return { locationId, found: total, isFinished: false }
    throw error
  }
}

/**
 * At the beginning and at the end: of what is listed in between, what nobody knows may be given up one day.
 */
async function noteSoundness(placement: Placement, location: Location, run: ListingRun): Promise<void> {
  try {
    if (await listsItsMarker(placement, location)) return
    placement.log.warn({ location: location.id }, 'a listing does not show the marker of its location')
    await noteUnsound(placement, run)
  } catch (error) {
    if (isAppError(error, 'conflict')) await noteUnsound(placement, run)
    throw error
  }
}

async function finish(
  placement: Placement,
  location: Location,
  run: ListingRun,
  signal: AbortSignal | undefined,
): Promise<void> {
  const uploadsError = await noteUnfinishedUploads(placement, location, signal)
  await noteSoundness(placement, location, run)
  if (!(await finishListing(placement, run, { locationId: location.id, uploadsError })))
    throw new AppError('conflict', `another process goes on with the listing of ${location.id}`)
}

/** True: to its end. */
async function goThrough(
  placement: Placement,
  location: Location,
  run: ListingRun,
  { total, signal, onProgress }: Options & { total: ListingCounts },
): Promise<boolean> {
  const { id: installation } = await loadInstallation(placement.db)
  const alarms = { falseOnes: 0 }
  let stretch: Difference[] = []
  const endStretch = async () => {
    const last = stretch.at(-1)
    if (last === undefined) return
    const found = countListed(stretch, installation)
    await noteSightings(placement.db, location.id, straysOf(stretch))
    await lookAtDoubtful(placement, location, { run, stretch, found, alarms })
    if (!(await saveProgress(placement, run, (last.listed ?? last.replica)!.key, found)))
      throw new AppError('conflict', `another process goes on with the listing of ${location.id}`)
    addCounts(total, found)
    onProgress?.(total)
    stretch = []
  }
  for await (const entry of listLocation(placement, location, { after: run.afterKey, signal })) {
    stretch.push(entry)
    if (stretch.length < STRETCH) continue
    await endStretch()
    if (signal?.aborted) return false
  }
  await endStretch()
  return true
}

function straysOf(stretch: readonly Difference[]) {
  return stretch.flatMap((entry) => {
    if (entry.replica !== null || entry.stray === 'under-way') return []
    return sightingOf(entry.listed) ?? []
  })
}

function countListed(stretch: readonly Difference[], installation: string): ListingCounts {
  const found = noCounts()
  for (const entry of stretch) {
    const isCounted = entry.replica?.state === 'verified' && entry.replica.objectState === 'live'
    if (isCounted) found.expected += 1
    if (entry.listed === null) continue
    if (isCounted) found.found += 1
    found.listed.count += 1
    found.listed.bytes += entry.listed.size
    if (entry.replica !== null || entry.stray === 'under-way') continue
    if (partsOfKey(entry.listed.key) === null) {
      found.foreign.count += 1
      found.foreign.bytes += entry.listed.size
    }
    // Ours, though nobody counts on it: damaged, say, or from before this ledger was restored.
    if (partsOfBackupKey(entry.listed.key)?.installation === installation) continue
    if (isCatalogueKey(entry.listed.key, installation)) continue
    found.unknown.count += 1
    found.unknown.bytes += entry.listed.size
  }
  return found
}

/**
 * What the listing throws doubt on: each is asked for, and what is bad is noted once the place was confirmed
 * after that.
 */
async function lookAtDoubtful(
  placement: Placement,
  location: Location,
  {
    run,
    stretch,
    found,
    alarms,
  }: { run: ListingRun; stretch: readonly Difference[]; found: ListingCounts; alarms: { falseOnes: number } },
): Promise<void> {
  const doubtful = stretch.flatMap(({ listed, replica }) =>
    replica !== null && isDoubtful(run, listed, replica) ? [{ listed, replica }] : [],
  )
  const bad: Bad[] = []
  for (let at = 0; at < doubtful.length; at += HEADS_AT_ONCE) {
    const looks = doubtful
      .slice(at, at + HEADS_AT_ONCE)
      .map(({ listed, replica }) => lookAtOne(placement, location, listed, replica))
    const answers = await Promise.all(looks)
    bad.push(...answers.filter((answer) => typeof answer === 'object'))
    const areFalse = answers.every((answer) => answer === 'false-alarm')
    alarms.falseOnes = areFalse ? alarms.falseOnes + answers.length : 0
    if (alarms.falseOnes > MAX_FALSE_ALARMS)
      throw new AppError(
        'unavailable',
        `${location.label} does not list correctly what it holds: this listing is ignored`,
      )
  }
  if (bad.length === 0) return
  // Another bucket of that name, or a folder without its mount, says of everything that it is not there.
  await confirmLocationNow(placement, location.id)
  for (const { replica, isMissing, reason } of bad) {
    const isNoted = await noteBadReplica(
      placement,
      { ...replica, locationId: location.id },
      { actor: ACTOR, reason },
    )
    if (isNoted) found[isMissing ? 'missing' : 'different'] += 1
  }
}

/** A copy that somebody has hidden is brought back, which says nothing against the listing. */
async function lookAtOne(
  ...[placement, location, listed, replica]: Parameters<typeof lookAt>
): ReturnType<typeof lookAt> {
  try {
    return await lookAt(placement, location, listed, replica)
  } catch (error) {
    if (!isStorageError(error, 'hidden')) throw error
    const named = { ...replica, locationId: location.id }
    if (!(await bringBack(placement, named))) await noteDoubt(placement.db, named, error.message)
    return 'renamed'
  }
}

type Bad = { replica: LedgerReplica; isMissing: boolean; reason: string }

/**
 * One HEAD of what the listing throws doubt on. `renamed`: only its ETag is another one. After a bucket was
 * copied that is so of all that it holds: what the location attests to is proven with it, and the rest is
 * doubted, and read by and by. `false-alarm`: it is not as the listing says.
 */
async function lookAt(
  { db }: Placement,
  { id, backend }: Location,
  listed: ListedKey | null,
  replica: LedgerReplica,
): Promise<Bad | 'renamed' | 'false-alarm'> {
  const held = await backend.head(replica.key)
  if (held === null) return { replica, isMissing: true, reason: 'nothing is held under the key' }
  const check: Check = compareHeld(replica, replica, held)
  const named = { ...replica, locationId: id }
  if (check.answer === 'different') {
    if (!check.isByEtag) return { replica, isMissing: false, reason: check.reason }
    await noteDoubt(db, named, check.reason)
    return 'renamed'
  }
  if (check.answer === 'unknown' || listed === null || held.etag !== listed.etag) return 'false-alarm'
  // Not where it was found bad, given up or moved since the ledger was read.
  await proveVerified(db, named, { level: check.level, proof: check.proof, actor: ACTOR })
  return 'renamed'
}

/** Of a copy that was proven since the listing began, an older page of it says nothing. */
function isDoubtful(run: ListingRun, listed: ListedKey | null, replica: LedgerReplica): boolean {
  if (replica.state !== 'verified' || replica.objectState !== 'live') return false
  if (replica.verifiedAt === null || replica.verifiedAt >= run.begunAt) return false
  if (listed === null) return true
  if (listed.size !== replica.size) return true
  // It waits to be read, which tells.
  if (replica.proof?.doubt !== undefined) return false
  const known = replica.proof?.etag
  return known !== undefined && listed.etag !== null && listed.etag !== known
}
