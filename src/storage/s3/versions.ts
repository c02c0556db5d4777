import { ListObjectVersionsCommand } from '@aws-sdk/client-s3'
import type { ObjectKey } from '../backend.ts'
import { StorageError } from '../backend.ts'
import type { S3Bucket } from './requests/bucket.ts'

/** `isMarker`: it only hides what is older. */
export type KeyVersion = { versionId: string; isMarker: boolean; modifiedAt: Date }

/** Every version of one key and every mark that hides it, the newest first. */
export async function versionsOf(
  bucket: S3Bucket,
  key: ObjectKey,
  signal: AbortSignal | undefined,
): Promise<KeyVersion[]> {
  const full = bucket.fullKey(key)
  const found: (KeyVersion & { isLatest: boolean })[] = []
  let position: { KeyMarker?: string; VersionIdMarker?: string } = {}
  for (;;) {
    const command = new ListObjectVersionsCommand({
      Bucket: bucket.settings.bucket,
      Prefix: full,
      ...position,
    })
    const page = await bucket.call(`ListObjectVersions of ${key}`, signal, (options) =>
      bucket.client.send(command, options),
    )
    const add = (
      listed: { Key?: string; VersionId?: string; LastModified?: Date; IsLatest?: boolean }[],
      isMarker: boolean,
    ) => {
      for (const { Key, VersionId, LastModified, IsLatest } of listed) {
        if (Key !== full || VersionId === undefined) continue
        const modifiedAt = LastModified ?? new Date(0)
        found.push({ versionId: VersionId, isMarker, modifiedAt, isLatest: IsLatest === true })
      }
    }
    add(page.Versions ?? [], false)
    add(page.DeleteMarkers ?? [], true)
    if (!page.IsTruncated || page.NextKeyMarker === undefined || page.NextKeyMarker > full) {
      // Times are of whole seconds at some services.
      return found.sort(
        (a, b) => Number(b.isLatest) - Number(a.isLatest) || b.modifiedAt.getTime() - a.modifiedAt.getTime(),
      )
    }
    if (page.NextKeyMarker === position.KeyMarker && page.NextVersionIdMarker === position.VersionIdMarker) {
      throw new StorageError('unavailable', `ListObjectVersions of ${key} goes round in circles`)
    }
    position = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
  }
}
