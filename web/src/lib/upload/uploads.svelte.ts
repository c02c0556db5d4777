/** The page's one upload queue, as the panel draws it. It outlives every page change. */
import { addToAlbum, checkUploads, getMediaTypes } from '../api.ts'
import type { DirectUpload } from '../direct-upload/protocol.ts'
import { onLive } from '../live.svelte.ts'
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
import { drawSentPicture, forgetSentPicture } from './sent-pictures.svelte.ts'
import { createUploadQueue, type UploadItem, type UploadPorts, type UploadTotals } from './upload-queue.ts'

/** `album`: what is uploaded, or found to be here already, is put into it. */
type Source = { file: File; sidecar: File | null; album: Album | null }
type Album = { id: string; name: string }

/** The album whose page is open: files that are dropped or chosen there go into it. */
export const uploadTarget = $state<{ album: Album | null }>({ album: null })

/** Redraws at most so often: a thousand small files change state faster than anybody reads. */
const REDRAW_MS = 120

const queue = createUploadQueue<Source>({
  hash,
  check: async (batch) => (await checkUploads(batch)).results,
  async send(source, options) {
    const answer = await send(source, options)
    if (answer.status !== 'duplicate') noteArrival(answer.id, source.file)
    return answer
  },
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
  /** How many new assets this page has sent: components that show assets look again when it grows. */
  arrived: number
  /** Of these, the ones whose previews the server has not made yet. */
  previewsToGo: number
}>({
  totals: queue.totals(),
  rows: [],
  isOpen: true,
  route: null,
  unfinished: [],
  arrived: 0,
  previewsToGo: 0,
})

/** Ids of assets whose previews are awaited. A preview may be there before the upload's own answer is. */
const awaited = new Set<string>()
const early = new Set<string>()
const EARLY_KEPT = 1000

function noteArrival(assetId: string, file: File): void {
  uploads.arrived++
  if (early.delete(assetId)) return
  awaited.add(assetId)
  uploads.previewsToGo = awaited.size
  void drawSentPicture(assetId, file)
}

onLive('on_upload_success', ({ id }) => {
  forgetSentPicture(id)
  if (awaited.delete(id)) uploads.previewsToGo = awaited.size
  else if (early.size < EARLY_KEPT) early.add(id)
})
// What happened meanwhile is not told again.
onLive('reconnected', () => {
  awaited.clear()
  uploads.previewsToGo = 0
})

let routeAsked: Promise<Route> | null = null
/** Of files that go straight into the bucket: one reading gives all that they announce. */
const digestsOf = new WeakMap<File, FileDigests>()

/**
 * The way of this page, found out once. Where the question fails, files go through the server, and the panel
 * says why.
 */
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
    // The server does not reach the bucket either, or has no time for a check: what the panel says is all
    // that is known.
  }
}

/**
 * Why this file goes through the server while the others go straight into the bucket; null where it goes as
 * they do.
 */
export function ownWay({ source: { sidecar } }: UploadItem<Source>): string | null {
  if (uploads.route === null || uploads.route.reason !== null || sidecar === null) return null
  return 'through the server, because its sidecar is sent with it'
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

/** Rows drawn at most: what went wrong and what moves first, so that neither is ever out of sight. */
const ROWS_DRAWN = 200
const ORDER = [
  'failed',
  'uploading',
  'proving',
  'hashing',
  'checking',
  'waiting',
  'queued',
  'skipped',
  'here',
  'done',
]

/** By the ids of their items. */
const inAlbum = new Set<number>()

/** What has come to an end since the last redrawing goes into its album, in one request for each. */
function fillAlbums(): void {
  const ended = queue.items.filter(
    ({ id, source, assetId, state, isInTrash }) =>
      source.album !== null &&
      assetId !== null &&
      (state === 'done' || state === 'here') &&
      !isInTrash &&
      !inAlbum.has(id),
  )
  for (const [albumId, items] of Map.groupBy(ended, (item) => item.source.album!.id)) {
    for (const { id } of items) inAlbum.add(id)
    void addToAlbum(
      albumId,
      items.map((item) => item.assetId!),
    ).catch((error) => {
      // The next redrawing tries again; the files themselves are safe.
      for (const { id } of items) inAlbum.delete(id)
      sayError(error)
    })
  }
}

function redraw(): void {
  fillAlbums()
  uploads.totals = queue.totals()
  const rank = new Map(ORDER.map((state, index) => [state, index]))
  uploads.rows = [...queue.items]
    .sort((a, b) => rank.get(a.state)! - rank.get(b.state)! || a.id - b.id)
    .slice(0, ROWS_DRAWN)
    .map((item) => ({ ...item }))
  // The speed falls to zero on its own when nothing moves.
  if (uploads.totals.open > 0 && uploads.totals.bytesPerSecond > 0) setTimeout(redrawSoon, 1000)
}

/** Takes files in: files of an unsupported format are refused here, before their bytes are sent. */
export async function addUploads(found: FoundFile<File>[], album: Album | null = null): Promise<void> {
  if (found.length === 0) return
  try {
    mediaTypes ??= getMediaTypes()
    const chosen = pairSidecars(found, await mediaTypes)
    uploads.isOpen = true
    if (queue.totals().open === 0) queue.clear()
    queue.add(
      chosen.map(({ source, name, size, sidecar, skip }) => ({
        source: { file: source, sidecar, album },
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
