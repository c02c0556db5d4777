/** Multipart uploads up to their end: begin, parts, what is there, abort. */
import { randomBytes } from 'node:crypto'
import {
  assertKeyOfUpload,
  encryptionFromRequest,
  encryptionHeaders,
  isOpaque,
} from '../../objects/encryption.ts'
import { keyEncoder, pageSize } from '../../objects/list.ts'
import { comparePaths } from '../../objects/list-order.ts'
import { checksumHeaders, keptFromRequest } from '../../objects/object-headers.ts'
import { lockFromRequest } from '../../objects/object-lock.ts'
import type { PartRecord, UploadRecord } from '../../objects/object-store.ts'
import { type BucketCall, type Call, emptyReply, type Reply, xmlReply } from '../../requests/call.ts'
import {
  type ChecksumAlgorithm,
  checksumAlgorithms,
  checksumElement,
  multipartChecksumType,
} from '../../wire/checksums.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml } from '../../wire/xml.ts'
import { listedTime, owner } from '../buckets/list-objects.ts'
import { storeBody } from '../store-body.ts'

/** The upload that `uploadId` names, if it is of this bucket and key. */
export async function findUpload(call: Call): Promise<{ upload: UploadRecord; parts: PartRecord[] }> {
  const found = await call.store.readUpload(call.query.get('uploadId') ?? '')
  if (!found || found.upload.bucket !== call.bucketName || found.upload.key !== call.key) {
    throw new S3Error('NoSuchUpload', { details: { UploadId: call.query.get('uploadId') ?? '' } })
  }
  return found
}

function askedChecksum(call: BucketCall): Pick<UploadRecord, 'checksumAlgorithm' | 'checksumType'> {
  const name = call.headers.get('x-amz-checksum-algorithm')
  if (name === undefined || call.profile.ignoreChecksums) {
    return { checksumAlgorithm: null, checksumType: null }
  }
  const algorithm = checksumAlgorithms.find((known) => known === name.toUpperCase())
  if (!algorithm) {
    throw new S3Error('InvalidRequest', {
      message:
        'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
    })
  }
  const type = multipartChecksumType(algorithm, call.headers.get('x-amz-checksum-type'))
  if (!type) {
    throw new S3Error('InvalidRequest', {
      message: `The ${call.headers.get('x-amz-checksum-type')} checksum type cannot be used with the ${name} checksum algorithm.`,
    })
  }
  return { checksumAlgorithm: algorithm, checksumType: type }
}

export async function createMultipartUpload(call: BucketCall): Promise<Reply> {
  const upload: UploadRecord = {
    id: randomBytes(24).toString('base64url'),
    bucket: call.bucketName,
    key: call.key,
    startedAt: call.now.toISOString(),
    ...keptFromRequest(call.headers),
    ...lockFromRequest(call),
    encryption: encryptionFromRequest(call),
    ...askedChecksum(call),
  }
  await call.store.createUpload(upload)
  return xmlReply(
    writeXml('InitiateMultipartUploadResult', {
      Bucket: call.bucketName,
      Key: call.key,
      UploadId: upload.id,
    }),
    {
      ...encryptionHeaders(upload.encryption),
      ...(upload.checksumAlgorithm &&
        upload.checksumType && {
          'x-amz-checksum-algorithm': upload.checksumAlgorithm,
          'x-amz-checksum-type': upload.checksumType,
        }),
    },
  )
}

/**
 * The checksum to compute for a part: what the upload was begun with. A declared one of another kind is
 * refused.
 */
function partChecksum(upload: UploadRecord, declared: ChecksumAlgorithm | null): ChecksumAlgorithm | null {
  const wanted = upload.checksumAlgorithm
  if (wanted === null || declared === wanted) return declared
  if (upload.checksumType === 'FULL_OBJECT' && declared === null) return wanted
  throw new S3Error('InvalidRequest', {
    message: `Checksum Type mismatch occurred, expected checksum Type: ${wanted.toLowerCase()}, actual checksum Type: ${declared?.toLowerCase() ?? 'null'}`,
  })
}

