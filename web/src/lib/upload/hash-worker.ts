/**
 * Hashes files away from the page. In: `{ id, file, wanted }`. Out: `{ id, bytes }` as it goes, then `{ id,
 * digests }` or
 * `{ id, error }`.
 */
import { digestBlob, md5OfBlob, sha1OfBlob } from '../direct-upload/digests.ts'

/**
 * `sha1`: what the server recognises files by. `all`: what a direct upload announces. `md5`: what one part is
 * bound to.
 */
export type Wanted = { what: 'sha1' } | { what: 'all'; md5UpToBytes: number } | { what: 'md5' }
export type Hashed = { sha1: string | null; sha256: string | null; md5: string | null }

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
  return { sha1: await sha1OfBlob(file, onProgress), sha256: null, md5: null }
}
