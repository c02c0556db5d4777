/** Originals to the reader's disk. */
import { ApiError, call, getArchive, originalUrl } from './api.ts'

/** Some of what was asked for must be restored first. */
export class OriginalsArchived extends Error {}

/**
 * One original as it is; several as a zip, or more than one where the server splits them by size. Throws `OriginalsArchived`
 * before anything is downloaded, or `ApiError`.
 */
export async function downloadOriginals(ids: readonly string[]): Promise<void> {
  if (ids.length === 1) {
    const { state } = await getArchive(ids[0]!, 1)
    if (state === 'archived' || state === 'restoring') throw new OriginalsArchived()
    clickLink(originalUrl(ids[0]!), '')
    return
  }
  const { archives } = await call<{ archives: { assetIds: string[] }[] }>('POST', '/download/info', {
    body: { assetIds: ids },
  })
  for (const [index, { assetIds }] of archives.entries()) {
    const response = await fetch('/api/download/archive', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ assetIds }),
    })
    if (response.status === 409) throw new OriginalsArchived()
    if (!response.ok)
      throw new ApiError(
        response.status,
        `The archive could not be made: the server answered ${response.status}`,
      )
    const url = URL.createObjectURL(await response.blob())
    clickLink(url, archives.length === 1 ? 'glassine.zip' : `glassine-${index + 1}.zip`)
    setTimeout(() => URL.revokeObjectURL(url), 60_000)
  }
}

function clickLink(href: string, name: string): void {
  const link = document.createElement('a')
  link.href = href
  link.download = name
  link.click()
}
