/**
 * The timeline's state: months first, their photographs on approach, and where everything lies. The component
 * draws what this says; the geometry is in layout.ts, the scrolling in scroll-map.ts.
 */
import type { Asset } from '../api-types.ts'
import {
  estimateMonthHeight,
  layoutMonth,
  type MonthLayout,
  monthAt,
  stackMonths,
  type TimelineMeasures,
} from './layout.ts'
import { dayOf, fromAsset, mergePhotos, monthKeyOf, type Photo } from './photos.ts'
import { makeRuler, type ScrubberTrack, type TimelinePosition } from './scrubber.ts'
import { isPaged, type PageSource, type TimelineSource } from './source.ts'

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

/**
 * Months kept beyond those in view: enough to go back and forth, few enough for a phone at a million
 * photographs.
 */
const MONTHS_KEPT = 36
const EMPTY_SHEET: TimelineMeasures = {
  width: 0,
  rowHeight: 220,
  gap: 4,
  labelHeight: 26,
  titleHeight: 76,
  monthGap: 40,
}

export class TimelineState {
  readonly source: TimelineSource
  /** Oldest first. */
  readonly isAscending: boolean
  months = $state.raw<Month[]>([])
  tops = $state.raw<Float64Array>(new Float64Array(1))
  track = $state.raw<ScrubberTrack>(makeRuler([]))
  state = $state<'loading' | 'ready' | 'failed'>('loading')
  error = $state<string | null>(null)
  measures = $state.raw<TimelineMeasures>(EMPTY_SHEET)
  /** Room above the first month. */
  headHeight = 0
  /** Called before and after anything moves, so that the component can hold what is being looked at. */
  onBeforeMove: () => void = () => {}
  /**
   * First photograph of the first row in the window: rows from it on stay as they are while something above
   * changes.
   */
  firstSeenId: string | null = null
  onAfterMove: () => void = () => {}

  /** `isPinned`: somebody waits for it, so it goes on when the window moves away. */
  #loads = new Map<string, { abort: AbortController; done: Promise<void>; isPinned: boolean }>()
  #recent: string[] = []
  #wanted = new Set<string>()

  constructor(source: TimelineSource) {
    this.source = source
    this.isAscending = !isPaged(source) && source.isAscending === true
  }

  get count(): number {
    return this.months.reduce((sum, month) => sum + month.count, 0)
  }

  get height(): number {
    return this.tops[this.tops.length - 1]!
  }

  /** Reads the months. What is loaded and unchanged in number stays. */
  async open(): Promise<void> {
    const { source } = this
    if (isPaged(source)) return this.#openPages(source)
    try {
      const buckets = await source.buckets()
      const known = new Map(this.months.map((month) => [month.key, month]))
      const stale: string[] = []
      const months = buckets.map(({ timeBucket, count, ratioSum }) => {
        const key = timeBucket.slice(0, 10)
        const before = known.get(key)
        if (before?.photos && before.count === count) return before
        if (before?.photos && this.#wanted.has(key)) {
          // In view: the old month stays until the new one is there.
          stale.push(key)
          return before
        }
        return this.#newMonth(key, count, ratioSum ?? count * 1.4)
      })
      this.error = null
      this.state = 'ready'
      this.#replace(months)
      for (const key of stale) this.#startQuietly(key)
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') return
      if (this.months.length === 0) this.state = 'failed'
      this.error = error instanceof Error ? error.message : String(error)
    }
  }

  // --- a timeline that comes in pages
  // -----------------------------------------------------------------------------

  #cursor: string | null = null
  #isMoreComing = false
  #paging: AbortController | null = null
  #pagesRead = 0

  /** Whether there is more than what is loaded; the months say so where they are known. */
  get hasMore(): boolean {
    return this.#isMoreComing
  }

