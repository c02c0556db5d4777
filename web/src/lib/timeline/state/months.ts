/** The months of a timeline, and what each change of their photographs makes of them. Pure. */
import {
  estimateMonthHeight,
  layoutMonth,
  type MonthLayout,
  type TimelineMeasures,
} from '../geometry/layout.ts'
import { dayOf, mergePhotos, monthKeyOf, type Photo } from './photos.ts'

export type Month = {
  /** `YYYY-MM-01`. */
  key: string
  count: number
  ratioSum: number
  photos: Photo[] | null
  layout: MonthLayout | null
  /** Of the last layout, so that a month that was let go keeps its place; else the estimate. */
  height: number
  estimate: number
  error: string | null
}

/** A photograph's address on the timeline. */
export type Address = { month: number; index: number }

/** How months are drawn. */
export type Sheet = {
  measures: TimelineMeasures
  /** Oldest first. */
  isAscending: boolean
  /**
   * First photograph of the first row in the window: rows from it on stay as they are while something above
   * changes.
   */
  firstSeenId: string | null
}

export function newMonth(key: string, count: number, ratioSum: number, { measures }: Sheet): Month {
  const estimate = estimateMonthHeight(count, ratioSum, measures)
  return { key, count, ratioSum, photos: null, layout: null, height: estimate, estimate, error: null }
}

/** Lays the month's photographs out anew; a row begins with `breakId`. */
export function layOut(month: Month, { measures }: Sheet, breakId: string | null): void {
  const photos = month.photos!
  const ratios = Float32Array.from(photos, (photo) => photo.ratio)
  const breakBefore = breakId === null ? 0 : photos.findIndex((photo) => photo.id === breakId)
  month.layout = layoutMonth(ratios, Uint8Array.from(photos, dayOf), measures, breakBefore)
  month.height = month.layout.height
}

/** Other measures: everything is laid out anew, in place. */
export function layOutAnew(months: readonly Month[], sheet: Sheet): void {
  for (const month of months) {
    month.estimate = estimateMonthHeight(month.count, month.ratioSum, sheet.measures)
    month.height = month.estimate
    if (month.photos) layOut(month, sheet, null)
  }
}

/**
 * The months with these photographs in one of them; the month goes when none are left and comes when it is
 * new.
 */
export function withPhotos(months: readonly Month[], key: string, photos: Photo[], sheet: Sheet): Month[] {
  const rest = months.filter((month) => month.key !== key)
  if (photos.length === 0) return rest
  const before = months.find((month) => month.key === key)
  const month: Month = { ...newMonth(key, photos.length, sumOfRatios(photos), sheet), photos }
  if (before && before.count === photos.length) month.estimate = before.estimate
  if (sheet.measures.width > 0) layOut(month, sheet, before?.photos ? sheet.firstSeenId : null)
  const at = rest.findIndex((candidate) => (sheet.isAscending ? candidate.key > key : candidate.key < key))
  return at < 0 ? [...rest, month] : [...rest.slice(0, at), month, ...rest.slice(at)]
}

/** The months with new or changed photographs. Those of months that are not loaded only count. */
export function withChanged(months: readonly Month[], changed: readonly Photo[], sheet: Sheet): Month[] {
  let result = [...months]
  const newKeys = new Map(changed.map((photo) => [photo.id, monthKeyOf(photo)]))
  // Once its metadata is read, a photograph may turn out to be of another month.
  for (const month of months) {
    const left = month.photos?.filter(({ id }) => (newKeys.get(id) ?? month.key) === month.key)
    if (left && left.length !== month.photos!.length) result = withPhotos(result, month.key, left, sheet)
  }
  for (const [key, photos] of Map.groupBy(changed, monthKeyOf)) {
    const month = result.find((candidate) => candidate.key === key)
    if (!month || month.photos) {
      const merged = mergePhotos(month?.photos ?? [], photos, sheet.isAscending)
      result = withPhotos(result, key, merged, sheet)
    } else {
      const ratioSum = month.ratioSum + sumOfRatios(photos)
      const grown = newMonth(key, month.count + photos.length, ratioSum, sheet)
      result = result.map((candidate) => (candidate === month ? grown : candidate))
    }
  }
  return result
}

/** The months without these photographs, and how many of them were in a loaded month. */
export function without(
  months: readonly Month[],
  ids: ReadonlySet<string>,
  sheet: Sheet,
): { months: Month[]; found: number } {
  let result = [...months]
  let found = 0
  for (const month of months) {
    if (!month.photos) continue
    const left = month.photos.filter((photo) => !ids.has(photo.id))
    if (left.length === month.photos.length) continue
    found += month.photos.length - left.length
    result = withPhotos(result, month.key, left, sheet)
  }
  return { months: result, found }
}

/** Photographs that are loaded, changed in place: none of them is larger or elsewhere for it. */
export function patched(
  months: readonly Month[],
  ids: ReadonlySet<string>,
  change: (photo: Photo) => Photo,
): Month[] {
  return months.map((month) =>
    month.photos?.some((photo) => ids.has(photo.id))
      ? { ...month, photos: month.photos.map((photo) => (ids.has(photo.id) ? change(photo) : photo)) }
      : month,
  )
}

/** Where a photograph is, among the loaded months. */
export function findPhoto(months: readonly Month[], id: string): Address | null {
  for (const [month, { photos }] of months.entries()) {
    const index = photos?.findIndex((photo) => photo.id === id) ?? -1
    if (index >= 0) return { month, index }
  }
  return null
}

export function isBefore(a: Address, b: Address): boolean {
  return a.month < b.month || (a.month === b.month && a.index <= b.index)
}

/** The ids of a day's photographs; none while the month is not loaded. */
export function photosOfDay(month: Month, day: { first: number; count: number }): string[] {
  return (month.photos ?? []).slice(day.first, day.first + day.count).map((photo) => photo.id)
}

const sumOfRatios = (photos: readonly Photo[]) => photos.reduce((sum, photo) => sum + photo.ratio, 0)
