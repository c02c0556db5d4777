/** Which months are being read, which of them somebody waits for, and which can be let go. */

/**
 * Months kept beyond those in view: enough to go back and forth, few enough for a phone at a million
 * photographs.
 */
const MONTHS_KEPT = 36

export class MonthLoads {
  readonly #read: (key: string, signal: AbortSignal) => Promise<void>
  /** `isPinned`: somebody waits for it, so it goes on when the window moves away. */
  readonly #loads = new Map<string, { abort: AbortController; done: Promise<void>; isPinned: boolean }>()
  #recent: string[] = []
  #wanted: ReadonlySet<string> = new Set()

  constructor(read: (key: string, signal: AbortSignal) => Promise<void>) {
    this.#read = read
  }

  isWanted(key: string): boolean {
    return this.#wanted.has(key)
  }

  /** These are near the window: others in flight are cut, unless somebody waits for them. */
  want(keys: readonly string[]): void {
    this.#wanted = new Set(keys)
    for (const [key, load] of this.#loads) {
      if (this.#wanted.has(key) || load.isPinned) continue
      load.abort.abort()
      this.#loads.delete(key)
    }
  }

  isRunning(key: string): boolean {
    return this.#loads.has(key)
  }

  /** The end of a load that runs, which is waited for from now on; null where none does. */
  waitFor(key: string): Promise<void> | null {
    const running = this.#loads.get(key)
    if (!running) return null
    running.isPinned = true
    return running.done
  }

  /** Reads the month anew, for somebody who waits. */
  start(key: string): Promise<void> {
    return this.#start(key, true)
  }

  /** For the window: what goes wrong stands in the month itself, where it is shown. */
  startQuietly(key: string): void {
    this.#start(key, false).catch(() => undefined)
  }

  #start(key: string, isPinned: boolean): Promise<void> {
    this.#loads.get(key)?.abort.abort()
    const abort = new AbortController()
    const done = this.#read(key, abort.signal).finally(() => {
      if (this.#loads.get(key)?.abort === abort) this.#loads.delete(key)
    })
    this.#loads.set(key, { abort, done, isPinned })
    return done
  }

  /** This one is there now. Gives those that have been out of the window for longest, and are too many. */
  keep(key: string): string[] {
    this.#recent = [...this.#recent.filter((recent) => recent !== key), key]
    const far = this.#recent.filter((recent) => !this.#wanted.has(recent))
    const letGo = far.slice(0, Math.max(0, this.#recent.length - MONTHS_KEPT))
    this.#recent = this.#recent.filter((recent) => !letGo.includes(recent))
    return letGo
  }
}
