/** What people see while a location is in trouble: what works, what waits, and that nothing is lost. */
import type { CounterConflict, ObjectKind } from '../../database/schema.ts'
import { currentDrills } from '../locations/drill.ts'
import type { Placement } from '../placement.ts'
import { type LedgerStatus, ledgerStatuses } from '../takeover/ledger-status.ts'
import { type DirectMode, isDirectPossible } from '../uploads/direct-target.ts'
import { writeThroughLocation } from '../uploads/write-through.ts'

export type PlaceInTrouble = {
  id: string
  label: string
  /** ISO 8601; null where the trouble is older than our memory of it. */
  since: string | null
  error: string | null
  /** It can't be reached, as opposed to one that answers and does not do its work. */
  isAway: boolean
  /** The end of the drill that blocks it; null where it is no drill. */
  drillEndsAt: string | null
  /** Another ledger has used it: nothing is written or removed there until an administrator decides. */
  conflict: CounterConflict | null
  /** What it holds is being taken over, as an administrator decided. */
  isBeingAdopted: boolean
  /** It is left alone until then, for this installation was copied or moved; null: it is not. */
  waitsUntil: string | null
}

export type StorageHealth = {
  isDegraded: boolean
  since: string | null
  /** For everybody; names no place and no cause. */
  message: string | null
  /** Short phrases: what people can do all the same, and what only goes on when all is well. */
  works: string[]
  waits: string[]
  places: PlaceInTrouble[]
}

const WELL: StorageHealth = {
  isDegraded: false,
  since: null,
  message: null,
  works: [],
  waits: [],
  places: [],
}

/** How the uploads of the person go who sees this. */
export type UploadManner = {
  /**
   * They go to the location of originals before they are acknowledged (s3-first): without it, none is
   * acknowledged.
   */
  areWrittenThrough: boolean
  directMode: DirectMode
}

/**
 * Which configured places are in trouble, and what that means for people. `places` is for administrators
 * alone.
 */
export async function storageHealth(placement: Placement, uploads: UploadManner): Promise<StorageHealth> {
  const [rows, drills, ledgers] = await Promise.all([
    placement.db
      .selectFrom('location')
      .select(['id', 'is_healthy', 'health_error', 'health_changed_at', 'away_since'])
      .execute(),
    currentDrills(placement.db),
    ledgerStatuses(placement),
  ])
  const places: PlaceInTrouble[] = []
  for (const { id, label } of placement.locations.values()) {
    const row = rows.find((one) => one.id === id)
    const drill = drills.find(({ locationId }) => locationId === id)
    const ledger = ledgers.get(id)!
    if (row?.is_healthy !== false && drill === undefined && ledger.conflict === null) continue
    places.push({
      id,
      label,
      since: (drill?.startedAt ?? row?.health_changed_at)?.toISOString() ?? ledger.since,
      error: row?.health_error ?? null,
      isAway: drill !== undefined || row?.away_since != null,
      drillEndsAt: drill?.endsAt.toISOString() ?? null,
      ...standingOf(ledger),
    })
  }
  if (places.length === 0) return WELL
  const since = places
    .flatMap((place) => place.since ?? [])
    .sort()
    .at(0)
  return { isDegraded: true, since: since ?? null, ...consequences(placement, places, uploads), places }
}

function standingOf({ conflict, waiting, adoption }: LedgerStatus) {
  return {
    conflict,
    isBeingAdopted: conflict !== null && adoption?.state === 'running',
    waitsUntil: waiting?.until ?? null,
  }
}

