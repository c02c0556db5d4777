/** The page's one upload queue, as the panel draws it. It outlives every page change. */
import { checkUploads, getMediaTypes } from '../api.ts'
import type { DirectUpload } from '../direct-upload/protocol.ts'
import { sayError } from '../toasts.svelte.ts'
import {
  checkBucket,
  type FileDigests,
  findRoute,
  getUnfinished,
  giveUpUnfinished,
  isUnreachable,
  type Route,
  sendDirectly,
} from './direct-route.ts'
import { hashBlob } from './hash-files.ts'
import { type FoundFile, type MediaTypes, pairSidecars } from './pair-sidecars.ts'
import { sendFile } from './send-file.ts'
import { sendPastServer } from './send-past-server.ts'
import { createUploadQueue, type UploadItem, type UploadPorts, type UploadTotals } from './upload-queue.ts'

type Source = { file: File; sidecar: File | null }

/** Redraws at most so often: a thousand small files change state faster than anybody reads. */
const REDRAW_MS = 120

const queue = createUploadQueue<Source>({
  hash,
  check: async (batch) => (await checkUploads(batch)).results,
  send,
  now: () => performance.now(),
  onChange: redrawSoon,
})

export const uploads = $state<{
  totals: UploadTotals
  rows: UploadItem<Source>[]
  isOpen: boolean
  /** How files go; null until the first one asks. */
  route: Route | null
  /** Begun and not confirmed; choosing the files again goes on with them. */
  unfinished: DirectUpload[]
}>({
  totals: queue.totals(),
  rows: [],
  isOpen: true,
  route: null,
  unfinished: [],
})

let routeAsked: Promise<Route> | null = null
/** Of files that go straight into the bucket: one reading gives all that they announce. */
const digestsOf = new WeakMap<File, FileDigests>()

/** The way of this page, found out once. Where the question fails, files go through the server, and the panel says why. */
function findRouteOnce(): Promise<Route> {
  routeAsked ??= findRoute()
    .catch((error: Error) => ({ reason: error.message, md5UpToBytes: 0 }))
    .then((route) => {
      uploads.route = route
      return route
    })
  return routeAsked
}

async function hash(
  { file, sidecar }: Source,
  onProgress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const { reason, md5UpToBytes } = await findRouteOnce()
  // A sidecar travels with its photo, through the server.
  if (reason !== null || sidecar !== null || file.size === 0)
    return (await hashBlob(file, { what: 'sha1' }, { onProgress, signal })).sha1!
  const digests = await hashBlob(file, { what: 'all', md5UpToBytes }, { onProgress, signal })
  digestsOf.set(file, digests as FileDigests)
  return digests.sha1!
}

async function send(
  { file, sidecar }: Source,
  options: Parameters<UploadPorts<Source>['send']>[1],
): Promise<{ id: string; status: string }> {
  const digests = digestsOf.get(file)
  if (digests === undefined || uploads.route?.reason !== null) return sendFile(file, { ...options, sidecar })
  // Stopped and tried again at once: the same file announced meanwhile would be given up with the first.
  await givenUp.get(file)
  return sendPastServer({
    send: (onAsked) =>
      sendDirectly(file, digests, {
        ...options,
        onAsked(id) {
          forgetUnfinished(id)
          onAsked(id)
        },
      }),
    giveUp(id) {
      const isOver = giveUpUnfinished(id)
      // A stopped file has no row to show an error in.
      givenUp.set(file, isOver.catch(sayError))
      return isOver
    },
    isUnreachable,
    fallBack() {
      uploads.route = { md5UpToBytes: 0, ...uploads.route, reason: 'the bucket does not answer any more' }
      void explainFallback()
      return sendFile(file, { ...options, sidecar })
    },
    signal: options.signal,
  })
}

/** Uploads that are being given up, by their files. */
const givenUp = new WeakMap<File, Promise<void>>()

/** Says what is in the way, and lets the server know, so that the next page does not try in vain. */
async function explainFallback(): Promise<void> {
  try {
    const reason = await checkBucket()
    if (reason !== null && uploads.route !== null) uploads.route = { ...uploads.route, reason }
  } catch {
    // The server does not reach the bucket either, or has no time for a check: what the panel says is all that is known.
  }
}

/** Why this file goes through the server while the others go straight into the bucket; null where it goes as they do. */
export function ownWay({ source: { sidecar } }: UploadItem<Source>): string | null {
  if (uploads.route === null || uploads.route.reason !== null || sidecar === null) return null
  return 'through the server, for its sidecar has to come along'
}

/** What an earlier page began; asked when the page opens. */
export async function loadUnfinished(): Promise<void> {
  try {
    uploads.unfinished = await getUnfinished()
  } catch (error) {
    sayError(error)
  }
}

function forgetUnfinished(id: string): void {
  uploads.unfinished = uploads.unfinished.filter((upload) => upload.id !== id)
}

/** They stay as they are, and the next page asks again. */
export function hideUnfinished(): void {
  uploads.unfinished = []
}

export async function giveUpAllUnfinished(): Promise<void> {
  try {
    for (const { id } of [...uploads.unfinished]) {
      await giveUpUnfinished(id)
      forgetUnfinished(id)
    }
  } catch (error) {
    sayError(error)
  }
}

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
const ORDER = [
  'uploading',
  'proving',
  'hashing',
  'checking',
  'failed',
  'waiting',
  'queued',
  'skipped',
  'here',
  'done',
]

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
