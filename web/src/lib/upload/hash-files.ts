/**
 * Two workers that hash; each takes one file at a time. A worker whose file is given up is ended, for it
 * cannot be stopped otherwise.
 */
import type { Hashed, Wanted } from './hash-worker.ts'
import HashWorker from './hash-worker.ts?worker'

type Answer = { id: number; bytes?: number; digests?: Hashed; error?: string }

const idle: Worker[] = []
let nextId = 1

export function hashBlob(
  file: Blob,
  wanted: Wanted,
  { onProgress, signal }: { onProgress?: (bytes: number) => void; signal?: AbortSignal } = {},
): Promise<Hashed> {
  const worker = idle.pop() ?? new HashWorker()
  const id = nextId++
  return new Promise((resolve, reject) => {
    const abort = () => {
      worker.terminate()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    worker.onmessage = (event: MessageEvent<Answer>) => {
      const { bytes, digests, error } = event.data
      if (bytes !== undefined) return onProgress?.(bytes)
      signal?.removeEventListener('abort', abort)
      idle.push(worker)
      if (digests !== undefined) resolve(digests)
      else reject(new Error(error))
    }
    worker.onerror = (event) => {
      signal?.removeEventListener('abort', abort)
      worker.terminate()
      reject(new Error(event.message || 'the part of this page that hashes files could not start'))
    }
    worker.postMessage({ id, file, wanted })
  })
}
