import { assertRemovable } from '../../objects/object-lock.ts'
import type { ObjectVersion } from '../../objects/object-store.ts'
import { deleteMarker, versioningOf } from '../../objects/versions.ts'
import { type BucketCall, emptyReply, type Reply } from '../../requests/call.ts'
import { S3Error } from '../../wire/s3-error.ts'

export type Deletion = { versionId: string | null; deleteMarker: boolean; markerVersionId: string | null }

/**
 * Deletes a key or a version of it, as far as the bucket's versioning lets it: an absent one is a success.
 * Shared by DeleteObject and DeleteObjects.
 */
export async function deleteOne(
  call: BucketCall,
  key: string,
  versionId: string | undefined,
  ifMatch?: string,
): Promise<Deletion> {
  const versioning = versioningOf(call.bucket, call.profile)
  const outcome: Deletion = { versionId: versionId ?? null, deleteMarker: false, markerVersionId: null }
  await call.store.updateRecord(call.bucketName, key, (versions): ObjectVersion[] => {
    if (ifMatch !== undefined) {
      const current = versions[0]
      if (!current || current.deleteMarker) throw new S3Error('NoSuchKey')
      if (ifMatch !== '*' && ifMatch.replaceAll('"', '') !== current.etag) {
        throw new S3Error('PreconditionFailed', { details: { Condition: 'If-Match' } })
      }
    }
    if (versionId !== undefined) {
      const removed = versions.find((version) => version.versionId === versionId)
      if (removed && !removed.deleteMarker) assertRemovable(call, removed)
      if (removed?.deleteMarker) {
        outcome.deleteMarker = true
        outcome.markerVersionId = removed.versionId
      }
      return versions.filter((version) => version !== removed)
    }
    if (versioning === 'off') return []
    // A marker only hides, so that no lock stands against it.
    const marker = deleteMarker(versioning, call.now)
    outcome.deleteMarker = true
    outcome.markerVersionId = marker.versionId
    outcome.versionId = marker.versionId
    return [
      marker,
      ...versions.filter((version) => marker.versionId !== 'null' || version.versionId !== 'null'),
    ]
  })
  return outcome
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html */
export async function deleteObject(call: BucketCall): Promise<Reply> {
  const done = await deleteOne(call, call.key, call.query.get('versionId'), call.headers.get('if-match'))
  return emptyReply(204, {
    ...(done.versionId !== null ? { 'x-amz-version-id': done.versionId } : {}),
    ...(done.deleteMarker ? { 'x-amz-delete-marker': 'true' } : {}),
  })
}
