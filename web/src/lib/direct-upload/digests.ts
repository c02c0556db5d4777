/** What an upload announces of its bytes, in one reading. Works in browsers, in their workers and in Node. */
import { startSha1 } from '../upload/sha1.ts'
import { toHex } from './block-hash.ts'
import { startMd5 } from './md5.ts'
import { startSha256 } from './sha256.ts'

/** All lower-case hex. */
export type Digests = { sha1: string; sha256: string; md5: string | null }

/** Up to here WebCrypto takes the file whole, where there is one (https or localhost): five times faster. */
const WHOLE_BYTES = 64 * 1024 * 1024
const CHUNK_BYTES = 8 * 1024 * 1024

/** The MD5 only of files up to `md5UpToBytes`: larger ones go in parts, each with its own. */
export async function digestBlob(
  blob: Blob,
  { md5UpToBytes, onProgress }: { md5UpToBytes: number; onProgress?: (bytes: number) => void },
): Promise<Digests> {
  const md5 = blob.size <= md5UpToBytes ? startMd5() : null
  if (blob.size <= WHOLE_BYTES && globalThis.crypto?.subtle) {
    const bytes = await blob.arrayBuffer()
    const [sha1, sha256] = await Promise.all([
      crypto.subtle.digest('SHA-1', bytes),
      crypto.subtle.digest('SHA-256', bytes),
    ])
    md5?.update(new Uint8Array(bytes))
    const hex = (digest: ArrayBuffer) => toHex(new Uint8Array(digest))
    return { sha1: hex(sha1), sha256: hex(sha256), md5: md5?.digestHex() ?? null }
  }
  const [sha1, sha256] = [startSha1(), startSha256()]
  await readChunks(
    blob,
    (chunk) => {
      sha1.update(chunk)
      sha256.update(chunk)
      md5?.update(chunk)
    },
    onProgress,
  )
  return { sha1: sha1.digestHex(), sha256: sha256.digestHex(), md5: md5?.digestHex() ?? null }
}

export async function md5OfBlob(blob: Blob): Promise<string> {
  const md5 = startMd5()
  await readChunks(blob, (chunk) => md5.update(chunk))
  return md5.digestHex()
}

async function readChunks(
  blob: Blob,
  take: (chunk: Uint8Array) => void,
  onProgress?: (bytes: number) => void,
): Promise<void> {
  for (let offset = 0; offset < blob.size; offset += CHUNK_BYTES) {
    take(new Uint8Array(await blob.slice(offset, offset + CHUNK_BYTES).arrayBuffer()))
    onProgress?.(Math.min(blob.size, offset + CHUNK_BYTES))
  }
}
