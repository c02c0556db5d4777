import { ListObjectVersionsCommand, type ObjectVersion } from '@aws-sdk/client-s3'
import type { HiddenObject, ObjectKey } from '../../backend.ts'
import { StorageError } from '../../backend.ts'
import type { S3Bucket } from '../requests/bucket.ts'

/**
 * What delete markers hide under a prefix, each as its newest version. All pages are read first, since some
 * services return the versions of one key on two of them: for prefixes with few keys.
 */
export async function* listHiddenS3(
  bucket: S3Bucket,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<HiddenObject> {
  const root = bucket.settings.prefix
  const marked = new Set<string>()
  const newest = new Map<string, ObjectVersion>()
  let position: { KeyMarker?: string; VersionIdMarker?: string } = {}
  for (;;) {
    const at = { Bucket: bucket.settings.bucket, Prefix: root + prefix, ...position }
    const page = await bucket.call(`ListObjectVersions of ${prefix}`, signal, (options) =>
      bucket.client.send(new ListObjectVersionsCommand(at), options),
    )
    for (const { Key, IsLatest } of page.DeleteMarkers ?? [])
      if (Key?.startsWith(root + prefix) && IsLatest) marked.add(Key)
    for (const version of page.Versions ?? []) {
      const known = version.Key && newest.get(version.Key)
      if (version.Key && (!known || (version.LastModified ?? 0) > (known.LastModified ?? 0)))
        newest.set(version.Key, version)
    }
    const next = { key: page.NextKeyMarker, version: page.NextVersionIdMarker }
    if (!page.IsTruncated || next.key === undefined) break
    if (next.key === position.KeyMarker && next.version === position.VersionIdMarker)
      throw new StorageError('unavailable', `ListObjectVersions of ${prefix} goes round in circles`)
    position = { KeyMarker: next.key, ...(next.version !== undefined && { VersionIdMarker: next.version }) }
  }
  for (const key of marked) {
    const version = newest.get(key)
    if (version === undefined) continue
    yield {
      key: key.slice(root.length) as ObjectKey,
      size: version.Size ?? 0,
      modifiedAt: version.LastModified ?? new Date(0),
      ...(version.StorageClass !== undefined && { storageClass: version.StorageClass }),
    }
  }
}
