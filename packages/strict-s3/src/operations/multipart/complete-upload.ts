import { createHash, randomBytes } from 'node:crypto'
import { checkWriteConditions } from '../../objects/conditions.ts'
import { assertKeyOfUpload, encryptionHeaders, isOpaque } from '../../objects/encryption.ts'
import type { ObjectVersion, PartRecord, UploadRecord } from '../../objects/object-store.ts'
import { newVersionId, versionHeaders, versioningOf, withNewVersion } from '../../objects/versions.ts'
import type { StrictProfile } from '../../profiles.ts'
import { type BucketCall, type Reply, xmlReply } from '../../requests/call.ts'
import { checksumAlgorithms, checksumElement, checksumHeader, joinChecksums } from '../../wire/checksums.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml, type XmlNode } from '../../wire/xml.ts'
import { readXmlBody } from '../read-xml-body.ts'
import { findUpload } from './upload-parts.ts'

type AskedPart = { number: number; etag: string; node: XmlNode }

function askedParts(request: XmlNode): AskedPart[] {
  const parts = request.children('Part').map((node) => ({
    number: Number(node.textOf('PartNumber') ?? Number.NaN),
    etag: (node.textOf('ETag') ?? '').trim().replace(/^"|"$/g, ''),
    node,
  }))
  if (parts.length === 0 || parts.some((part) => !Number.isInteger(part.number) || part.etag === '')) {
    throw new S3Error('MalformedXML')
  }
  if (parts.some((part, at) => at > 0 && part.number <= parts[at - 1]!.number))
    throw new S3Error('InvalidPartOrder')
  return parts
}

/** Two requests with this in common ask for the same object. */
const partListOf = (parts: AskedPart[]): string =>
  createHash('sha256')
    .update(parts.map((part) => `${part.number}:${part.etag}`).join('\n'))
    .digest('hex')

/** Matches what is asked for with what was uploaded. */
function chooseParts(
  asked: AskedPart[],
  uploaded: PartRecord[],
  upload: UploadRecord,
  profile: StrictProfile,
): PartRecord[] {
  const byNumber = new Map(uploaded.map((part) => [part.number, part]))
  const chosen = asked.map(({ number, etag, node }) => {
    const part = byNumber.get(number)
    const refuse = () =>
      new S3Error('InvalidPart', { details: { UploadId: upload.id, PartNumber: String(number), ETag: etag } })
    if (!part || part.etag !== etag) throw refuse()
    for (const algorithm of profile.ignoreChecksums ? [] : checksumAlgorithms) {
      const value = node.textOf(checksumElement(algorithm))?.trim()
      if (value !== undefined && value !== part.checksums[algorithm]) throw refuse()
      if (
        value === undefined &&
        algorithm === upload.checksumAlgorithm &&
        upload.checksumType === 'COMPOSITE'
      ) {
        throw new S3Error('InvalidRequest', {
          message: `The upload was created using a ${algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${number} in the request.`,
        })
      }
    }
    return part
  })
  for (const part of chosen.slice(0, -1)) {
    if (part.size < profile.minPartBytes) {
      throw new S3Error('EntityTooSmall', {
        details: {
          ProposedSize: String(part.size),
          MinSizeAllowed: String(profile.minPartBytes),
          PartNumber: String(part.number),
          ETag: part.etag,
        },
      })
    }
    if (profile.equalParts && part.size !== chosen[0]!.size) {
      throw new S3Error('InvalidPart', { message: 'All non-trailing parts must have the same length.' })
    }
  }
  if (profile.equalParts && chosen.at(-1)!.size > chosen[0]!.size) {
    throw new S3Error('InvalidPart', { message: 'All non-trailing parts must have the same length.' })
  }
  return chosen
}

function etagOf(parts: PartRecord[], upload: UploadRecord, profile: StrictProfile): string {
  if (profile.multipartEtags === 'random' || profile.opaqueEtags || isOpaque(upload.encryption))
    return `${randomBytes(16).toString('hex')}-${parts.length}`
  const md5 = createHash('md5')
  for (const part of parts) md5.update(Buffer.from(part.etag, 'hex'))
  return `${md5.digest('hex')}-${parts.length}`
}

