/** One upload over XMLHttpRequest: fetch cannot tell how much of a body has left. */
import { expireSession } from '../session.svelte.ts'

export type SendOptions = {
  checksum: string
  sidecar: File | null
  onProgress: (bytes: number) => void
  signal: AbortSignal
}

export function sendFile(file: File, options: SendOptions): Promise<{ id: string; status: string }> {
  const form = new FormData()
  const modifiedAt = new Date(file.lastModified).toISOString()
  // Fields before the file: the server can decide with them while the bytes still come in.
  form.append('fileCreatedAt', modifiedAt)
  form.append('fileModifiedAt', modifiedAt)
  form.append('filename', file.name)
  form.append('isFavorite', 'false')
  if (options.sidecar) form.append('sidecarData', options.sidecar, options.sidecar.name)
  form.append('assetData', file, file.name)

  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('POST', '/api/assets')
    request.setRequestHeader('accept', 'application/json')
    // Lets the server answer "already here" before the bytes are sent.
    request.setRequestHeader('x-immich-checksum', options.checksum)
    request.upload.onprogress = (event) => options.onProgress(Math.min(file.size, event.loaded))
    options.signal.addEventListener('abort', () => request.abort(), { once: true })
    request.onabort = () => reject(options.signal.reason)
    request.onerror = () =>
      reject(new Error('The connection broke. The server has not taken this file; try again.'))
    request.onload = () => {
      if (request.status === 401) expireSession()
      const body = parseBody(request.responseText)
      if (request.status >= 200 && request.status < 300 && typeof body.id === 'string') {
        resolve({ id: body.id, status: body.status ?? 'created' })
      } else {
        reject(new Error(reasonOf(body) ?? `The server answered ${request.status} ${request.statusText}`))
      }
    }
    request.send(form)
  })
}

type Answer = { id?: string; status?: string; message?: string; errors?: { message?: string }[] }

/** Of a file that was refused: why, without the name of the form's field, which says nothing here. */
function reasonOf({ message, errors }: Answer): string | undefined {
  const reason = errors?.[0]?.message ?? message
  return reason?.replace(/^[a-z]/, (letter) => letter.toUpperCase())
}

function parseBody(text: string): Answer {
  try {
    return JSON.parse(text) as Answer
  } catch {
    // An answer that is not JSON has nothing to tell beyond its status, which the caller reports.
    return {}
  }
}
