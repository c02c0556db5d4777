import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import type { ObjectInfo, ObjectKey } from '../../backend.ts'
import { StorageError } from '../../backend.ts'
import { retryUnavailable } from '../../guards/with-retry.ts'
import { compareKeys, isReservedName, MARKER_NAME } from '../../object-key.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import { plainEtag } from './object-info.ts'

/** A listing of a million keys has 1,000 pages; one that fails must not start it over. */
const PAGE_RETRY = { attempts: 4, delayMs: 200 }

/** Page after page. The service's order is not relied upon: some return pages unsorted. */
export async function* listS3(
  bucket: S3Bucket,
  prefix: string,
  { after, signal }: { after?: string | undefined; signal?: AbortSignal | undefined },
): AsyncGenerator<ObjectInfo> {
  const { prefix: root } = bucket.settings
  let token: string | undefined
  do {
    const command = new ListObjectsV2Command({
      Bucket: bucket.settings.bucket,
      Prefix: root + prefix,
      ...(token !== undefined && { ContinuationToken: token }),
      ...(after !== undefined && { StartAfter: root + after }),
    })
    const list = () =>
      bucket.call(`ListObjectsV2 of ${prefix}`, signal, (options) => bucket.client.send(command, options))
    const page = await retryUnavailable(PAGE_RETRY, list, { signal })
    for (const { Key, Size, LastModified, ETag, StorageClass } of page.Contents ?? []) {
      if (Key === undefined || !Key.startsWith(root + prefix)) continue
      const key = Key.slice(root.length)
      if (isReservedName(key) || (after !== undefined && compareKeys(key, after) <= 0)) continue
      const etag = plainEtag(ETag)
      yield {
        key: key as ObjectKey,
        size: Size ?? 0,
        modifiedAt: LastModified ?? new Date(0),
        attested: [],
        ...(etag !== undefined && { etag }),
        ...(StorageClass !== undefined && { storageClass: StorageClass }),
      }
    }
    if (page.IsTruncated && (page.NextContinuationToken ?? token) === token) {
      throw new StorageError('unavailable', `ListObjectsV2 of ${prefix} goes round in circles`)
    }
    token = page.IsTruncated ? page.NextContinuationToken : undefined
  } while (token !== undefined)
}

/** One request. Other names may begin as the marker's does. */
export async function listsS3Marker(bucket: S3Bucket, signal: AbortSignal | undefined): Promise<boolean> {
  const full = bucket.settings.prefix + MARKER_NAME
  const command = new ListObjectsV2Command({ Bucket: bucket.settings.bucket, Prefix: full })
  const page = await bucket.call('ListObjectsV2 of the marker', signal, (options) =>
    bucket.client.send(command, options),
  )
  return (page.Contents ?? []).some(({ Key }) => Key === full)
}
