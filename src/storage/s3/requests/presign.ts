import { type Multipart, type Presign, StorageError } from '../../backend.ts'
import { digestValue } from '../../bytes/digest.ts'
import { assertObjectKey } from '../../object-key.ts'
import type { S3Bucket } from './bucket.ts'
import { encryptionHeaders } from './encryption.ts'
import { lockHeaders } from './object-lock.ts'

/**
 * URLs that others use without our credentials. A put is bound to its length and its MD5 by signed headers,
 * which AWS, Ceph and Swift all enforce; the caller must send exactly the headers that are returned with it.
 * None where objects have a key of ours (SSE-C): who used a URL would have to be given that.
 */
export function presignS3(bucket: S3Bucket): Presign | undefined {
  if (bucket.settings.encryption?.type === 'sse-c') return undefined
  const { fullKey, signPublicUrl, publicAddressOf } = bucket
  return {
    origin: async () => (await publicAddressOf('sample')).base.origin,

    async get(key, { signedAt, expiresAt, contentType, contentDisposition, cacheControl }) {
      assertObjectKey(key)
      return signPublicUrl('GET', fullKey(key), {
        operation: 'GetObject',
        query: {
          'response-cache-control': cacheControl,
          'response-content-disposition': contentDisposition,
          'response-content-type': contentType,
        },
        signedAt,
        expiresInSeconds: Math.floor((expiresAt.getTime() - signedAt.getTime()) / 1000),
      })
    },

    async put(key, { expiresInSeconds, size, digests, contentType, onlyIfAbsent = false }) {
      assertObjectKey(key)
      const md5 = digestValue(digests, 'md5')
      if (md5 === undefined)
        throw new TypeError('a presigned put needs the MD5: it is what every service enforces')
      const headers = {
        'content-length': String(size),
        'content-md5': base64(md5),
        'content-type': contentType,
        ...(onlyIfAbsent && { 'if-none-match': '*' }),
        ...lockHeaders(bucket, key),
        ...encryptionHeaders(bucket.settings.encryption),
      }
      const signed = await signPublicUrl('PUT', fullKey(key), {
        operation: 'PutObject',
        headers,
        expiresInSeconds,
      })
      return { ...signed, headers }
    },
  }
}

/** Signs one part of a multipart upload, bound to its size and, where given, to its MD5 (hex). */
export function presignS3Part({ fullKey, signPublicUrl, settings }: S3Bucket): Multipart['presignPart'] {
  return async (key, { uploadId, number, size, md5, expiresInSeconds }) => {
    assertObjectKey(key)
    if (settings.encryption?.type === 'sse-c')
      throw new StorageError('denied', `no part of ${key} can be signed: it would need the key (SSE-C)`)
    const headers = {
      'content-length': String(size),
      ...(md5 !== undefined && { 'content-md5': base64(md5) }),
    }
    const signed = await signPublicUrl('PUT', fullKey(key), {
      operation: 'UploadPart',
      query: { partNumber: String(number), uploadId },
      headers,
      expiresInSeconds,
    })
    return { ...signed, headers }
  }
}

function base64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64')
}