function consequences(
  placement: Placement,
  places: readonly PlaceInTrouble[],
  uploads: UploadManner,
): Pick<StorageHealth, 'message' | 'works' | 'waits'> {
  const isIn = (which: readonly PlaceInTrouble[], id: string) => which.some((place) => place.id === id)
  const disk = places.find(({ id }) => id === placement.local.id)
  if (disk && disk.conflict === null) {
    return {
      message:
        'The disk of this server is in trouble. Uploading and looking at photos may fail until an administrator has seen to it.',
      works: ['what needs no file, such as albums and search'],
      waits: ['uploading, and everything that is read from the disk'],
    }
  }
  const away = places.filter(({ isAway }) => isAway)
  const areAway = (kind: ObjectKind) => placement.policy[kind].every((id) => isIn(away, id))
  const works: string[] = []
  const waits: string[] = []
  const target = writeThroughLocation(placement, 'original')
  const isTargetIll = target !== null && isIn(places, target.id)
  // On the disk every upload arrives.
  if (disk || (isTargetIll && uploads.areWrittenThrough)) waits.push('uploading, which is refused until then')
  else works.push('uploading')
  ;(areAway('thumbnail') || areAway('preview') ? waits : works).unshift('browsing')
  ;(areAway('original') ? waits : works).push('opening and downloading originals')
  const isInConflict = places.some(({ conflict }) => conflict !== null)
  if (isInConflict) waits.push('removing files for good')
  const copies = placement.policy.original.some((id) => isIn(places, id))
  if (copies) waits.push('moving originals there; they stay on this server meanwhile')
  const mayGoDirect =
    isTargetIll && !uploads.areWrittenThrough && isDirectPossible(placement, uploads.directMode)
  if (mayGoDirect) waits.push('uploading straight into the bucket; files can go through this server')
  const isUploading = works.includes('uploading')
  if (away.length > 0) return { message: sentence(works, waits), works, waits }
  if (isInConflict) return { message: conflictSentence(places, { isUploading }), works, waits }
  if (places.every(({ waitsUntil }) => waitsUntil !== null))
    return { message: waitSentence(isUploading), works, waits }
  return { message: sentence(works, waits), works, waits }
}

/** Says nothing of what is lost: what only a newer database knew may be. */
function conflictSentence(
  places: readonly PlaceInTrouble[],
  { isUploading }: { isUploading: boolean },
): string {
  const isDecided = places.every(({ conflict, isBeingAdopted }) => conflict === null || isBeingAdopted)
  const goesOn = isUploading
    ? 'Looking at photos and uploading go on'
    : 'Looking at photos goes on; uploads are refused until then'
  return isDecided
    ? `An administrator has decided that this server goes on with the photos it has found; they are being looked through. ${goesOn}. Nothing there is removed meanwhile.`
    : 'The photos in storage are not the ones that this server remembers: an older backup was put back, or a copy of this server is in use. ' +
        `An administrator has to decide how it goes on. ${goesOn}. Nothing there is removed meanwhile.`
}

function waitSentence(isUploading: boolean): string {
  const goesOn = isUploading
    ? 'Looking at photos and uploading go on meanwhile'
    : 'Looking at photos goes on meanwhile; uploads are refused until then'
  return `This server was moved or copied. For some minutes it waits to see whether another one still uses the same storage. ${goesOn}.`
}

function sentence(works: readonly string[], waits: readonly string[]): string {
  const isUploading = works.includes('uploading')
  if (waits.includes('browsing')) {
    const uploading = isUploading
      ? 'Uploading goes on, and nothing'
      : 'Uploads are refused until it is back; nothing that is here'
    return `The place where photos are kept can't be reached now, so some can't be shown. ${uploading} is lost.`
  }
  if (waits.includes('opening and downloading originals')) {
    const what = isUploading
      ? 'Browsing and uploading go on; originals open again when it is back. Nothing'
      : 'Browsing goes on. Until it is back, uploads are refused and originals do not open; nothing that is here'
    return `The place where originals are kept can't be reached now. ${what} is lost.`
  }
  const goesOn = isUploading
    ? 'Everything goes on meanwhile'
    : 'Uploads are refused until it works again; everything else goes on'
  return `A place where photos are kept needs the attention of an administrator. ${goesOn}, and nothing is lost.`
}
