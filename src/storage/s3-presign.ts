import { GetObjectCommand, PutObjectCommand, type S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import type { Multipart, Presign } from './backend.ts'
import { digestValue } from './digest.ts'
import { assertObjectKey } from './object-key.ts'
import type { S3Bucket } from './s3-bucket.ts'

/** Names must be in lower case, or the SDK signs none of them. */
const PART_HEADERS = new Set(['host', 'content-length', 'content-md5'])
const PUT_HEADERS = new Set([...PART_HEADERS, 'content-type', 'if-none-match'])

/** As for our own requests, see s3-direct.ts. */
const CLOCK_SKEW_THAT_MATTERS_MINUTES = 4

/**
 * URLs that others use without our credentials. A put is bound to its length and its MD5 by signed headers, which AWS,
 * Ceph and Swift all enforce; the caller must send exactly the headers that are returned with it.
 */
export function presignS3(bucket: S3Bucket, publicClient: S3Client): Presign {
  return {
    async origin() {
      const command = new GetObjectCommand({ Bucket: bucket.settings.bucket, Key: 'sample' })
      return new URL(await getSignedUrl(publicClient, command)).origin
    },

    async get(key, { signedAt, expiresAt, contentType, contentDisposition, cacheControl }) {
      assertObjectKey(key)
      const command = new GetObjectCommand({
        Bucket: bucket.settings.bucket,
        Key: bucket.fullKey(key),
        ResponseContentType: contentType,
        ResponseContentDisposition: contentDisposition,
        ResponseCacheControl: cacheControl,
      })
      // What is signed with the credentials of a role ends with them.
      const { expiration } = await publicClient.config.credentials()
      const url = await getSignedUrl(publicClient, command, {
        signingDate: atTheService(signedAt, bucket.connection.http.clockSkewMs()),
        expiresIn: Math.floor((expiresAt.getTime() - signedAt.getTime()) / 1000),
      })
      const isShorter = expiration !== undefined && expiration < expiresAt
      return { url, expiresAt: isShorter ? expiration : expiresAt }
    },

    async put(key, { expiresInSeconds, size, digests, contentType, onlyIfAbsent = false }) {
      assertObjectKey(key)
      const md5 = digestValue(digests, 'md5')
      if (md5 === undefined)
        throw new TypeError('a presigned put needs the MD5: it is what every service enforces')
      const contentMd5 = Buffer.from(md5, 'hex').toString('base64')
      const command = new PutObjectCommand({
        Bucket: bucket.settings.bucket,
        Key: bucket.fullKey(key),
        ContentLength: size,
        ContentMD5: contentMd5,
        ContentType: contentType,
        ...(onlyIfAbsent && { IfNoneMatch: '*' }),
      })
      const url = await getSignedUrl(publicClient, command, {
        expiresIn: expiresInSeconds,
        signableHeaders: PUT_HEADERS,
      })
      return {
        url,
        headers: {
          'content-length': String(size),
          'content-md5': contentMd5,
          'content-type': contentType,
          ...(onlyIfAbsent && { 'if-none-match': '*' }),
        },
      }
    },
  }
}

/** A time of ours by the service's clock, where the two differ by much; in whole minutes, so that equal URLs stay equal. */
function atTheService(time: Date, skewMs: number | null): Date {
  const minutes = Math.round((skewMs ?? 0) / 60_000)
  return Math.abs(minutes) < CLOCK_SKEW_THAT_MATTERS_MINUTES
    ? time
    : new Date(time.getTime() + minutes * 60_000)
}

/** Signs one part of a multipart upload, bound to its size and, where given, to its MD5 (hex). */
export async function presignS3Part(
  bucket: S3Bucket,
  publicClient: S3Client,
  key: Parameters<Multipart['presignPart']>[0],
  { uploadId, number, size, md5, expiresInSeconds }: Parameters<Multipart['presignPart']>[1],
): Promise<{ url: string; headers: Record<string, string> }> {
  assertObjectKey(key)
  const contentMd5 = md5 === undefined ? undefined : Buffer.from(md5, 'hex').toString('base64')
  const command = new UploadPartCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(key),
    UploadId: uploadId,
    PartNumber: number,
    ContentLength: size,
    ...(contentMd5 !== undefined && { ContentMD5: contentMd5 }),
  })
  // Without Content-Type: the SDK would sign one of its own that nobody sends.
  const url = await getSignedUrl(publicClient, command, {
    expiresIn: expiresInSeconds,
    signableHeaders: PART_HEADERS,
  })
  return {
    url,
    headers: { 'content-length': String(size), ...(contentMd5 && { 'content-md5': contentMd5 }) },
  }
}
