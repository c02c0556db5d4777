import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { Body, DigestAlgorithm, Evidence, ObjectKey, PutOptions, PutResult } from './backend.ts'
import { isStorageError, StorageError } from './backend.ts'
import { openBodySource } from './body-source.ts'
import type { Loan } from './buffer-pool.ts'
import { createDigester, digestValue } from './digest.ts'
import { expectedSha256 } from './read-body.ts'
import type { S3Bucket } from './s3-bucket.ts'
import { signPayload } from './s3-client.ts'
import { deleteS3 } from './s3-delete.ts'
import { mayBeMd5, plainEtag } from './s3-object-info.ts'
import { assertEnd, assertSha256, settle } from './s3-put.ts'
import { headS3 } from './s3-read.ts'
import { retryUnavailable } from './with-retry.ts'

const MIB = 1024 * 1024
const PARTS_AT_ONCE = 4
/** A part is in memory: trying it again costs nothing, starting a video of 3 GB over does. */
const PART_RETRY = { attempts: 4, delayMs: 300 }

type Part = { number: number; etag: string; md5: Buffer }
type Upload = { key: ObjectKey; uploadId: string; signal: AbortSignal | undefined }

/**
 * In parts of one size. The body is read once, in order; the SHA-256 of all of it is compared before the parts become
 * an object, and the ETag, where the probe saw what it is made of, after.
 */
export async function putInParts(
  bucket: S3Bucket,
  key: ObjectKey,
  body: Body,
  options: PutOptions,
): Promise<PutResult> {
  const partBytes = choosePartBytes(bucket, body.size)
  const create = new CreateMultipartUploadCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(key),
    ...(options.contentType !== undefined && { ContentType: options.contentType }),
    ...(options.storageClass !== undefined && { StorageClass: options.storageClass as 'STANDARD' }),
  })
  const { UploadId } = await bucket.call(`CreateMultipartUpload of ${key}`, options.signal, (given) =>
    bucket.client.send(create, given),
  )
  if (UploadId === undefined)
    throw new StorageError('unavailable', `CreateMultipartUpload of ${key} gave no id`)
  const upload: Upload = { key, uploadId: UploadId, signal: options.signal }
  try {
    const sent = await sendParts(bucket, upload, body, { partBytes, options })
    options.signal?.throwIfAborted()
    return await complete(bucket, upload, body, { ...sent, partBytes })
  } catch (error) {
    await abort(bucket, upload)
    throw error
  }
}

/** Grows in steps of 1 MiB where the provider allows too few parts for the usual size. */
function choosePartBytes(bucket: S3Bucket, size: number): number {
  const limits = bucket.features.multipart ?? {
    partBytes: bucket.partBytes,
    maxParts: bucket.provider.maxParts,
  }
  if (size <= limits.partBytes * limits.maxParts) return limits.partBytes
  return Math.ceil(size / limits.maxParts / MIB) * MIB
}

/** Several parts are under way while the next is read; memory is bounded by the pool. */
async function sendParts(
  bucket: S3Bucket,
  upload: Upload,
  body: Body,
  { partBytes, options }: { partBytes: number; options: PutOptions },
): Promise<{ parts: Part[]; crc64nvme: string | undefined }> {
  const whole: DigestAlgorithm[] = needsCrc64(bucket) ? ['sha256', 'crc64nvme'] : ['sha256']
  const digester = createDigester(whole)
  const parts: Part[] = []
  const underWay = new Set<Promise<void>>()
  let failure: { error: unknown } | undefined
  let sentBytes = 0
  let readBytes = 0
  const source = await openBodySource(body, options.signal)
  try {
    for (let number = 1; readBytes < body.size; number++) {
      if (underWay.size >= PARTS_AT_ONCE) await Promise.race(underWay)
      if (failure !== undefined) throw failure.error
      const loan = await bucket.pool.take(Math.min(partBytes, body.size - readBytes), options.signal)
      const md5 = createHash('md5')
      let filled: number
      try {
        filled = await source.fill(loan.buffer, (piece) => {
          md5.update(piece)
          digester.update(piece)
        })
        readBytes += filled
        if (filled < loan.buffer.length) await assertEnd(source, body, readBytes)
      } catch (error) {
        loan.release(false)
        throw error
      }
      const sending: Promise<void> = sendPart(bucket, upload, { number, loan, md5: md5.digest() })
        .then((part) => {
          parts[number - 1] = part
          sentBytes += filled
          options.onProgress?.(sentBytes)
        })
        .catch((error: unknown) => {
          failure ??= { error }
        })
        .finally(() => underWay.delete(sending))
      underWay.add(sending)
    }
    await assertEnd(source, body, readBytes)
  } finally {
    await Promise.all([source.close(), ...underWay])
  }
  if (failure !== undefined) throw failure.error
  const digests = digester.digests()
  assertSha256(digestValue(digests, 'sha256'), expectedSha256(body))
  return { parts, crc64nvme: digestValue(digests, 'crc64nvme') }
}

