/** Which version a request means, and what a write or a delete makes of a key's versions. */
import { randomBytes } from 'node:crypto'
import type { StrictProfile } from '../profiles.ts'
import { S3Error } from '../wire/s3-error.ts'
import type { BucketRecord, ObjectVersion } from './object-store.ts'

export type Versioning = BucketRecord['versioning']

export const versioningOf = (bucket: BucketRecord, profile: StrictProfile): Versioning =>
  profile.hiddenVersions ? 'Enabled' : bucket.versioning

export const newVersionId = (versioning: Versioning): string =>
  versioning === 'Enabled' ? randomBytes(24).toString('base64url') : 'null'

/** The headers that tell a client which version was meant; none where the bucket was never versioned. */
export function versionHeaders(version: ObjectVersion, versioning: Versioning): Record<string, string> {
  return versioning === 'off' ? {} : { 'x-amz-version-id': version.versionId }
}

/**
 * The version to read. `NoSuchKey`, `NoSuchVersion`, or 405 for a delete marker that was asked for by its id.
 */
export function pickVersion(versions: ObjectVersion[], versionId: string | undefined): ObjectVersion {
  if (versionId === undefined) {
    const newest = versions[0]
    if (newest && !newest.deleteMarker) return newest
    const headers: Record<string, string> = newest
      ? { 'x-amz-delete-marker': 'true', 'x-amz-version-id': newest.versionId }
      : {}
    throw new S3Error('NoSuchKey', { headers })
  }
  const found = versions.find((version) => version.versionId === versionId)
  if (!found) throw new S3Error('NoSuchVersion', { details: { VersionId: versionId } })
  if (found.deleteMarker) {
    throw new S3Error('MethodNotAllowed', {
      headers: { 'x-amz-delete-marker': 'true', 'x-amz-version-id': found.versionId, allow: 'DELETE' },
    })
  }
  return found
}

/** A new version on top: beside the old ones, or in place of the one called `null`. */
export function withNewVersion(versions: ObjectVersion[], version: ObjectVersion): ObjectVersion[] {
  return [version, ...versions.filter((old) => version.versionId !== 'null' || old.versionId !== 'null')]
}

export function deleteMarker(versioning: Versioning, now: Date): ObjectVersion {
  return {
    versionId: newVersionId(versioning),
    createdAt: now.toISOString(),
    deleteMarker: true,
    size: 0,
    etag: '',
    blobs: [],
    headers: {},
    metadata: {},
    storageClass: 'STANDARD',
    checksums: {},
    checksumType: 'FULL_OBJECT',
  }
}
