/** Whether this page can put files straight into the bucket, asked once; and how it does. */
import { beginUploadCheck, call, finishUploadCheck } from '../api.ts'
import {
  createProofWatch,
  DirectUploadError,
  type Ports,
  uploadDirectly,
  whyNotDirect,
} from '../direct-upload/direct-upload.ts'
import type { DirectUpload, DirectUploadConfig } from '../direct-upload/protocol.ts'
import { putByXhr } from '../direct-upload/put-xhr.ts'
import { tryBucket } from '../storage/locations/browser-probe.ts'
import { thisPage } from '../storage/locations/this-page.ts'
import { hashBlob } from './hash-files.ts'
import type { SendOptions } from './send-file.ts'

/** `reason`: why files go through the server; null where they go straight into the bucket. */
export type Route = { reason: string | null; md5UpToBytes: number }
export type FileDigests = { sha1: string; sha256: string; md5: string | null }

const ports: Ports = {
  call,
  put: putByXhr,
  md5: async (part) => (await hashBlob(part, { what: 'md5' })).md5!,
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
}
const wait = createProofWatch(ports)

export async function findRoute(): Promise<Route> {
  const { origin } = location
  const config = await call<DirectUploadConfig>(
    'GET',
    `/storage/uploads/config?origin=${encodeURIComponent(origin)}`,
  )
  const reason = whyNotDirect(config, origin) ?? (config.isOpenToPage ? null : await checkBucket())
  return { reason, md5UpToBytes: config.maxSinglePutBytes }
}

/**
 * Puts a little of the server's own into the bucket. The result is kept for all pages of this origin. Null:
 * it worked.
 */
export async function checkBucket(): Promise<string | null> {
  const offer = await beginUploadCheck()
  const { canUpload, detail } = await finishUploadCheck(offer.id, await tryBucket(offer, thisPage()))
  return canUpload ? null : detail
}

/** Throws `DirectUploadError` of kind `unreachable` where the ordinary way may still work. */
export function sendDirectly(
  file: File,
  digests: FileDigests,
  options: Omit<SendOptions, 'checksum' | 'sidecar'> & {
    onReceived: () => void
    whilePaused: () => Promise<void>
    onAsked: (uploadId: string) => void
  },
): Promise<{ id: string; status: string }> {
  const modifiedAt = new Date(file.lastModified).toISOString()
  const announcement = {
    fileName: file.name,
    size: file.size,
    ...digests,
    fileCreatedAt: modifiedAt,
    fileModifiedAt: modifiedAt,
  }
  return uploadDirectly(ports, file, announcement, { ...options, wait })
}

/**
 * Uploads that were begun and not confirmed: by this page before it was closed, or by another one that is at
 * it.
 */
export const getUnfinished = async () =>
  (await call<{ uploads: DirectUpload[] }>('GET', '/storage/uploads?state=open')).uploads
export const giveUpUnfinished = (id: string) => call<void>('DELETE', `/storage/uploads/${id}`)

export const isUnreachable = (error: unknown) =>
  error instanceof DirectUploadError && error.kind === 'unreachable'