/** The digest to fall back on where the ETag of the whole says nothing (R2, KMS). */
function needsCrc64({ features }: S3Bucket): boolean {
  return features.multipartEtagIsMd5OfParts !== true && features.attestedDigests.includes('crc64nvme')
}

async function sendPart(
  bucket: S3Bucket,
  { key, uploadId, signal }: Upload,
  { number, loan, md5 }: { number: number; loan: Loan; md5: Buffer },
): Promise<Part> {
  const { enforcedDigests, attestedDigests } = bucket.features
  // Where Content-MD5 is enforced, a SHA-256 of the part besides would be CPU spent twice.
  const payload = enforcedDigests.includes('md5')
    ? 'UNSIGNED-PAYLOAD'
    : createHash('sha256').update(loan.buffer).digest('hex')
  let isReusable = false
  try {
    const etag = await retryUnavailable(
      PART_RETRY,
      async () => {
        const command = new UploadPartCommand({
          Bucket: bucket.settings.bucket,
          Key: bucket.fullKey(key),
          UploadId: uploadId,
          PartNumber: number,
          Body: loan.buffer,
          ContentLength: loan.buffer.length,
          ContentMD5: md5.toString('base64'),
        })
        const answer = await bucket.call(`UploadPart ${number} of ${key}`, signal, (options) =>
          bucket.client.send(signPayload(command, payload), options),
        )
        if (answer.ETag === undefined)
          throw new StorageError('unavailable', `UploadPart ${number} of ${key} gave no ETag`)
        const found = plainEtag(answer.ETag)
        const saysMd5 = attestedDigests.includes('md5') && bucket.features.multipartEtagIsMd5OfParts === true
        if (saysMd5 && mayBeMd5(answer) && found !== md5.toString('hex')) {
          throw new StorageError(
            'unavailable',
            `UploadPart ${number} of ${key} arrived as other bytes, MD5 ${found}`,
          )
        }
        return answer.ETag
      },
      { signal },
    )
    isReusable = true
    return { number, etag, md5 }
  } finally {
    loan.release(isReusable)
  }
}

async function complete(
  bucket: S3Bucket,
  { key, uploadId, signal }: Upload,
  body: Body,
  { parts, crc64nvme, partBytes }: { parts: Part[]; crc64nvme: string | undefined; partBytes: number },
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
    // NoSuchUpload may mean that an earlier try, whose answer got lost, had worked.
    if (!isStorageError(error, 'unavailable') && !isStorageError(error, 'not-found')) throw error
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
    return settle(bucket, key, body, { evidence, signal, error: unclear })
  }
  if (isWrong) {
    await deleteS3(bucket, [key], undefined)
    const message = `the service reports size ${info.size} and ETag ${info.etag} of ${key}, not ${body.size} and ${composite}; it was deleted`
    throw new StorageError('corrupt', message)
  }
  const proof = isAttested ? 'attested' : features.enforcedDigests.includes('md5') ? 'enforced' : 'none'
  return { ...info, proof, evidence }
}

/** MD5 of the MD5s of the parts, and how many there are: what AWS, Ceph and most others give as ETag. */
export function compositeEtag(parts: { md5: Buffer }[]): string {
  const hash = createHash('md5')
  for (const { md5 } of parts) hash.update(md5)
  return `${hash.digest('hex')}-${parts.length}`
}

/** Parts of an upload that is not aborted are paid for and never seen. What cannot be aborted now, the sweep finds. */
async function abort(bucket: S3Bucket, { key, uploadId }: Upload): Promise<void> {
  const command = new AbortMultipartUploadCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(key),
    UploadId: uploadId,
  })
  const run = () =>
    bucket.call(`AbortMultipartUpload of ${key}`, undefined, (options) =>
      bucket.client.send(command, options),
    )
  await retryUnavailable(PART_RETRY, run).catch((error: unknown) => {
    // Completed or aborted already.
    if (isStorageError(error, 'not-found')) return
    bucket.log.warn(
      { key, uploadId, error: String(error) },
      'an unfinished multipart upload stays at the service',
    )
  })
}
