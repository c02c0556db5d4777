/** Originals to the reader's disk: streamed by the browser itself, followed in a panel. */
import {
  ApiError,
  cancelArchive,
  createArchive,
  getArchive,
  getArchiveProgress,
  getStorageHealth,
  originalUrl,
  planArchives,
} from '../api.ts'
import { say, sayError } from '../toasts.svelte.ts'

/** Some of what was asked for must be restored first. */
export class OriginalsArchived extends Error {}

export type Download = {
  /** The server's id of the archive. */
  id: string
  name: string
  files: number
  sentBytes: number
  totalBytes: number
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'
  error: string | null
}

export const downloads = $state<{ list: Download[] }>({ list: [] })

const ASK_MS = 1000

/**
 * One original as it is; several as a zip, or more than one where the server splits them by size. Throws
 * `OriginalsArchived` before anything is downloaded, or `ApiError`.
 */
export async function downloadOriginals(ids: readonly string[], name = 'glassine'): Promise<void> {
  if (ids.length === 1) return downloadOne(ids[0]!)
  await downloadArchives({ assetIds: ids }, name)
}

/** Everything in an album. */
export function downloadAlbum({ id, albumName }: { id: string; albumName: string }): Promise<void> {
  return downloadArchives({ albumId: id }, albumName || 'album')
}

async function downloadOne(id: string): Promise<void> {
  const { state } = await getArchive(id, 1)
  if (state === 'archived' || state === 'restoring') throw new OriginalsArchived()
  // Costs a request to the bucket, so only while something is wrong.
  const { isDegraded } = await getStorageHealth()
  if (isDegraded) await requireReadable(id)
  clickLink(originalUrl(id), '')
  say('The download begins')
}

/** The browser says nothing of a download that does not begin; asked for its first byte, the server does. */
async function requireReadable(id: string): Promise<void> {
  // What is redirected to the bucket is there; following it would need the bucket's leave for this page.
  const response = await fetch(originalUrl(id), {
    headers: { range: 'bytes=0-0', accept: 'application/json' },
    redirect: 'manual',
  }).catch(() => null)
  await response?.body?.cancel()
  if (response === null)
    throw new ApiError(0, 'The server does not answer. Check the connection; nothing is lost.')
  if (response.type === 'opaqueredirect' || response.ok || response.status === 416) return
  throw new ApiError(response.status, await whyNot(response.status))
}

async function whyNot(status: number): Promise<string> {
  if (status !== 503) return `The original can't be opened: the server answered ${status}.`
  const health = await getStorageHealth().catch(() => null)
  const place = health?.places?.find(({ isAway }) => isAway)?.label ?? 'the storage of the originals'
  return `The original can't be opened now: ${place} can't be reached. It is safe; try again later.`
}

async function downloadArchives(
  which: { assetIds: readonly string[] } | { albumId: string },
  name: string,
): Promise<void> {
  const { archives } = await planArchives(which)
  for (const [index, { assetIds }] of archives.entries()) {
    const fileName = archives.length === 1 ? `${name}.zip` : `${name}-${index + 1}.zip`
    const { id, totalBytes, files } = await createArchive(assetIds, fileName.slice(0, -4)).catch(
      (error: unknown) => {
        if (error instanceof ApiError && error.status === 409) throw new OriginalsArchived()
        throw error
      },
    )
    downloads.list.push({
      id,
      name: fileName,
      files,
      sentBytes: 0,
      totalBytes,
      state: 'waiting',
      error: null,
    })
    clickLink(`/api/download/archives/${id}`, fileName)
    await follow(downloads.list.at(-1)!)
  }
}

export function isOver({ state }: Download): boolean {
  return state !== 'waiting' && state !== 'running'
}

/** Until it is over: of several, one after another. */
async function follow(download: Download): Promise<void> {
  while (!isOver(download)) {
    await new Promise((resolve) => setTimeout(resolve, ASK_MS))
    try {
      const { state, sentBytes, error } = await getArchiveProgress(download.id)
      // The answer may be older than what was done here meanwhile.
      if (isOver(download)) return
      Object.assign(download, { state, sentBytes, error })
    } catch (problem) {
      // The download itself may go on; only what is known of it ends.
      if (problem instanceof ApiError && problem.status === 0) continue
      Object.assign(download, {
        state: 'failed',
        error: problem instanceof Error ? problem.message : String(problem),
      })
    }
  }
}

export async function cancelDownload(download: Download): Promise<void> {
  try {
    await cancelArchive(download.id)
    download.state = 'cancelled'
  } catch (error) {
    sayError(error)
  }
}

/** Forgets what is over. */
export function clearDownloads(): void {
  downloads.list = downloads.list.filter((download) => !isOver(download))
}

function clickLink(href: string, name: string): void {
  const link = document.createElement('a')
  link.href = href
  link.download = name
  link.click()
}
