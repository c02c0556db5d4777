/** Copies within the bucket: no byte of them passes through here. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { type Copies, isStorageError, type ObjectKey, StorageError } from './backend.ts'
import { assertObjectKey } from './object-key.ts'
import type { S3Bucket } from './s3-bucket.ts'
import { escapeUri } from './s3-http.ts'

type CopyOptions = Parameters<Copies['copy']>[2]
type StorageClass = 'STANDARD'

const GIB = 1024 ** 3
/** The largest that CopyObject takes. */
const MAX_COPY_BYTES = 5 * GIB
/** Parts of a source that has no cut of its own: the fewer, the fewer requests are paid for. */
const DEFAULT_PART_BYTES = GIB
const PARTS_AT_ONCE = 4

export function copiesS3(bucket: S3Bucket): Copies {
  return {
    async copy(from, to, options) {
      assertObjectKey(from)
      assertObjectKey(to)
      if (options.partBytes !== undefined || options.size > MAX_COPY_BYTES) {
        await copyInParts(bucket, from, to, options)
      } else {
        await copyWhole(bucket, from, to, options)
      }
    },
  }
}

function sourceOf(bucket: S3Bucket, key: ObjectKey): string {
  const path = bucket.fullKey(key).split('/').map(escapeUri).join('/')
  return `${bucket.settings.bucket}/${path}`
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
  const create = new CreateMultipartUploadCommand({
    ...target,
    StorageClass: options.storageClass as StorageClass,
    ...(options.contentType !== undefined && { ContentType: options.contentType }),
  })
  const { UploadId } = await bucket.call(`CreateMultipartUpload of ${to}`, signal, (given) =>
    bucket.client.send(create, given),
  )
  if (UploadId === undefined)
    throw new StorageError('unavailable', `CreateMultipartUpload of ${to} gave no id`)
  const partBytes = options.partBytes ?? DEFAULT_PART_BYTES
  const count = Math.max(1, Math.ceil(size / partBytes))
  const etags: string[] = []
  const copyPart = async (number: number): Promise<void> => {
    const first = (number - 1) * partBytes
    const command = new UploadPartCopyCommand({
      ...target,
      UploadId,
      PartNumber: number,
      CopySource: sourceOf(bucket, from),
      CopySourceRange: `bytes=${first}-${Math.min(first + partBytes, size) - 1}`,
    })
    const answer = await bucket.call(`UploadPartCopy ${number} of ${from}`, signal, (given) =>
      bucket.client.send(command, given),
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
      UploadId,
      MultipartUpload: { Parts: etags.map((ETag, at) => ({ PartNumber: at + 1, ETag })) },
    })
    await bucket.call(`CompleteMultipartUpload of ${to}`, signal, (given) =>
      bucket.client.send(complete, given),
    )
  } catch (error) {
    await abortUpload(bucket, to, UploadId)
    throw error
  }
}

async function abortUpload(bucket: S3Bucket, key: ObjectKey, uploadId: string): Promise<void> {
  const command = new AbortMultipartUploadCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(key),
    UploadId: uploadId,
  })
  try {
    await bucket.call(`AbortMultipartUpload of ${key}`, undefined, (options) =>
      bucket.client.send(command, options),
    )
  } catch (error) {
    // Completed or aborted already.
    if (isStorageError(error, 'not-found')) return
    bucket.log.warn(
      { key, uploadId, error: String(error) },
      'an unfinished multipart upload stays at the service',
    )
  }
}
