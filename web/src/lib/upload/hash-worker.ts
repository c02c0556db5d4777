/**
 * Hashes files away from the page. In: `{ id, file, wanted }`. Out: `{ id, bytes }` as it goes, then `{ id, digests }` or
 * `{ id, error }`.
 */
import { digestBlob, md5OfBlob } from '../direct-upload/digests.ts'
import { startSha1 } from './sha1.ts'

/** `sha1`: what the server recognises files by. `all`: what a direct upload announces. `md5`: what one part is bound to. */
export type Wanted = { what: 'sha1' } | { what: 'all'; md5UpToBytes: number } | { what: 'md5' }
export type Hashed = { sha1: string | null; sha256: string | null; md5: string | null }

/** Large enough that messages don't matter, small enough that two workers hold 16 MiB. */
const CHUNK_BYTES = 8 * 1024 * 1024
/** Up to here WebCrypto takes the file whole, where the browser has it (https or localhost): five times faster. */
const WHOLE_FILE_BYTES = 64 * 1024 * 1024

addEventListener('message', (event: MessageEvent<{ id: number; file: Blob; wanted: Wanted }>) => {
  const { id, file, wanted } = event.data
  hash(file, wanted, (bytes) => postMessage({ id, bytes })).then(
    (digests) => postMessage({ id, digests }),
    (error: unknown) => postMessage({ id, error: error instanceof Error ? error.message : String(error) }),
  )
})

async function hash(file: Blob, wanted: Wanted, onProgress: (bytes: number) => void): Promise<Hashed> {
  if (wanted.what === 'all') return digestBlob(file, { md5UpToBytes: wanted.md5UpToBytes, onProgress })
  if (wanted.what === 'md5') return { sha1: null, sha256: null, md5: await md5OfBlob(file) }
  return { sha1: await sha1OfFile(file, onProgress), sha256: null, md5: null }
}

async function sha1OfFile(file: Blob, onProgress: (bytes: number) => void): Promise<string> {
  if (file.size <= WHOLE_FILE_BYTES && globalThis.crypto?.subtle) {
    const digest = await crypto.subtle.digest('SHA-1', await file.arrayBuffer())
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
  }
  const sha1 = startSha1()
  for (let offset = 0; offset < file.size; offset += CHUNK_BYTES) {
    sha1.update(new Uint8Array(await file.slice(offset, offset + CHUNK_BYTES).arrayBuffer()))
    onProgress(Math.min(file.size, offset + CHUNK_BYTES))
  }
  return sha1.digestHex()
}