/** The object's checksum, and a check against the one the client sent for the whole. */
function checksumOf(
  call: BucketCall,
  upload: UploadRecord,
  parts: PartRecord[],
): Pick<ObjectVersion, 'checksums' | 'checksumType'> {
  const algorithm = upload.checksumAlgorithm
  if (algorithm === null || upload.checksumType === null)
    return { checksums: {}, checksumType: 'FULL_OBJECT' }
  const joined = joinChecksums(
    algorithm,
    upload.checksumType,
    parts.map((part) => ({ checksum: part.checksums[algorithm] ?? '', size: part.size })),
  )
  const declared = call.headers.get(checksumHeader(algorithm))
  if (declared !== undefined && declared !== joined) {
    throw new S3Error('BadDigest', {
      message: `The ${algorithm} you specified did not match the calculated checksum.`,
    })
  }
  return { checksums: { [algorithm]: joined }, checksumType: upload.checksumType }
}

function answer(call: BucketCall, version: ObjectVersion): Reply {
  const checksums = checksumAlgorithms
    .filter((algorithm) => version.checksums[algorithm] !== undefined)
    .map((algorithm) => [checksumElement(algorithm), version.checksums[algorithm]])
  return xmlReply(
    writeXml('CompleteMultipartUploadResult', {
      Location: `${call.endpoint}/${call.bucketName}/${call.key.split('/').map(encodeURIComponent).join('/')}`,
      Bucket: call.bucketName,
      Key: call.key,
      ETag: call.profile.emptyCompleteEtag ? '' : `"${version.etag}"`,
      ...Object.fromEntries(checksums),
      ChecksumType: checksums.length > 0 ? version.checksumType : undefined,
    }),
    {
      ...versionHeaders(version, versioningOf(call.bucket, call.profile)),
      ...encryptionHeaders(version.encryption),
    },
  )
}

/**
 * Joins the parts without copying them: the new version lists their blobs. A repeat of the request that
 * completed it is answered alike, as long as the object stands.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
export async function completeMultipartUpload(call: BucketCall): Promise<Reply> {
  const { store, profile, headers, key } = call
  const asked = askedParts(await readXmlBody(call, 'CompleteMultipartUpload', { checksumsAreOfObject: true }))
  const partList = partListOf(asked)
  const id = call.query.get('uploadId') ?? ''
  return store.holdUpload(id, async () => {
    const record = await store.readRecord(call.bucketName, key)
    const before = record?.versions.find(
      (version) => version.upload?.id === id && version.upload.partList === partList,
    )
    if (before) return answer(call, before)
    const { upload, parts } = await findUpload(call)
    assertKeyOfUpload(call, upload, { mayOmit: true })
    const chosen = chooseParts(asked, parts, upload, profile)
    const size = chosen.reduce((sum, part) => sum + part.size, 0)
    const declaredSize = headers.get('x-amz-mp-object-size')
    if (declaredSize !== undefined && Number(declaredSize) !== size) {
      throw new S3Error('InvalidRequest', {
        message: `The provided 'x-amz-mp-object-size' header value ${declaredSize} does not match what was computed: ${size}`,
      })
    }
    const version: ObjectVersion = {
      versionId: newVersionId(versioningOf(call.bucket, profile)),
      createdAt: call.now.toISOString(),
      deleteMarker: false,
      size,
      etag: etagOf(chosen, upload, profile),
      blobs: chosen.map((part) => part.blob),
      headers: upload.headers,
      metadata: upload.metadata,
      storageClass: upload.storageClass,
      ...checksumOf(call, upload, chosen),
      upload: { id, partList },
      ...(upload.encryption && { encryption: upload.encryption }),
      ...(upload.retention && { retention: upload.retention }),
      ...(upload.legalHold !== undefined && { legalHold: upload.legalHold }),
    }
    await store.updateRecord(call.bucketName, key, (versions) => {
      checkWriteConditions(headers, versions[0], profile, 'complete')
      return withNewVersion(versions, version)
    })
    await store.removeUpload(id, new Set(version.blobs.map((blob) => blob.id)))
    return answer(call, version)
  })
}
