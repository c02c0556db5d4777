/** Hashes files away from the page. In: `{ id, file }`. Out: `{ id, bytes }` as it goes, then `{ id, checksum }` or `{ id, error }`. */
import { startSha1 } from './sha1.ts'

/** Large enough that messages don't matter, small enough that two workers hold 16 MiB. */
const CHUNK_BYTES = 8 * 1024 * 1024
/** Up to here WebCrypto takes the file whole, where the browser has it (https or localhost): five times faster. */
const WHOLE_FILE_BYTES = 64 * 1024 * 1024

addEventListener('message', (event: MessageEvent<{ id: number; file: File }>) => {
  const { id, file } = event.data
  hash(file, (bytes) => postMessage({ id, bytes })).then(
    (checksum) => postMessage({ id, checksum }),
    (error: unknown) => postMessage({ id, error: error instanceof Error ? error.message : String(error) }),
  )
})

async function hash(file: File, onProgress: (bytes: number) => void): Promise<string> {
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