  /** The first page; when it was open already, as many as were read. */
  async #openPages(source: PageSource): Promise<void> {
    this.#paging?.abort()
    const paging = new AbortController()
    this.#paging = paging
    const wanted = Math.max(1, this.#pagesRead)
    try {
      const photos: Photo[] = []
      let cursor: string | null = null
      let read = 0
      do {
        const page: Awaited<ReturnType<PageSource['page']>> = await source.page(cursor, paging.signal)
        photos.push(...page.photos)
        cursor = page.nextCursor
        read++
      } while (cursor !== null && read < wanted)
      this.#cursor = cursor
      this.#isMoreComing = cursor !== null
      this.#pagesRead = read
      this.error = null
      this.state = 'ready'
      this.onBeforeMove()
      let months: Month[] = []
      for (const [key, ofMonth] of Map.groupBy(photos, monthKeyOf))
        months = this.#withPhotos(months, key, ofMonth)
      this.#replace(months)
    } catch (error) {
      if (paging.signal.aborted) return
      if (this.months.length === 0) this.state = 'failed'
      this.error = error instanceof Error ? error.message : String(error)
    } finally {
      if (this.#paging === paging) this.#paging = null
    }
  }

  /** The next page, when the end of what is loaded comes near. */
  async #readMore(source: PageSource): Promise<void> {
    if (this.#paging !== null || !this.#isMoreComing) return
    const paging = new AbortController()
    this.#paging = paging
    try {
      const { photos, nextCursor } = await source.page(this.#cursor, paging.signal)
      this.#cursor = nextCursor
      this.#isMoreComing = nextCursor !== null
      this.#pagesRead++
      this.#insertPhotos(photos)
    } catch (error) {
      if (paging.signal.aborted) return
      // Tried again at the next move; until then what is there stays.
      this.error = error instanceof Error ? error.message : String(error)
    } finally {
      if (this.#paging === paging) this.#paging = null
    }
  }

  /** Everything that there is, for whoever selects all of it. */
  async readAll(): Promise<void> {
    const { source } = this
    if (!isPaged(source)) {
      for (const { key } of [...this.months]) await this.load(key)
      return
    }
    while (this.#isMoreComing) {
      const before = this.#cursor
      await this.#readMore(source)
      if (this.error !== null && this.#cursor === before) throw new Error(this.error)
    }
  }

  #newMonth(key: string, count: number, ratioSum: number): Month {
    const estimate = estimateMonthHeight(count, ratioSum, this.measures)
    return { key, count, ratioSum, photos: null, layout: null, height: estimate, estimate, error: null }
  }

  /** Other measures, or another head above the first month: the window changed. */
  resize(measures: TimelineMeasures, headHeight: number): void {
    const isSame = JSON.stringify(this.measures) === JSON.stringify(measures)
    this.onBeforeMove()
    this.headHeight = headHeight
    this.measures = measures
    if (!isSame) {
      for (const month of this.months) {
        month.estimate = estimateMonthHeight(month.count, month.ratioSum, measures)
        month.height = month.estimate
        if (month.photos) this.#layOut(month, null)
      }
    }
    this.#restack(this.months)
    this.onAfterMove()
  }

  #layOut(month: Month, breakId: string | null): void {
    const photos = month.photos!
    const ratios = Float32Array.from(photos, (photo) => photo.ratio)
    const breakBefore = breakId === null ? 0 : photos.findIndex((photo) => photo.id === breakId)
    month.layout = layoutMonth(ratios, Uint8Array.from(photos, dayOf), this.measures, breakBefore)
    month.height = month.layout.height
  }

  #replace(months: Month[]): void {
    this.onBeforeMove()
    this.#restack(months)
    this.onAfterMove()
  }

  #restack(months: Month[]): void {
    this.months = [...months]
    this.tops = stackMonths(
      months.map((month) => month.height),
      this.headHeight,
    )
    // Estimates only: the track must not move as months load.
    this.track = makeRuler(months.map(({ key, estimate }) => ({ key, weight: estimate })))
  }

  /** The component says which months are near the window: those load, others in flight are cut. */
  want(first: number, last: number): void {
    if (isPaged(this.source)) {
      if (last >= this.months.length - 1) void this.#readMore(this.source)
      return
    }
    this.#wanted = new Set(this.months.slice(first, last + 1).map((month) => month.key))
    for (const [key, load] of this.#loads) {
      if (!this.#wanted.has(key) && !load.isPinned) {
        load.abort.abort()
        this.#loads.delete(key)
      }
    }
    for (const key of this.#wanted) {
      const month = this.months.find((candidate) => candidate.key === key)!
      if (!month.photos && !month.error && !this.#loads.has(key)) this.#startQuietly(key)
    }
  }

  /** Loads a month's photographs, once. Rejects where that failed; the month then carries the error. */
  load(key: string): Promise<void> {
    const running = this.#loads.get(key)
    if (running) {
      running.isPinned = true
      return running.done
    }
    const month = this.#byKey(key)
    if (!month || month.photos) return Promise.resolve()
    return this.#start(key, true)
  }

  /** For the window: what goes wrong stands in the month itself, where it is shown. */
  #startQuietly(key: string): void {
    this.#start(key, false).catch(() => undefined)
  }

