/**
 * The state machine of uploads. Pure but for its ports, so that tests drive it without a browser.
 *
 * queued -> hashing -> checking -> waiting -> uploading -> (proving ->) done
 *                          |                      |-> here (the server had it after all)
 *                          |-> here
 * any of them -> failed, with a reason; retry leads back to queued, or to checking where the checksum is
 * known.
 * `proving` is of files that went straight into the bucket: sent, and read back by the server before they
 * count. A file that the server cannot take is skipped from the start. A duplicate is not an error.
 */
export type UploadState =
  | 'queued'
  | 'hashing'
  | 'checking'
  | 'waiting'
  | 'uploading'
  | 'proving'
  | 'done'
  | 'here'
  | 'failed'
  | 'skipped'

export type UploadItem<Source> = {
  readonly id: number
  readonly source: Source
  readonly name: string
  readonly size: number
  state: UploadState
  /** Bytes hashed or sent so far, by state. */
  progressBytes: number
  checksum: string | null
  /** Why it failed or was skipped, for people. */
  reason: string | null
  assetId: string | null
  isInTrash: boolean
}

export type CheckAnswer = {
  id: string
  action: string
  assetId?: string
  isTrashed?: boolean
  reason?: string
}

export type UploadPorts<Source> = {
  /** Hex SHA-1 of the file's bytes. */
  hash(source: Source, onProgress: (bytes: number) => void, signal: AbortSignal): Promise<string>
  /** Which of these the server already has. `id` comes back as it was given. */
  check(batch: { id: string; checksum: string }[]): Promise<CheckAnswer[]>
  send(
    source: Source,
    options: {
      checksum: string
      onProgress: (bytes: number) => void
      /** All bytes are sent: the next file may begin while this one is proven. */
      onReceived: () => void
      /**
       * Resolves at once unless the queue is paused, and rejects when the item is stopped; for uploads in
       * several steps.
       */
      whilePaused: () => Promise<void>
      signal: AbortSignal
    },
  ): Promise<{ id: string; status: string }>
  now(): number
  /** Called after every change; the caller draws at its own pace. */
  onChange(): void
}

export type UploadLimits = { uploads: number; hashes: number; checkBatch: number; hashedAhead: number }
/** Four uploads fill a home line; hashing far ahead would only read big files twice from a cold disk. */
export const DEFAULT_LIMITS: UploadLimits = { uploads: 4, hashes: 2, checkBatch: 200, hashedAhead: 400 }

export type UploadTotals = {
  files: number
  done: number
  here: number
  failed: number
  skipped: number
  /** Neither at an end nor failed. */
  open: number
  /** Of these, the ones that the server goes on with by itself. */
  proving: number
  /** Of these, the ones of which nothing is left to send: those, and what the server is saving. */
  sent: number
  bytes: number
  bytesDone: number
  bytesPerSecond: number
  msLeft: number | null
  isPaused: boolean
}

export type UploadQueue<Source> = {
  readonly items: readonly UploadItem<Source>[]
  add(files: { source: Source; name: string; size: number; skip?: string }[]): void
  pause(): void
  resume(): void
  /** One failed item, or all of them. */
  retry(id?: number): void
  /** Gives up an item that can still be stopped; its request is cut. */
  cancel(id: number): void
  /** Forgets what is at an end, so that the next batch counts from zero. */
  clear(): void
  totals(): UploadTotals
}

const SPEED_WINDOW_MS = 6000

