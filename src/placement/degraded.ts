/** What people are told while a place is in trouble: what goes on, what waits, and that nothing is lost. */
import type { ObjectKind } from '../database/schema.ts'
import { type DirectMode, isDirectPossible } from './direct-target.ts'
import { currentDrills } from './drill.ts'
import { forwardLocation } from './forward.ts'
import type { Location, Placement } from './placement.ts'

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

/** How the uploads of whoever is told go. */
export type UploadManner = {
  /** On to the place of originals before they are acknowledged (s3-first): without it none is. */
  areForwarded: boolean
  directMode: DirectMode
}

/** Which configured places are in trouble, and what that means for people. `places` is for administrators alone. */
export async function storageHealth(placement: Placement, uploads: UploadManner): Promise<StorageHealth> {
  const [rows, drills] = await Promise.all([
    placement.db
      .selectFrom('location')
      .select(['id', 'is_healthy', 'health_error', 'health_changed_at', 'away_since'])
      .execute(),
    currentDrills(placement.db),
  ])
  const places: PlaceInTrouble[] = []
  for (const { id, label } of placement.locations.values()) {
    const row = rows.find((one) => one.id === id)
    const drill = drills.find(({ locationId }) => locationId === id)
    if (row?.is_healthy !== false && drill === undefined) continue
    places.push({
      id,
      label,
      since: (drill?.startedAt ?? row?.health_changed_at)?.toISOString() ?? null,
      error: row?.health_error ?? null,
      isAway: drill !== undefined || row?.away_since != null,
      drillEndsAt: drill?.endsAt.toISOString() ?? null,
    })
  }
  if (places.length === 0) return WELL
  const since = places
    .flatMap((place) => place.since ?? [])
    .sort()
    .at(0)
  return { isDegraded: true, since: since ?? null, ...consequences(placement, places, uploads), places }
}

function consequences(
  placement: Placement,
  places: readonly PlaceInTrouble[],
  uploads: UploadManner,
): Pick<StorageHealth, 'message' | 'works' | 'waits'> {
  const isIn = (which: readonly PlaceInTrouble[], id: string) => which.some((place) => place.id === id)
  if (isIn(places, placement.local.id)) {
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
  const target = forwardLocation(placement, 'original')
  const isTargetIll = target !== null && isIn(places, target.id)
  if (isTargetIll && uploads.areForwarded) waits.push('uploading, which is refused until then')
  else works.push('uploading')
  ;(areAway('thumbnail') || areAway('preview') ? waits : works).unshift('browsing')
  ;(areAway('original') ? waits : works).push('opening and downloading originals')
  const copies = placement.policy.original.some((id) => isIn(places, id))
  if (copies) waits.push('moving originals there; they stay on this server meanwhile')
  const mayGoDirect = isTargetIll && !uploads.areForwarded && isDirectPossible(placement, uploads.directMode)
  if (mayGoDirect) waits.push('uploading straight into the bucket; files can go through this server')
  return { message: sentence(works, waits), works, waits }
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
    : 'Uploads are refused until it is well, everything else goes on'
  return `A place where photos are kept needs the attention of an administrator. ${goesOn}, and nothing is lost.`
}

/**
 * The sentence of an answer to somebody who wants bytes that can't be had now. `at` is where they are; empty: nowhere that is
 * known to be good.
 */
export function unreachableSentence(
  object: { kind: ObjectKind; contentType: string },
  at: readonly Pick<Location, 'kind' | 'isDemonstration'>[],
): string {
  const whose = object.contentType.startsWith('video/') ? "This video's" : "This photo's"
  const what = object.kind === 'original' ? `${whose} original` : 'This picture'
  if (at.length === 0) return `${what} can't be read now; an administrator should look at the storage page.`
  const where = at.some(({ kind }) => kind !== 'disk') ? 'in the bucket' : 'on the disk of the server'
  return `${what} is ${where}, which can't be reached now; it is not lost. Try again later.`
}