export async function uploadPart(call: BucketCall): Promise<Reply> {
  const { profile } = call
  const text = call.query.get('partNumber') ?? ''
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < 1 || number > profile.maxParts) {
    throw new S3Error('InvalidArgument', {
      message: `Part number must be an integer between 1 and ${profile.maxParts}, inclusive`,
      details: { ArgumentName: 'partNumber', ArgumentValue: text },
    })
  }
  const body = call.body(profile.maxPutBytes)
  const { upload } = await findUpload(call)
  assertKeyOfUpload(call, upload)
  if (upload.retention && !body.hasContentMd5 && body.declaredChecksum === null) {
    throw new S3Error('InvalidRequest', {
      message:
        'Content-MD5 OR x-amz-checksum- HTTP header is required for Upload Part requests with Object Lock parameters',
    })
  }
  const checksum = partChecksum(upload, body.declaredChecksum)
  const stored = await storeBody(call, body, { checksum, isOpaque: isOpaque(upload.encryption) })
  const part: PartRecord = {
    number,
    size: stored.blob.size,
    etag: stored.etag,
    uploadedAt: call.now.toISOString(),
    blob: stored.blob,
    checksums: stored.checksums,
  }
  if (!(await call.store.writePart(upload.id, part))) {
    await call.store.discardBlob(call.bucketName, call.key, stored.blob)
    throw new S3Error('NoSuchUpload', { details: { UploadId: upload.id } })
  }
  const headers = checksumHeaders({ checksums: part.checksums, checksumType: 'FULL_OBJECT' })
  delete headers['x-amz-checksum-type']
  return emptyReply(200, { etag: `"${part.etag}"`, ...encryptionHeaders(upload.encryption), ...headers })
}

export async function listParts(call: BucketCall): Promise<Reply> {
  const { upload, parts } = await findUpload(call)
  assertKeyOfUpload(call, upload, { mayOmit: true })
  const maxParts = pageSize(call.query, 'max-parts', call.profile)
  const marker = Number(call.query.get('part-number-marker') ?? 0)
  const behind = parts.filter((part) => part.number > marker)
  const shown = behind.slice(0, maxParts)
  const isTruncated = shown.length < behind.length
  return xmlReply(
    writeXml('ListPartsResult', {
      Bucket: call.bucketName,
      Key: call.key,
      UploadId: upload.id,
      Initiator: owner,
      Owner: owner,
      StorageClass: upload.storageClass,
      PartNumberMarker: marker,
      NextPartNumberMarker: shown.at(-1)?.number ?? 0,
      MaxParts: maxParts,
      IsTruncated: isTruncated,
      ChecksumAlgorithm: upload.checksumAlgorithm ?? undefined,
      ChecksumType: upload.checksumType ?? undefined,
      Part: shown.map((part) => ({
        PartNumber: part.number,
        LastModified: listedTime(part.uploadedAt),
        ETag: `"${part.etag}"`,
        Size: part.size,
        ...Object.fromEntries(
          checksumAlgorithms
            .filter((algorithm) => part.checksums[algorithm] !== undefined)
            .map((algorithm) => [checksumElement(algorithm), part.checksums[algorithm]]),
        ),
      })),
    }),
  )
}

export async function listMultipartUploads(call: BucketCall): Promise<Reply> {
  const { query } = call
  const encode = keyEncoder(query)
  const maxUploads = pageSize(call.query, 'max-uploads', call.profile)
  const prefix = query.get('prefix') ?? ''
  const keyMarker = query.get('key-marker') ?? ''
  const idMarker = query.get('upload-id-marker') ?? ''
  if (query.get('delimiter')) throw new S3Error('NotImplemented', { details: { Parameter: 'delimiter' } })
  const uploads = (await call.store.listUploads(call.bucketName))
    .filter((upload) => upload.key.startsWith(prefix))
    .sort((a, b) => comparePaths(a.key, b.key) || comparePaths(a.id, b.id))
    .filter((upload) => {
      const order = keyMarker === '' ? 1 : comparePaths(upload.key, keyMarker)
      return order > 0 || (order === 0 && idMarker !== '' && comparePaths(upload.id, idMarker) > 0)
    })
  const shown = uploads.slice(0, maxUploads)
  const isTruncated = shown.length < uploads.length
  const last = shown.at(-1)
  return xmlReply(
    writeXml('ListMultipartUploadsResult', {
      Bucket: call.bucketName,
      KeyMarker: encode(keyMarker),
      UploadIdMarker: idMarker,
      NextKeyMarker: isTruncated && last ? encode(last.key) : undefined,
      NextUploadIdMarker: isTruncated && last ? last.id : undefined,
      Prefix: encode(prefix),
      EncodingType: query.get('encoding-type'),
      MaxUploads: maxUploads,
      IsTruncated: isTruncated,
      Upload: shown.map((upload) => ({
        Key: encode(upload.key),
        UploadId: upload.id,
        Initiator: owner,
        Owner: owner,
        StorageClass: upload.storageClass,
        Initiated: listedTime(upload.startedAt),
        ChecksumAlgorithm: upload.checksumAlgorithm ?? undefined,
        ChecksumType: upload.checksumType ?? undefined,
      })),
    }),
  )
}

export async function abortMultipartUpload(call: BucketCall): Promise<Reply> {
  const { upload } = await findUpload(call)
  if (call.profile.keepAbortedParts) return emptyReply(204)
  await call.store.holdUpload(upload.id, async () => {
    await findUpload(call)
    await call.store.removeUpload(upload.id, new Set())
  })
  return emptyReply(204)
}
