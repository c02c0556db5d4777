/**
 * The timeline's state: months first, their photographs on approach, and where everything lies. The component
 * draws what this says; the geometry is in layout.ts, what becomes of the months in months.ts, the scrolling
 * in scroll-map.ts.
 */
import type { Asset } from '../../api-types.ts'
import { monthAt, stackMonths, type TimelineMeasures } from '../geometry/layout.ts'
import { makeRuler, type ScrubberTrack, type TimelinePosition } from '../geometry/scrubber.ts'
import { MonthLoads } from './month-loads.ts'
import {
  type Address,
  findPhoto,
  isBefore,
  layOutAnew,
  type Month,
  newMonth,
  patched,
  withChanged,
  without,
  withPhotos,
} from './months.ts'
import { PageReader } from './page-reader.ts'
import { fromAsset, monthKeyOf, type Photo } from './photos.ts'
import { isPaged, type MonthSource, type TimelineSource } from './source.ts'

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
  onAfterMove: () => void = () => {}
  /**
   * First photograph of the first row in the window: rows from it on stay as they are while something above
   * changes.
   */
  firstSeenId: string | null = null

  readonly #loads = new MonthLoads((key, signal) => this.#fetch(key, signal))
  readonly #pages: PageReader | null
  /** A page that is being read, until it is shown. */
  #paging: Promise<void> | null = null

  constructor(source: TimelineSource) {
    this.source = source
    this.#pages = isPaged(source) ? new PageReader(source.page) : null
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
    try {
      if (isPaged(source)) await this.#turnPages(() => this.#reopenPages())
      else await this.#openMonths(source)
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') return
      if (this.months.length === 0) this.state = 'failed'
      this.error = error instanceof Error ? error.message : String(error)
    }
  }

  async #openMonths(source: MonthSource): Promise<void> {
    const buckets = await source.buckets()
    const known = new Map(this.months.map((month) => [month.key, month]))
    const stale: string[] = []
    const months = buckets.map(({ timeBucket, count, ratioSum }) => {
      const key = timeBucket.slice(0, 10)
      const before = known.get(key)
      if (before?.photos && before.count === count) return before
      if (before?.photos && this.#loads.isWanted(key)) {
        // In view: the old month stays until the new one is there.
        stale.push(key)
        return before
      }
      return newMonth(key, count, ratioSum ?? count * 1.4, this)
    })
    this.error = null
    this.state = 'ready'
    this.#replace(months)
    for (const key of stale) this.#loads.startQuietly(key)
  }

  // --- a timeline that comes in pages
  // -----------------------------------------------------------------------------

  /** Whether there is more than what is loaded; the months say so where they are known. */
  get hasMore(): boolean {
    return this.#pages?.hasMore ?? false
  }

  #turnPages(turn: () => Promise<void>): Promise<void> {
    const paging = turn().finally(() => {
      if (this.#paging === paging) this.#paging = null
    })
    this.#paging = paging
    return paging
  }

  async #reopenPages(): Promise<void> {
    const photos = await this.#pages!.reopen()
    if (photos === null) return
    this.error = null
    this.state = 'ready'
    this.onBeforeMove()
    let months: Month[] = []
    for (const [key, ofMonth] of Map.groupBy(photos, monthKeyOf))
      months = withPhotos(months, key, ofMonth, this)
    this.#replace(months)
  }

  /** The next page. Whoever asks for it meanwhile waits for the same. */
  #readMore(): Promise<void> {
    return (
      this.#paging ??
      this.#turnPages(async () => {
        const photos = await this.#pages!.more()
        if (photos !== null) this.#insertPhotos(photos)
      })
    )
  }

  /** Everything that there is, for whoever selects all of it. */
  async readAll(): Promise<void> {
    if (this.#pages === null) for (const { key } of [...this.months]) await this.load(key)
    else while (this.#pages.hasMore) await this.#readMore()
  }

  // --- where everything lies
  // --------------------------------------------------------------------------------------

  /** Other measures, or another head above the first month: the window changed. */
  resize(measures: TimelineMeasures, headHeight: number): void {
    const isSame = JSON.stringify(this.measures) === JSON.stringify(measures)
    this.onBeforeMove()
    this.headHeight = headHeight
    this.measures = measures
    if (!isSame) layOutAnew(this.months, this)
    this.#restack(this.months)
    this.onAfterMove()
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

  // --- months, as they come near
  // -----------------------------------------------------------------------------------

  /** The component says which months are near the window: those load, others in flight are cut. */
  want(first: number, last: number): void {
    if (this.#pages !== null) {
      if (last < this.months.length - 1 || !this.#pages.hasMore) return
      this.#readMore().catch((error: unknown) => {
        // Tried again at the next move; until then what is there stays.
        this.error = error instanceof Error ? error.message : String(error)
      })
      return
    }
    const wanted = this.months.slice(first, last + 1)
    this.#loads.want(wanted.map((month) => month.key))
    for (const { key, photos, error } of wanted)
      if (!photos && !error && !this.#loads.isRunning(key)) this.#loads.startQuietly(key)
  }

  /** Loads a month's photographs, once. Rejects where that failed; the month then carries the error. */
  load(key: string): Promise<void> {
    const running = this.#loads.waitFor(key)
    if (running) return running
    const month = this.#byKey(key)
    return !month || month.photos ? Promise.resolve() : this.#loads.start(key)
  }

  async #fetch(key: string, signal: AbortSignal): Promise<void> {
    const { source } = this
    if (isPaged(source)) return
    try {
      const photos = await source.photos(key, signal)
      this.onBeforeMove()
      this.#replace(withPhotos(this.months, key, photos, this))
      // The height stays: nothing may move because memory was freed.
      const far = new Set(this.#loads.keep(key))
      if (far.size > 0)
        this.months = this.months.map((month) =>
          far.has(month.key) ? { ...month, photos: null, layout: null } : month,
        )
    } catch (error) {
      if (!signal.aborted) this.#setError(key, error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  /** Tries a failed month again. */
  retry(key: string): void {
    this.#setError(key, null)
    this.#loads.startQuietly(key)
  }

  #setError(key: string, error: string | null): void {
    this.#replace(this.months.map((month) => (month.key === key ? { ...month, error } : month)))
  }

  #byKey(key: string): Month | undefined {
    return this.months.find((month) => month.key === key)
  }

  // --- what happens meanwhile
  // -----------------------------------------------------------------------------------

  /** New or changed photographs, from here or from the websocket. Those of months not loaded only count. */
  insert(assets: Asset[]): void {
    this.#insertPhotos(assets.map((asset) => fromAsset(asset, this.source.clock)))
  }

  #insertPhotos(changed: Photo[]): void {
    this.onBeforeMove()
    this.#replace(withChanged(this.months, changed, this))
  }

  /** Changes photographs that are loaded, in place. */
  patch(ids: readonly string[], change: (photo: Photo) => Photo): void {
    this.months = patched(this.months, new Set(ids), change)
  }

  /**
   * Takes photographs off the timeline. Answers how many were not in a loaded month: then the months must be
   * read again.
   */
  remove(ids: readonly string[]): number {
    this.onBeforeMove()
    const gone = new Set(ids)
    const { months, found } = without(this.months, gone, this)
    this.#replace(months)
    return gone.size - found
  }

  // --- finding ones way
  // -----------------------------------------------------------------------------------------

  photoAt(address: Address): Photo | null {
    return this.months[address.month]?.photos?.[address.index] ?? null
  }

  /** Where a photograph is, among the loaded months. */
  find(id: string): Address | null {
    return findPhoto(this.months, id)
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
    if (step === 1 && from.month === this.months.length - 1 && this.hasMore) {
      await this.#readMore()
      return this.neighbour(id, step)
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
