/** The photographs of a month, as the sheet holds them. Pure. */
import type { Asset, BucketColumns } from '../api-types.ts'
import { formatClip } from '../format.ts'

export type Photo = {
  id: string
  /** Width / height; 1 where unknown. */
  ratio: number
  isFavorite: boolean
  isImage: boolean
  thumbhash: string | null
  durationMs: number | null
  /** The wall clock where it was taken, as milliseconds since 1970 as if UTC. What the sheet is ordered by, newest first. */
  wallClockMs: number
}

export type MonthPhotos = readonly Photo[]

export function fromColumns(columns: BucketColumns): Photo[] {
  return columns.id.map((id, index) => ({
    id,
    ratio: columns.ratio[index] ?? 1,
    isFavorite: columns.isFavorite[index] ?? false,
    isImage: columns.isImage[index] ?? true,
    thumbhash: columns.thumbhash[index] ?? null,
    durationMs: columns.duration[index] ?? null,
    wallClockMs:
      Date.parse(columns.fileCreatedAt[index]!) + (columns.localOffsetHours[index] ?? 0) * 3_600_000,
  }))
}

export function fromAsset(asset: Asset): Photo {
  return {
    id: asset.id,
    ratio: asset.width && asset.height ? asset.width / asset.height : 1,
    isFavorite: asset.isFavorite,
    isImage: asset.type === 'IMAGE',
    thumbhash: asset.thumbhash,
    durationMs: asset.duration,
    wallClockMs: Date.parse(asset.localDateTime),
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
export function mergePhotos(photos: MonthPhotos, changed: readonly Photo[]): Photo[] {
  const ids = new Set(changed.map((photo) => photo.id))
  return [...photos.filter((photo) => !ids.has(photo.id)), ...changed].sort(comparePhotos)
}

/** What a screen reader says of a tile. */
export function describePhoto(photo: Photo): string {
  const at = new Date(photo.wallClockMs).toISOString()
  const kind = photo.isImage
    ? 'Photo'
    : photo.durationMs === null
      ? 'Video'
      : `Video of ${formatClip(photo.durationMs)}`
  return `${kind}, ${at.slice(0, 10)} ${at.slice(11, 16)}${photo.isFavorite ? ', favourite' : ''}${photo.thumbhash === null ? ', no preview' : ''}`
}
