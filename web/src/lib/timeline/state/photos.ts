/** The photographs of a month, as the timeline holds them. Pure. */
import type { Asset, BucketColumns } from '../../api-types.ts'
import { formatClip } from '../../format.ts'

export type Photo = {
  id: string
  /** Whose it is: in albums, others' photos lie beside one's own. */
  ownerId: string
  /** Width / height; 1 where unknown. */
  ratio: number
  isFavorite: boolean
  isImage: boolean
  thumbhash: string | null
  /** Its previews are still to be made. False with no thumbhash: there will be none. */
  isPreparing: boolean
  durationMs: number | null
  /** The moving part of a live photo. */
  livePhotoVideoId: string | null
  /**
   * The wall clock where it was taken, as milliseconds since 1970 as if UTC. What the timeline is ordered by,
   * newest first.
   */
  wallClockMs: number
}

/** What a timeline is ordered by: when it was taken, where it was, or when it came here (UTC). */
export type Clock = 'taken' | 'added'

export type MonthPhotos = readonly Photo[]

export function fromColumns(columns: BucketColumns, clock: Clock = 'taken'): Photo[] {
  const takenMs = (index: number) =>
    Date.parse(columns.fileCreatedAt[index]!) + (columns.localOffsetHours[index] ?? 0) * 3_600_000
  return columns.id.map((id, index) => ({
    id,
    ownerId: columns.ownerId[index] ?? '',
    ratio: columns.ratio[index] ?? 1,
    isFavorite: columns.isFavorite[index] ?? false,
    isImage: columns.isImage[index] ?? true,
    thumbhash: columns.thumbhash[index] ?? null,
    isPreparing: columns.isPending?.[index] ?? (columns.thumbhash[index] ?? null) === null,
    durationMs: columns.duration[index] ?? null,
    livePhotoVideoId: columns.livePhotoVideoId[index] ?? null,
    wallClockMs: clock === 'added' ? Date.parse(columns.createdAt[index]!) : takenMs(index),
  }))
}

/** Whether an asset's previews are still to be made: there is neither one nor a reason why there is none. */
export function isPending(asset: Pick<Asset, 'thumbhash' | 'processingError'>): boolean {
  return asset.thumbhash === null && !asset.processingError
}

export function fromAsset(asset: Asset, clock: Clock = 'taken'): Photo {
  return {
    id: asset.id,
    ownerId: asset.ownerId,
    ratio: asset.width && asset.height ? asset.width / asset.height : 1,
    isFavorite: asset.isFavorite,
    isImage: asset.type === 'IMAGE',
    thumbhash: asset.thumbhash,
    isPreparing: isPending(asset),
    durationMs: asset.duration,
    livePhotoVideoId: asset.livePhotoVideoId ?? null,
    wallClockMs: Date.parse(clock === 'added' ? asset.createdAt : asset.localDateTime),
  }
}

/** `YYYY-MM-01` of a photograph. */
export function monthKeyOf(photo: Photo): string {
  return `${new Date(photo.wallClockMs).toISOString().slice(0, 7)}-01`
}

/** Day of the month, 1 to 31. */
export function dayOf(photo: Photo): number {
  return new Date(photo.wallClockMs).getUTCDate()
}

/** Newest first; equal times by id, descending, as the server orders them. */
export function comparePhotos(a: Photo, b: Photo): number {
  return b.wallClockMs - a.wallClockMs || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)
}

/** The month with these photographs in it: known ones replaced, new ones in their place. */
export function mergePhotos(photos: MonthPhotos, changed: readonly Photo[], isAscending = false): Photo[] {
  const ids = new Set(changed.map((photo) => photo.id))
  const merged = [...photos.filter((photo) => !ids.has(photo.id)), ...changed].sort(comparePhotos)
  return isAscending ? merged.reverse() : merged
}

/** What a screen reader says of a tile. */
export function describePhoto(photo: Photo): string {
  const at = new Date(photo.wallClockMs).toISOString()
  return `${kindWords(photo)}, ${at.slice(0, 10)} ${at.slice(11, 16)}${photo.isFavorite ? ', favourite' : ''}${previewWords(photo)}`
}

function kindWords({ isImage, livePhotoVideoId, durationMs }: Photo): string {
  if (isImage) return livePhotoVideoId === null ? 'Photo' : 'Live photo'
  return durationMs === null ? 'Video' : `Video of ${formatClip(durationMs)}`
}

function previewWords({ thumbhash, isPreparing }: Photo): string {
  if (thumbhash !== null) return ''
  return isPreparing ? ', preview being prepared' : ', no preview'
}
