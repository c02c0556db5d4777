import { type Put, withoutLength } from './put.ts'

/** With progress; for browsers, whose `fetch` can't tell how much of a body has left. */
export const putByXhr: Put = ({ url, headers }, body, { signal, onProgress } = {}) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const abort = () => request.abort()
    if (signal?.aborted) return reject(signal.reason)
    request.open('PUT', url)
    for (const [name, value] of Object.entries(withoutLength(headers))) request.setRequestHeader(name, value)
    if (onProgress) request.upload.onprogress = (event) => onProgress(Math.min(body.size, event.loaded))
    request.onload = () => resolve(request.status)
    request.onerror = () => reject(new TypeError('the bucket gave no answer that this page may read'))
    request.onabort = () => reject(signal?.reason ?? new Error('aborted'))
    request.onloadend = () => signal?.removeEventListener('abort', abort)
    signal?.addEventListener('abort', abort, { once: true })
    // A type of its own would take the place of the signed one.
    request.send(new Blob([body]))
  })
