/** The page's one upload queue, as the panel draws it. It outlives every page change. */
import { checkUploads, getMediaTypes } from '../api.ts'
import { sayError } from '../toasts.svelte.ts'
import { hashFile } from './hash-files.ts'
import { type FoundFile, type MediaTypes, pairSidecars } from './pair-sidecars.ts'
import { sendFile } from './send-file.ts'
import { createUploadQueue, type UploadItem, type UploadTotals } from './upload-queue.ts'

type Source = { file: File; sidecar: File | null }

/** Redraws at most so often: a thousand small files change state faster than anybody reads. */
const REDRAW_MS = 120

const queue = createUploadQueue<Source>({
  hash: ({ file }, onProgress, signal) => hashFile(file, onProgress, signal),
  check: async (batch) => (await checkUploads(batch)).results,
  send: ({ file, sidecar }, options) => sendFile(file, { ...options, sidecar }),
  now: () => performance.now(),
  onChange: redrawSoon,
})

export const uploads = $state<{ totals: UploadTotals; rows: UploadItem<Source>[]; isOpen: boolean }>({
  totals: queue.totals(),
  rows: [],
  isOpen: true,
})

let _redrawTimer: ReturnType<typeof setTimeout> | undefined
let mediaTypes: Promise<MediaTypes> | null = null

function redrawSoon(): void {
  _redrawTimer ??= setTimeout(() => {
    _redrawTimer = undefined
    redraw()
  }, REDRAW_MS)
}

/** Rows drawn at most: what moves and what went wrong first, so that neither is ever out of sight. */
const ROWS_DRAWN = 200
const ORDER = ['uploading', 'hashing', 'checking', 'failed', 'waiting', 'queued', 'skipped', 'here', 'done']

function redraw(): void {
  uploads.totals = queue.totals()
  const rank = new Map(ORDER.map((state, index) => [state, index]))
  uploads.rows = [...queue.items]
    .sort((a, b) => rank.get(a.state)! - rank.get(b.state)! || a.id - b.id)
    .slice(0, ROWS_DRAWN)
    .map((item) => ({ ...item }))
  // The speed falls to zero on its own when nothing moves.
  if (uploads.totals.open > 0 && uploads.totals.bytesPerSecond > 0) setTimeout(redrawSoon, 1000)
}

/** Takes files in: what the server has no format for is told so here, not after its bytes were sent. */
export async function addUploads(found: FoundFile<File>[]): Promise<void> {
  if (found.length === 0) return
  try {
    mediaTypes ??= getMediaTypes()
    const chosen = pairSidecars(found, await mediaTypes)
    uploads.isOpen = true
    if (queue.totals().open === 0) queue.clear()
    queue.add(
      chosen.map(({ source, name, size, sidecar, skip }) => ({
        source: { file: source, sidecar },
        name,
        size,
        skip,
      })),
    )
  } catch (error) {
    mediaTypes = null
    sayError(error)
  }
}

export const pauseUploads = () => queue.pause()
export const resumeUploads = () => queue.resume()
export const retryUploads = (id?: number) => queue.retry(id)
export const cancelUpload = (id: number) => queue.cancel(id)
export const clearUploads = () => queue.clear()
