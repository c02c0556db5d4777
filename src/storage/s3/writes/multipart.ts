import {
  CompleteMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
} from '@aws-sdk/client-s3'
import type { Multipart, ObjectKey } from '../../backend.ts'
import { isStorageError, StorageError } from '../../backend.ts'
import { assertObjectKey } from '../../object-key.ts'
import { assertPermitted } from '../../removal-permit.ts'
import { plainEtag } from '../reads/object-info.ts'
import { headS3 } from '../reads/read.ts'
import { type S3Bucket, wholePutBytes } from '../requests/bucket.ts'
import { presignS3Part } from '../requests/presign.ts'
import { ensureLocked } from './ensure-locked.ts'
import { abortUpload, beginUpload } from './upload.ts'

/** Multipart uploads whose parts somebody else sends, with presigned URLs. */
export function multipartS3(bucket: S3Bucket): Multipart {
  const { client, settings } = bucket
  const at = (key: ObjectKey) => ({ Bucket: settings.bucket, Key: bucket.fullKey(key) })

  return {
    get wholeBytes() {
      return wholePutBytes(bucket)
    },

    async begin(key, options = {}) {
      assertObjectKey(key)
      return { uploadId: await beginUpload(bucket, key, options) }
    },

    presignPart: presignS3Part(bucket),

    async listParts(key, uploadId, { signal } = {}) {
      const parts: { number: number; size: number; etag: string }[] = []
      let marker: string | undefined
      do {
        const command = new ListPartsCommand({ ...at(key), UploadId: uploadId, PartNumberMarker: marker })
        const page = await bucket.call(`ListParts of ${key}`, signal, (options) =>
          client.send(command, options),
        )
        for (const { PartNumber, Size, ETag } of page.Parts ?? []) {
          if (PartNumber === undefined) continue
          parts.push({ number: PartNumber, size: Size ?? 0, etag: plainEtag(ETag) ?? '' })
        }
        marker =
          page.IsTruncated && page.NextPartNumberMarker !== marker ? page.NextPartNumberMarker : undefined
      } while (marker !== undefined)
      return parts
    },

    async complete(key, uploadId, parts, { signal } = {}) {
      const command = new CompleteMultipartUploadCommand({
        ...at(key),
        UploadId: uploadId,
        MultipartUpload: {
          Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: `"${etag}"` })),
        },
      })
      let unclear: unknown
      try {
        await bucket.call(`CompleteMultipartUpload of ${key}`, signal, (options) =>
          client.send(command, options),
        )
      } catch (error) {
        if (!isStorageError(error, 'unavailable') && !isStorageError(error, 'not-found')) throw error
        unclear = error
      }
      const info = await headS3(bucket, key, signal)
      if (info !== null) return ensureLocked(bucket, key, info, signal)
      throw unclear ?? new StorageError('unavailable', `${key} is not there after CompleteMultipartUpload`)
    },

    async abort(permit, uploadId) {
      for (const key of permit.keys) {
        assertPermitted(permit)
        await abortUpload(bucket, { key, uploadId })
      }
    },

    async *listUnfinished(prefix) {
      let position: { KeyMarker?: string; UploadIdMarker?: string } = {}
      for (;;) {
        const command = new ListMultipartUploadsCommand({
          Bucket: settings.bucket,
          Prefix: settings.prefix + prefix,
          ...position,
        })
        const page = await bucket.call('ListMultipartUploads', undefined, (options) =>
          client.send(command, options),
        )
        for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
          if (Key === undefined || UploadId === undefined) continue
          const key = Key.slice(settings.prefix.length) as ObjectKey
          yield { key, uploadId: UploadId, startedAt: Initiated ?? new Date(0) }
        }
        const next = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
        const isStuck =
          next.KeyMarker === position.KeyMarker && next.UploadIdMarker === position.UploadIdMarker
        if (!page.IsTruncated || isStuck) return
        position = next
      }
    },
  }
}
