/** Where a timeline's photographs come from, and which of them belong on it. */
import { getBucket, getBuckets, searchAssets } from '../../api.ts'
import type { Asset, Bucket, TimelineFilter } from '../../api-types.ts'
import { type SearchQuery, toSearchBody } from '../../search/query.ts'
import type { ReadPage } from './page-reader.ts'
import { type Clock, fromAsset, fromColumns, type Photo } from './photos.ts'

/** Months that are known beforehand, with their photographs on demand. */
export type MonthSource = {
  clock: Clock
  /** Oldest first. */
  isAscending?: boolean
  buckets(): Promise<Bucket[]>
  photos(month: string, signal: AbortSignal): Promise<Photo[]>
  /** Whether what has just arrived or changed is shown; null: only the server knows, ask it again. */
  belongs(asset: Asset): boolean | null
}

/** Pages, one after another, newest first: of a search nobody counts the months. */
export type PageSource = {
  clock: Clock
  page: ReadPage
  belongs(asset: Asset): boolean | null
}

export type TimelineSource = MonthSource | PageSource

/** Some windows of a large screen. */
const PAGE_SIZE = 250

export function sourceOf(filter: TimelineFilter): MonthSource {
  const clock: Clock = filter.orderBy === 'createdAt' ? 'added' : 'taken'
  return {
    clock,
    isAscending: filter.order === 'asc',
    buckets: () => getBuckets(filter),
    photos: async (month, signal) => fromColumns(await getBucket(month, filter, signal), clock),
    belongs(asset) {
      if (filter.albumId) return null
      if (asset.isTrashed !== (filter.isTrashed ?? false)) return false
      if (filter.isFavorite !== undefined && asset.isFavorite !== filter.isFavorite) return false
      const visibility = asset.visibility ?? 'timeline'
      if (filter.isTrashed) return true
      return visibility === (filter.visibility ?? 'timeline')
    },
  }
}

export function searchSource(query: SearchQuery): PageSource {
  return {
    clock: 'taken',
    async page(cursor, signal) {
      const { items, nextCursor } = await searchAssets(
        { ...toSearchBody(query), size: PAGE_SIZE, ...(cursor !== null && { cursor }) },
        signal,
      )
      return { photos: items.map((asset) => fromAsset(asset)), nextCursor }
    },
    // What a change means for a search, only the server can tell.
    belongs: () => null,
  }
}

export function isPaged(source: TimelineSource): source is PageSource {
  return 'page' in source
}
