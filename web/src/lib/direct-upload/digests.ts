/** Digests of files, in one reading and in flat memory. Works in browsers, in their workers and in Node. */
import { md5, sha1 } from '@noble/hashes/legacy.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'

/** All lower-case hex. What an upload announces of its bytes. */
export type Digests = { sha1: string; sha256: string; md5: string | null }
type OnProgress = (bytes: number) => void

/** Up to here WebCrypto takes the file whole, where there is one (https or localhost): five times faster. */
const WHOLE_BYTES = 64 * 1024 * 1024
/** Large enough that messages don't matter, small enough that two workers hold 16 MiB. */
const CHUNK_BYTES = 8 * 1024 * 1024

/** The MD5 only of files up to `md5UpToBytes`: larger ones go in parts, each with its own. */
export async function digestBlob(
  blob: Blob,
  { md5UpToBytes, onProgress }: { md5UpToBytes: number; onProgress?: OnProgress },
): Promise<Digests> {
  const wantsMd5 = blob.size <= md5UpToBytes
  if (canDigestWhole(blob)) {
    const bytes = await blob.arrayBuffer()
    const [sha1Hex, sha256Hex] = await Promise.all([
      digestWhole('SHA-1', bytes),
      digestWhole('SHA-256', bytes),
    ])
    return { sha1: sha1Hex, sha256: sha256Hex, md5: wantsMd5 ? bytesToHex(md5(new Uint8Array(bytes))) : null }
  }
  const hashes = { sha1: sha1.create(), sha256: sha256.create(), md5: wantsMd5 ? md5.create() : null }
  await readChunks(
    blob,
    (chunk) => {
      hashes.sha1.update(chunk)
      hashes.sha256.update(chunk)
      hashes.md5?.update(chunk)
    },
    onProgress,
  )
  return {
    sha1: bytesToHex(hashes.sha1.digest()),
    sha256: bytesToHex(hashes.sha256.digest()),
    md5: hashes.md5 && bytesToHex(hashes.md5.digest()),
  }
}

/** Lower-case hex. */
export async function sha1OfBlob(blob: Blob, onProgress?: OnProgress): Promise<string> {
  if (canDigestWhole(blob)) return digestWhole('SHA-1', await blob.arrayBuffer())
  const hash = sha1.create()
  await readChunks(blob, (chunk) => hash.update(chunk), onProgress)
  return bytesToHex(hash.digest())
}

/** Lower-case hex. */
export async function md5OfBlob(blob: Blob): Promise<string> {
  const hash = md5.create()
  await readChunks(blob, (chunk) => hash.update(chunk))
  return bytesToHex(hash.digest())
}

function canDigestWhole(blob: Blob): boolean {
  return blob.size <= WHOLE_BYTES && globalThis.crypto?.subtle !== undefined
}

async function digestWhole(algorithm: 'SHA-1' | 'SHA-256', bytes: ArrayBuffer): Promise<string> {
  return bytesToHex(new Uint8Array(await crypto.subtle.digest(algorithm, bytes)))
}

async function readChunks(
  blob: Blob,
  take: (chunk: Uint8Array) => void,
  onProgress?: OnProgress,
): Promise<void> {
  for (let offset = 0; offset < blob.size; offset += CHUNK_BYTES) {
    take(new Uint8Array(await blob.slice(offset, offset + CHUNK_BYTES).arrayBuffer()))
    onProgress?.(Math.min(blob.size, offset + CHUNK_BYTES))
  }
}
