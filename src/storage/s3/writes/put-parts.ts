import type { Body, ObjectKey, PutOptions, PutResult } from '../../backend.ts'
import { isStorageError } from '../../backend.ts'
import { openBodySource } from '../../bytes/body-source.ts'
import { expectedSha256 } from '../../bytes/read-body.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import {
  choosePartBytes,
  MAX_PARTS_AT_ONCE,
  openPartWriter,
  type SentParts,
  type Upload,
} from './part-writer.ts'
import { assertEnd, assertSha256 } from './put.ts'
import { beginUpload, completeUpload, tryAbort } from './upload.ts'

/**
 * In parts of one size. The body is read once, in order; the SHA-256 of all of it is compared before the
 * parts become an object, and the ETag, where the probe saw what it is made of, after.
 */
export async function putInParts(
  bucket: S3Bucket,
  key: ObjectKey,
  body: Body,
  options: PutOptions,
): Promise<PutResult> {
  const partBytes = choosePartBytes(bucket, body.size)
  const uploadId = await beginUpload(bucket, key, options)
  const upload: Upload = { key, uploadId, signal: options.signal }
  try {
    const sent = await sendParts(bucket, upload, body, { partBytes, options })
    options.signal?.throwIfAborted()
    return await completeUpload(bucket, upload, body, { ...sent, partBytes })
  } catch (error) {
    // Of a place that is known to be silent; whoever began the write knows its key.
    if (!(isStorageError(error) && error.retryAt !== undefined)) await tryAbort(bucket, upload)
    throw error
  }
}

/** Several parts are under way while the next is read. */
async function sendParts(
  bucket: S3Bucket,
  upload: Upload,
  body: Body,
  { partBytes, options }: { partBytes: number; options: PutOptions },
): Promise<SentParts> {
  const writer = openPartWriter(bucket, upload, {
    atOnce: () => MAX_PARTS_AT_ONCE,
    ...(options.onProgress && { onSent: options.onProgress }),
  })
  const source = await openBodySource(body, options.signal)
  try {
    while (writer.readBytes() < body.size) {
      await writer.send(source, Math.min(partBytes, body.size - writer.readBytes()))
    }
    await assertEnd(source, body, body.size)
  } finally {
    await Promise.all([source.close(), writer.idle()])
  }
  const sent = writer.sent()
  assertSha256(sent.sha256, expectedSha256(body))
  return sent
}