export function createUploadQueue<Source>(
  ports: UploadPorts<Source>,
  limits: UploadLimits = DEFAULT_LIMITS,
): UploadQueue<Source> {
  let items: UploadItem<Source>[] = []
  let nextId = 1
  let isPaused = false
  let isChecking = false
  const aborts = new Map<number, AbortController>()
  let sentSamples: { at: number; bytes: number }[] = []

  const inState = (state: UploadState) => items.filter((item) => item.state === state)

  function move(item: UploadItem<Source>, state: UploadState, reason: string | null = null): void {
    item.state = state
    item.reason = reason
    item.progressBytes = 0
    ports.onChange()
  }

  /** Starts whatever may start now. Called after each change of state. */
  function pump(): void {
    if (isPaused) return
    let hashing = inState('hashing').length
    const ahead = inState('checking').length + inState('waiting').length
    for (const item of items) {
      if (hashing >= limits.hashes || ahead + hashing >= limits.hashedAhead) break
      if (item.state !== 'queued') continue
      hashing++
      void runHash(item)
    }
    if (!isChecking) {
      const batch = inState('checking').slice(0, limits.checkBatch)
      if (batch.length > 0) void runCheck(batch)
    }
    let uploading = inState('uploading').length
    for (const item of items) {
      if (uploading >= limits.uploads) break
      if (item.state !== 'waiting') continue
      uploading++
      void runSend(item)
    }
  }

  async function runHash(item: UploadItem<Source>): Promise<void> {
    const abort = new AbortController()
    aborts.set(item.id, abort)
    move(item, 'hashing')
    try {
      const onProgress = (bytes: number) => {
        item.progressBytes = bytes
        ports.onChange()
      }
      const checksum = await ports.hash(item.source, onProgress, abort.signal)
      if (abort.signal.aborted) return
      item.checksum = checksum
      move(item, 'checking')
    } catch (error) {
      if (!abort.signal.aborted) move(item, 'failed', `This file could not be read: ${reasonOf(error)}`)
    } finally {
      if (aborts.get(item.id) === abort) aborts.delete(item.id)
      pump()
    }
  }

  async function runCheck(batch: UploadItem<Source>[]): Promise<void> {
    isChecking = true
    try {
      const answers = await ports.check(
        batch.map((item) => ({ id: String(item.id), checksum: item.checksum! })),
      )
      const byId = new Map(answers.map((answer) => [answer.id, answer]))
      for (const item of batch) {
        if (item.state !== 'checking') continue
        const answer = byId.get(String(item.id))
        if (answer?.action === 'reject' && answer.reason === 'duplicate') {
          item.assetId = answer.assetId ?? null
          item.isInTrash = answer.isTrashed ?? false
          move(item, 'here')
        } else if (answer?.action === 'reject') {
          move(item, 'failed', answer.reason ?? 'The server refused this file without a reason.')
        } else {
          move(item, 'waiting')
        }
      }
    } catch (error) {
      for (const item of batch) {
        if (item.state === 'checking') move(item, 'failed', reasonOf(error))
      }
    } finally {
      isChecking = false
      pump()
    }
  }

  async function runSend(item: UploadItem<Source>): Promise<void> {
    const abort = new AbortController()
    aborts.set(item.id, abort)
    move(item, 'uploading')
    try {
      const onProgress = (bytes: number) => {
        noteSent(bytes - item.progressBytes)
        item.progressBytes = bytes
        ports.onChange()
      }
      const answer = await ports.send(item.source, {
        checksum: item.checksum!,
        onProgress,
        onReceived() {
          if (item.state !== 'uploading') return
          move(item, 'proving')
          pump()
        },
        whilePaused: () => whilePaused(abort.signal),
        signal: abort.signal,
      })
      if (abort.signal.aborted) return
      item.assetId = answer.id
      move(item, answer.status === 'duplicate' ? 'here' : 'done')
    } catch (error) {
      if (!abort.signal.aborted) move(item, 'failed', reasonOf(error))
    } finally {
      if (aborts.get(item.id) === abort) aborts.delete(item.id)
      pump()
    }
  }

  const resumed = new Set<() => void>()
  function whilePaused(signal: AbortSignal): Promise<void> {
    if (!isPaused) return Promise.resolve()
    return new Promise((resolve, reject) => {
      resumed.add(resolve)
      const stop = () => {
        resumed.delete(resolve)
        reject(signal.reason)
      }
      signal.addEventListener('abort', stop, { once: true })
    })
  }

  function noteSent(bytes: number): void {
    const now = ports.now()
    sentSamples.push({ at: now, bytes })
    if (sentSamples.length > 64 && sentSamples[0]!.at < now - SPEED_WINDOW_MS) {
      sentSamples = sentSamples.filter((sample) => sample.at >= now - SPEED_WINDOW_MS)
    }
  }

  return {
    get items() {
      return items
    },
    add(files) {
      for (const { source, name, size, skip } of files) {
        items.push({
          id: nextId++,
          source,
          name,
          size,
          state: skip === undefined ? 'queued' : 'skipped',
          progressBytes: 0,
          checksum: null,
          reason: skip ?? null,
          assetId: null,
          isInTrash: false,
        })
      }
      ports.onChange()
      pump()
    },
    pause() {
      isPaused = true
      ports.onChange()
    },
    resume() {
      isPaused = false
      for (const goOn of resumed) goOn()
      resumed.clear()
      ports.onChange()
      pump()
    },
    retry(id) {
      for (const item of items) {
        if (item.state !== 'failed' || (id !== undefined && item.id !== id)) continue
        move(item, item.checksum === null ? 'queued' : 'checking')
      }
      pump()
    },
    cancel(id) {
      const item = items.find((candidate) => candidate.id === id)
      if (!item || !canStop(item.state)) return
      aborts.get(id)?.abort()
      move(item, 'failed', 'You stopped this one.')
      pump()
    },
    clear() {
      items = items.filter((item) => isOpen(item.state))
      ports.onChange()
    },
    totals() {
      const totals: UploadTotals = {
        files: items.length,
        done: 0,
        here: 0,
        failed: 0,
        skipped: 0,
        open: 0,
        proving: 0,
        sent: 0,
        bytes: 0,
        bytesDone: 0,
        bytesPerSecond: 0,
        msLeft: null,
        isPaused,
      }
      for (const item of items) {
        if (item.state === 'done') totals.done++
        else if (item.state === 'here') totals.here++
        else if (item.state === 'failed') totals.failed++
        else if (item.state === 'skipped') totals.skipped++
        else totals.open++
        if (item.state === 'proving') totals.proving++
        if (item.state === 'proving' || isAllSent(item)) totals.sent++
        if (item.state === 'skipped' || item.state === 'failed') continue
        totals.bytes += item.size
        if (item.state === 'done' || item.state === 'here' || item.state === 'proving')
          totals.bytesDone += item.size
        else if (item.state === 'uploading') totals.bytesDone += Math.min(item.progressBytes, item.size)
      }
      const now = ports.now()
      const recent = sentSamples.filter((sample) => sample.at >= now - SPEED_WINDOW_MS)
      if (recent.length > 0) {
        const spanMs = Math.max(1000, now - recent[0]!.at)
        totals.bytesPerSecond = (recent.reduce((sum, sample) => sum + sample.bytes, 0) / spanMs) * 1000
      }
      if (totals.open > 0 && totals.bytesPerSecond > 0 && !isPaused) {
        totals.msLeft = ((totals.bytes - totals.bytesDone) / totals.bytesPerSecond) * 1000
      }
      return totals
    },
  }
}

/** Whether something is still to happen to an item without anybody's help. */
export function isOpen(state: UploadState): boolean {
  return state !== 'done' && state !== 'here' && state !== 'failed' && state !== 'skipped'
}

/** All of its bytes have left; the answer is still to come. */
function isAllSent({ state, size, progressBytes }: UploadItem<unknown>): boolean {
  return state === 'uploading' && size > 0 && progressBytes >= size
}

/** Files that are sent and confirmed don't count: the server proves them even if the page is closed. */
export function canStop(state: UploadState): boolean {
  return isOpen(state) && state !== 'proving'
}

/** What the live region says: totals, never each file. */
export function describeTotals(totals: UploadTotals): string {
  const parts: string[] = []
  if (totals.done > 0) parts.push(`${totals.done} uploaded`)
  if (totals.here > 0) parts.push(`${totals.here} already here`)
  if (totals.failed > 0) parts.push(`${totals.failed} failed`)
  if (totals.skipped > 0) parts.push(`${totals.skipped} skipped`)
  if (totals.open > 0) parts.push(`${totals.open} to go`)
  return parts.join(', ')
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
