import { checkWriteConditions } from '../../objects/conditions.ts'
import { encryptionFromRequest, encryptionHeaders, isOpaque } from '../../objects/encryption.ts'
import { checksumHeaders, keptFromRequest } from '../../objects/object-headers.ts'
import { lockFromRequest, requireDigest } from '../../objects/object-lock.ts'
import type { ObjectVersion } from '../../objects/object-store.ts'
import { newVersionId, versionHeaders, versioningOf, withNewVersion } from '../../objects/versions.ts'
import type { BucketCall, Reply } from '../../requests/call.ts'
import { emptyReply } from '../../requests/call.ts'
import { storeBody } from '../store-body.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html */
export async function putObject(call: BucketCall): Promise<Reply> {
  const { store, profile, key, headers } = call
  const encryption = encryptionFromRequest(call)
  const kept = { ...keptFromRequest(headers), ...lockFromRequest(call), encryption }
  const body = call.body(profile.maxPutBytes)
  requireDigest(call, body)
  const current = await store.readRecord(call.bucketName, key)
  checkWriteConditions(headers, current?.versions[0], profile, 'put')
  const computed = profile.computesCrc64nvme && body.declaredChecksum === null ? 'CRC64NVME' : null
  const stored = await storeBody(call, body, { checksum: computed, isOpaque: isOpaque(encryption) })
  const versioning = versioningOf(call.bucket, profile)
  const version: ObjectVersion = {
    versionId: newVersionId(versioning),
    createdAt: call.now.toISOString(),
    deleteMarker: false,
    size: stored.blob.size,
    etag: stored.etag,
    blobs: [stored.blob],
    ...kept,
    checksums: stored.checksums,
    checksumType: 'FULL_OBJECT',
  }
  try {
    await store.updateRecord(call.bucketName, key, (versions) => {
      checkWriteConditions(headers, versions[0], profile, 'put')
      return withNewVersion(versions, version)
    })
  } catch (error) {
    await store.discardBlob(call.bucketName, key, stored.blob)
    throw error
  }
  return emptyReply(200, {
    etag: `"${version.etag}"`,
    ...encryptionHeaders(encryption),
    ...checksumHeaders(version),
    ...versionHeaders(version, versioning),
  })
}
