/** Reads a timeline that comes in pages: from the start, or on from where the last one ended. */
import type { Photo } from './photos.ts'

export type Page = { photos: Photo[]; nextCursor: string | null }
/** From where the last page ended; null: the first one. */
export type ReadPage = (cursor: string | null, signal: AbortSignal) => Promise<Page>

export class PageReader {
  readonly #read: ReadPage
  #cursor: string | null = null
  #reading: AbortController | null = null
  /** Pages. */
  #count = 0
  /** Whether there is more than what was read. */
  hasMore = false

  constructor(read: ReadPage) {
    this.#read = read
  }

  /** From the start, as many pages as were read already; null: a later call took its place. */
  async reopen(): Promise<Photo[] | null> {
    this.#reading?.abort()
    const wanted = Math.max(1, this.#count)
    return this.#during(async (signal) => {
      const photos: Photo[] = []
      let cursor: string | null = null
      let read = 0
      do {
        const page: Page = await this.#read(cursor, signal)
        photos.push(...page.photos)
        cursor = page.nextCursor
        read++
      } while (cursor !== null && read < wanted)
      this.#ended(signal, cursor, read)
      return photos
    })
  }

  /**
   * The next page; null: there is none, or `reopen` took its place. One at a time: that is the caller's to
   * see to.
   */
  async more(): Promise<Photo[] | null> {
    if (!this.hasMore) return null
    return this.#during(async (signal) => {
      const { photos, nextCursor } = await this.#read(this.#cursor, signal)
      this.#ended(signal, nextCursor, this.#count + 1)
      return photos
    })
  }

  #ended(signal: AbortSignal, cursor: string | null, count: number): void {
    signal.throwIfAborted()
    this.#cursor = cursor
    this.hasMore = cursor !== null
    this.#count = count
  }

  async #during(read: (signal: AbortSignal) => Promise<Photo[]>): Promise<Photo[] | null> {
    const reading = new AbortController()
    this.#reading = reading
    try {
      return await read(reading.signal)
    } catch (error) {
      if (reading.signal.aborted) return null
      throw error
    } finally {
      if (this.#reading === reading) this.#reading = null
    }
  }
}
