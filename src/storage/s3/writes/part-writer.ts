import { createHash } from 'node:crypto'
import { UploadPartCommand } from '@aws-sdk/client-s3'
import type { DigestAlgorithm, ObjectKey } from '../../backend.ts'
import { StorageError } from '../../backend.ts'
import type { BodySource } from '../../bytes/body-source.ts'
import type { Loan } from '../../bytes/buffer-pool.ts'
import { createDigester, digestValue } from '../../bytes/digest.ts'
import { retryUnavailable } from '../../guards/with-retry.ts'
import { mayBeMd5, plainEtag } from '../reads/object-info.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import { signPayload } from '../requests/client.ts'

const MIB = 1024 * 1024
export const MAX_PARTS_AT_ONCE = 4
/** A part is in memory: trying it again costs nothing, starting a video of 3 GB over does. */
export const PART_RETRY = { attempts: 4, delayMs: 300 }

export type Part = { number: number; etag: string; md5: Buffer }
export type Upload = { key: ObjectKey; uploadId: string; signal: AbortSignal | undefined }
/** All parts, and digests of all bytes in their order, taken of what was sent. */
export type SentParts = { parts: Part[]; sha256: string; crc64nvme: string | undefined }

/**
 * The parts of one upload: read once, in order, and sent several at a time. Memory is bounded by the pool.
 */
export type PartWriter = {
  readBytes(): number
  /**
   * Reads exactly so many bytes and begins to send them, when fewer than `atOnce` parts are under way. Throws
   * what an earlier part failed with.
   */
  send(source: BodySource, bytes: number): Promise<void>
  /** Waits for what is under way, also after a failure; throws nothing. */
  idle(): Promise<void>
  /** When idle: what was sent. Throws what a part failed with. */
  sent(): SentParts
}

export function openPartWriter(
  bucket: S3Bucket,
  upload: Upload,
  options: {
    atOnce(): number
    onSent?(sentBytes: number, tookMs: number): void
  },
): PartWriter {
  const whole: DigestAlgorithm[] = needsCrc64(bucket) ? ['sha256', 'crc64nvme'] : ['sha256']
  const digester = createDigester(whole)
  const parts: Part[] = []
  const underWay = new Set<Promise<void>>()
  let failure: { error: unknown } | undefined
  let begunParts = 0
  let readBytes = 0
  let sentBytes = 0

  function throwFailure(): void {
    if (failure !== undefined) throw failure.error
  }

  return {
    readBytes: () => readBytes,

    async send(source, bytes) {
      while (underWay.size >= options.atOnce()) await Promise.race(underWay)
      throwFailure()
      const loan = await bucket.pool.take(bytes, upload.signal)
      const md5 = createHash('md5')
      try {
        const filled = await source.fill(loan.buffer, (piece) => {
          md5.update(piece)
          digester.update(piece)
        })
        readBytes += filled
        if (filled < bytes) {
          throw new StorageError('corrupt', `the body ended after ${readBytes} bytes, too early`)
        }
      } catch (error) {
        loan.release(false)
        throw error
      }
      const number = ++begunParts
      const begunAt = performance.now()
      const sending: Promise<void> = sendPart(bucket, upload, { number, loan, md5: md5.digest() })
        .then((part) => {
          parts[number - 1] = part
          sentBytes += bytes
          options.onSent?.(sentBytes, performance.now() - begunAt)
        })
        .catch((error: unknown) => {
          failure ??= { error }
        })
        .finally(() => underWay.delete(sending))
      underWay.add(sending)
    },

    async idle() {
      await Promise.all(underWay)
    },

    sent() {
      throwFailure()
      const digests = digester.digests()
      return {
        parts,
        sha256: digestValue(digests, 'sha256')!,
        crc64nvme: digestValue(digests, 'crc64nvme'),
      }
    },
  }
}

/** Grows in steps of 1 MiB where the provider allows too few parts for the usual size. */
export function choosePartBytes(bucket: S3Bucket, size: number): number {
  const { partBytes, maxParts } = partLimits(bucket)
  if (size <= partBytes * maxParts) return partBytes
  return Math.ceil(size / maxParts / MIB) * MIB
}

export function partLimits(bucket: S3Bucket): { partBytes: number; maxParts: number } {
  return bucket.features.multipart ?? { partBytes: bucket.partBytes, maxParts: bucket.provider.maxParts }
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
