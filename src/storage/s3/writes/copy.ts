/** Copies within the bucket: no byte of them passes through here. */
import { CompleteMultipartUploadCommand, CopyObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3'
import { type Copies, isStorageError, type ObjectKey, StorageError } from '../../backend.ts'
import { retryUnavailable } from '../../guards/with-retry.ts'
import { assertObjectKey } from '../../object-key.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import { errorStatus } from '../requests/errors.ts'
import { lockOf } from '../requests/object-lock.ts'
import { escapeKey } from '../requests/signature.ts'
import { PART_RETRY } from './part-writer.ts'
import { beginUpload, tryAbort } from './upload.ts'

type CopyOptions = Parameters<Copies['copy']>[2]
type StorageClass = 'STANDARD'

const GIB = 1024 ** 3
/** The largest that CopyObject takes. */
const MAX_COPY_BYTES = 5 * GIB
/** Parts of a source that has no cut of its own: the fewer, the fewer requests are paid for. */
const DEFAULT_PART_BYTES = GIB
/** No byte of them passes here, but each holds a connection that a reader might want. */
const PARTS_AT_ONCE = 2

export function copiesS3(bucket: S3Bucket): Copies {
  return {
    async copy(from, to, options) {
      assertObjectKey(from)
      assertObjectKey(to)
      const isInParts = options.partBytes !== undefined || options.size > MAX_COPY_BYTES
      try {
        await (isInParts ? copyInParts : copyWhole)(bucket, from, to, options)
      } catch (error) {
        throw ofThisCopy(error)
      }
    },
  }
}

/**
 * Services that answer copies with 500 now and then (Hetzner says so of its own) do all else: the place is
 * not away.
 */
function ofThisCopy(error: unknown): unknown {
  if (!isStorageError(error, 'unavailable') || errorStatus(error.cause) !== 500) return error
  return new StorageError('unavailable', error.message, { cause: error.cause, isOfOneObject: true })
}

/** `x-amz-copy-source` of a key of ours. */
export function sourceOf(bucket: S3Bucket, key: string): string {
  return `${bucket.settings.bucket}/${escapeKey(bucket.fullKey(key))}`
}

async function copyWhole(
  bucket: S3Bucket,
  from: ObjectKey,
  to: ObjectKey,
  { storageClass, signal }: CopyOptions,
): Promise<void> {
  // Metadata and content type go along by default.
  const command = new CopyObjectCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(to),
    CopySource: sourceOf(bucket, from),
    StorageClass: storageClass as StorageClass,
    ...lockOf(bucket, to),
  })
  await bucket.call(`CopyObject of ${from}`, signal, (given) => bucket.client.send(command, given))
}

/** Cut as the source was, so that the ETag, MD5 of the MD5s of the parts, can be compared. */
async function copyInParts(
  bucket: S3Bucket,
  from: ObjectKey,
  to: ObjectKey,
  options: CopyOptions,
): Promise<void> {
  const { signal, size } = options
  const target = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(to) }
  const uploadId = await beginUpload(bucket, to, options)
  const partBytes = options.partBytes ?? DEFAULT_PART_BYTES
  const count = Math.max(1, Math.ceil(size / partBytes))
  const etags: string[] = []
  const copyPart = async (number: number): Promise<void> => {
    const first = (number - 1) * partBytes
    const command = new UploadPartCopyCommand({
      ...target,
      UploadId: uploadId,
      PartNumber: number,
      CopySource: sourceOf(bucket, from),
      CopySourceRange: `bytes=${first}-${Math.min(first + partBytes, size) - 1}`,
    })
    // One of thousands that meets a hiccup must not make all of them start over.
    const answer = await retryUnavailable(
      PART_RETRY,
      () =>
        bucket.call(`UploadPartCopy ${number} of ${from}`, signal, (given) =>
          bucket.client.send(command, given),
        ),
      { signal },
    )
    const etag = answer.CopyPartResult?.ETag
    if (etag === undefined) throw new StorageError('unavailable', `UploadPartCopy of ${from} gave no ETag`)
    etags[number - 1] = etag
  }
  try {
    for (let begun = 0; begun < count; begun += PARTS_AT_ONCE) {
      const numbers = Array.from(
        { length: Math.min(PARTS_AT_ONCE, count - begun) },
        (_, at) => begun + at + 1,
      )
      // All of them end before anything follows: a part that still runs must not meet the abort.
      const ended = await Promise.allSettled(numbers.map(copyPart))
      const failed = ended.find((one) => one.status === 'rejected')
      if (failed) throw failed.reason
    }
    const complete = new CompleteMultipartUploadCommand({
      ...target,
      UploadId: uploadId,
      MultipartUpload: { Parts: etags.map((ETag, at) => ({ PartNumber: at + 1, ETag })) },
    })
    await bucket.call(`CompleteMultipartUpload of ${to}`, signal, (given) =>
      bucket.client.send(complete, given),
    )
  } catch (error) {
    await tryAbort(bucket, { key: to, uploadId })
    throw error
  }
}
