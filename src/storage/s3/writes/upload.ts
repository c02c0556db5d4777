import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
} from '@aws-sdk/client-s3'
import type { Body, Evidence, ObjectKey, PutResult } from '../../backend.ts'
import { isStorageError, StorageError } from '../../backend.ts'
import { digestValue } from '../../bytes/digest.ts'
import { retryUnavailable } from '../../guards/with-retry.ts'
import { headS3 } from '../reads/read.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import { lockOf } from '../requests/object-lock.ts'
import { ensureLocked } from './ensure-locked.ts'
import { PART_RETRY, type SentParts, type Upload } from './part-writer.ts'
import { resolveUnclearPut } from './put.ts'

/** Begins a multipart upload; its id. */
export async function beginUpload(
  bucket: S3Bucket,
  key: ObjectKey,
  options: { contentType?: string; storageClass?: string; signal?: AbortSignal | undefined },
): Promise<string> {
  const create = new CreateMultipartUploadCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(key),
    ...(options.contentType !== undefined && { ContentType: options.contentType }),
    ...(options.storageClass !== undefined && { StorageClass: options.storageClass as 'STANDARD' }),
    ...lockOf(bucket, key),
  })
  const { UploadId } = await bucket.call(`CreateMultipartUpload of ${key}`, options.signal, (given) =>
    bucket.client.send(create, given),
  )
  if (UploadId === undefined)
    throw new StorageError('unavailable', `CreateMultipartUpload of ${key} gave no id`)
  return UploadId
}

/**
 * Makes the parts one object and compares what the service then holds with what was sent. All bytes are there
 * already, so a service that is away for a moment is asked again.
 */
export async function completeUpload(
  bucket: S3Bucket,
  upload: Upload,
  body: Body,
  sent: SentParts & { partBytes: number },
): Promise<PutResult> {
  return retryUnavailable(PART_RETRY, (attempt) => complete(bucket, upload, body, { ...sent, attempt }), {
    signal: upload.signal,
  })
}

async function complete(
  bucket: S3Bucket,
  { key, uploadId, signal }: Upload,
  body: Body,
  { parts, crc64nvme, partBytes, attempt }: SentParts & { partBytes: number; attempt: number },
): Promise<PutResult> {
  const { features } = bucket
  const composite = compositeEtag(parts)
  const evidence: Evidence = { partBytes, parts: parts.length, ...(crc64nvme !== undefined && { crc64nvme }) }
  const command = new CompleteMultipartUploadCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(key),
    UploadId: uploadId,
    MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag })) },
    ...(features.conditionalComplete && { IfNoneMatch: '*' }),
  })
  let unclear: StorageError | undefined
  try {
    await bucket.call(`CompleteMultipartUpload of ${key}`, signal, (options) =>
      bucket.client.send(command, options),
    )
  } catch (error) {
    // NoSuchUpload (on a retry also AlreadyExists) may mean that an earlier attempt succeeded and its
    // response was lost.
    const mayBeOurs =
      isStorageError(error, 'unavailable') ||
      isStorageError(error, 'not-found') ||
      (attempt > 1 && isStorageError(error, 'already-exists'))
    // What names the time of the next trial comes of a place that is known to be silent: no look would be
    // answered.
    if (!mayBeOurs || error.retryAt !== undefined) throw error
    unclear = new StorageError('unavailable', `CompleteMultipartUpload of ${key} ended unclear`, {
      cause: error,
    })
  }
  // The answer's ETag may be empty (Ceph), so a HEAD says what there is now.
  const info = await headS3(bucket, key, signal)
  if (info === null) {
    throw unclear ?? new StorageError('unavailable', `${key} is not there after CompleteMultipartUpload`)
  }
  if (info.etag !== undefined) evidence.etag = info.etag

  const crc = digestValue(info.attested, 'crc64nvme')
  const etagSays = features.multipartEtagIsMd5OfParts === true && info.etag?.includes('-') === true
  const isAttested = etagSays || (crc !== undefined && crc64nvme !== undefined)
  const isWrong =
    info.size !== body.size ||
    (etagSays && info.etag !== composite) ||
    (crc ?? crc64nvme) !== (crc64nvme ?? crc)
  if (unclear !== undefined && (isWrong || !isAttested)) {
    return resolveUnclearPut(bucket, key, body, { evidence, signal, error: unclear })
  }
  if (isWrong) {
    const message = `the service reports size ${info.size} and ETag ${info.etag} of ${key}, not ${body.size} and ${composite}`
    throw new StorageError('corrupt', message)
  }
  const proof = isAttested ? 'attested' : features.enforcedDigests.includes('md5') ? 'enforced' : 'none'
  return { ...(await ensureLocked(bucket, key, info, signal)), proof, evidence }
}

/** MD5 of the MD5s of the parts, and how many there are: what AWS, Ceph and most others give as ETag. */
export function compositeEtag(parts: { md5: Buffer }[]): string {
  const hash = createHash('md5')
  for (const { md5 } of parts) hash.update(md5)
  return `${hash.digest('hex')}-${parts.length}`
}

/**
 * Parts of an upload that is not aborted are paid for and never seen. One that was completed or aborted
 * already is a success.
 */
export async function abortUpload(
  bucket: S3Bucket,
  { key, uploadId }: Pick<Upload, 'key' | 'uploadId'>,
): Promise<void> {
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
    if (!isStorageError(error, 'not-found')) throw error
  }
}

/** What cannot be aborted now stays at the service until somebody looks there for unfinished uploads. */
export async function tryAbort(
  bucket: S3Bucket,
  { key, uploadId }: Pick<Upload, 'key' | 'uploadId'>,
): Promise<void> {
  await retryUnavailable(PART_RETRY, () => abortUpload(bucket, { key, uploadId })).catch((error: unknown) => {
    bucket.log.warn(
      { key, uploadId, error: String(error) },
      'an unfinished multipart upload stays at the service',
    )
  })
}