  #start(key: string, isPinned: boolean): Promise<void> {
    this.#loads.get(key)?.abort.abort()
    const abort = new AbortController()
    const done = this.#fetch(key, abort.signal).finally(() => {
      if (this.#loads.get(key)?.abort === abort) this.#loads.delete(key)
    })
    this.#loads.set(key, { abort, done, isPinned })
    return done
  }

  async #fetch(key: string, signal: AbortSignal): Promise<void> {
    try {
      if (isPaged(this.source)) return
      const photos = await this.source.photos(key, signal)
      this.#setPhotos(key, photos)
      this.#recent = [...this.#recent.filter((recent) => recent !== key), key]
      this.#letGo()
    } catch (error) {
      if (!signal.aborted) {
        this.#change(key, (month) => ({
          ...month,
          error: error instanceof Error ? error.message : String(error),
        }))
      }
      throw error
    }
  }

  /** Tries a failed month again. */
  retry(key: string): void {
    this.#change(key, (month) => ({ ...month, error: null }))
    this.#startQuietly(key)
  }

  #letGo(): void {
    while (this.#recent.length > MONTHS_KEPT) {
      const key = this.#recent.find((candidate) => !this.#wanted.has(candidate))
      if (key === undefined) return
      this.#recent = this.#recent.filter((recent) => recent !== key)
      // The height stays: nothing may move because memory was freed.
      const index = this.months.findIndex((month) => month.key === key)
      if (index >= 0) this.months[index] = { ...this.months[index]!, photos: null, layout: null }
    }
  }

  #byKey(key: string): Month | undefined {
    return this.months.find((month) => month.key === key)
  }

  #change(key: string, change: (month: Month) => Month): void {
    this.#replace(this.months.map((month) => (month.key === key ? change(month) : month)))
  }

  #setPhotos(key: string, photos: Photo[]): void {
    this.onBeforeMove()
    this.#replace(this.#withPhotos(this.months, key, photos))
  }

  /**
   * The months with these photographs in one of them; the month goes when none are left and comes when it is
   * new.
   */
  #withPhotos(months: Month[], key: string, photos: Photo[]): Month[] {
    if (photos.length === 0) return months.filter((month) => month.key !== key)
    const before = months.find((month) => month.key === key)
    const ratioSum = photos.reduce((sum, photo) => sum + photo.ratio, 0)
    const month: Month = { ...this.#newMonth(key, photos.length, ratioSum), photos }
    if (before && before.count === photos.length) month.estimate = before.estimate
    if (this.measures.width > 0) this.#layOut(month, before?.photos ? this.firstSeenId : null)
    const rest = months.filter((candidate) => candidate.key !== key)
    const at = rest.findIndex((candidate) => (this.isAscending ? candidate.key > key : candidate.key < key))
    return at < 0 ? [...rest, month] : [...rest.slice(0, at), month, ...rest.slice(at)]
  }

  // --- what happens meanwhile
  // -----------------------------------------------------------------------------------

  /** New or changed photographs, from here or from the websocket. Those of months not loaded only count. */
  insert(assets: Asset[]): void {
    this.#insertPhotos(assets.map((asset) => fromAsset(asset, this.source.clock)))
  }

  #insertPhotos(changed: Photo[]): void {
    this.onBeforeMove()
    let months = this.months
    const byMonth = Map.groupBy(changed, monthKeyOf)
    const newMonths = new Map(changed.map((photo) => [photo.id, monthKeyOf(photo)]))
    // Once its metadata is read, a photograph may turn out to be of another month.
    for (const month of this.months) {
      const left = month.photos?.filter((photo) => {
        const now = newMonths.get(photo.id)
        return now === undefined || now === month.key
      })
      if (left && left.length !== month.photos!.length) months = this.#withPhotos(months, month.key, left)
    }
    for (const [key, photos] of byMonth) {
      const month = months.find((candidate) => candidate.key === key)
      if (!month) {
        months = this.#withPhotos(months, key, mergePhotos([], photos, this.isAscending))
      } else if (month.photos) {
        months = this.#withPhotos(months, key, mergePhotos(month.photos, photos, this.isAscending))
      } else {
        const ratioSum = month.ratioSum + photos.reduce((sum, photo) => sum + photo.ratio, 0)
        const grown = this.#newMonth(key, month.count + photos.length, ratioSum)
        months = months.map((candidate) => (candidate === month ? grown : candidate))
      }
    }
    this.#replace(months)
  }

  /** Changes photographs that are loaded, in place. */
  patch(ids: readonly string[], change: (photo: Photo) => Photo): void {
    const wanted = new Set(ids)
    this.months = this.months.map((month) =>
      month.photos?.some((photo) => wanted.has(photo.id))
        ? { ...month, photos: month.photos.map((photo) => (wanted.has(photo.id) ? change(photo) : photo)) }
        : month,
    )
  }

  /**
   * Takes photographs off the timeline. Answers how many were not in a loaded month: then the months must be
   * read again.
   */
  remove(ids: readonly string[]): number {
    this.onBeforeMove()
    const wanted = new Set(ids)
    let months = this.months
    let found = 0
    for (const month of this.months) {
      if (!month.photos) continue
      const left = month.photos.filter((photo) => !wanted.has(photo.id))
      if (left.length === month.photos.length) continue
      found += month.photos.length - left.length
      months = this.#withPhotos(months, month.key, left)
    }
    this.#replace(months)
    return wanted.size - found
  }

  // --- finding ones way
  // -----------------------------------------------------------------------------------------

  photoAt(address: Address): Photo | null {
    return this.months[address.month]?.photos?.[address.index] ?? null
  }

  /** Where a photograph is, among the loaded months. */
  find(id: string): Address | null {
    for (let month = 0; month < this.months.length; month++) {
      const index = this.months[month]!.photos?.findIndex((photo) => photo.id === id) ?? -1
      if (index >= 0) return { month, index }
    }
    return null
  }

  /** Content position of a photograph's upper edge. */
  topOf(address: Address): number {
    const { layout } = this.months[address.month]!
    const row = layout?.rows.find((candidate) => address.index < candidate.last)
    return this.tops[address.month]! + (row?.top ?? 0)
  }

  monthAt(y: number): number {
    return monthAt(this.tops, y)
  }

  /**
   * What a window at content position `top` shows, for the track. The line that is read moves from the
   * window's upper to its lower edge, so that both ends of the track are reached.
   */
  placeAt(top: number, viewportPx: number): TimelinePosition {
    if (this.months.length === 0) return { month: -1, within: 0 }
    const line = top + viewportPx * Math.min(1, top / Math.max(1, this.height - viewportPx))
    const month = this.monthAt(line)
    return {
      month,
      within: Math.min(1, Math.max(0, (line - this.tops[month]!) / this.months[month]!.height)),
    }
  }

  /** The photograph `step` (1 or -1) away, loading the next month where needed. Null at either end. */
  async neighbour(id: string, step: 1 | -1): Promise<Photo | null> {
    const from = this.find(id)
    if (!from) return null
    const within = this.months[from.month]!.photos![from.index + step]
    if (within) return within
    if (step === 1 && from.month === this.months.length - 1 && isPaged(this.source) && this.#isMoreComing) {
      const before = this.#pagesRead
      await this.#readMore(this.source)
      return this.#pagesRead > before ? this.neighbour(id, step) : null
    }
    const next = this.months[from.month + step]
    if (!next) return null
    await this.load(next.key)
    return this.#byKey(next.key)?.photos?.at(step === 1 ? 0 : -1) ?? null
  }

  /** Ids from one photograph to another, both included, loading what lies between. */
  async idsBetween(from: string, to: string): Promise<string[]> {
    const ends = [this.find(from), this.find(to)]
    if (!ends[0] || !ends[1]) return [to]
    const [first, last] = isBefore(ends[0], ends[1]) ? [ends[0], ends[1]] : [ends[1], ends[0]]
    const keys = this.months.slice(first.month, last.month + 1).map((month) => month.key)
    const ids: string[] = []
    for (const [offset, key] of keys.entries()) {
      await this.load(key)
      const photos = this.#byKey(key)?.photos ?? []
      const start = offset === 0 ? first.index : 0
      const end = offset === keys.length - 1 ? last.index + 1 : photos.length
      for (const photo of photos.slice(start, end)) ids.push(photo.id)
    }
    return ids
  }
}

export function isBefore(a: Address, b: Address): boolean {
  return a.month < b.month || (a.month === b.month && a.index <= b.index)
}

/** The ids of a day's photographs; none while the month is not loaded. */
export function photosOfDay(month: Month, day: { first: number; count: number }): string[] {
  return (month.photos ?? []).slice(day.first, day.first + day.count).map((photo) => photo.id)
}
