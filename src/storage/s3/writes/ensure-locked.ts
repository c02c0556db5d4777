import { PutObjectRetentionCommand } from '@aws-sdk/client-s3'
import { isStorageError, type ObjectInfo, type ObjectKey } from '../../backend.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import { lockOf } from '../requests/object-lock.ts'

/**
 * After parts became an object: Ceph 16 reads over the lock that such an upload is begun with. `held`: what a
 * HEAD has just said of it. A lock that can't be set now is set by and by; the bytes are there.
 */
export async function ensureLocked(
  bucket: S3Bucket,
  key: ObjectKey,
  held: ObjectInfo,
  signal: AbortSignal | undefined,
): Promise<ObjectInfo> {
  const lock = lockOf(bucket, key)
  if (lock === undefined || held.retention?.until != null) return held
  const { ObjectLockMode: Mode, ObjectLockRetainUntilDate: until } = lock
  const command = new PutObjectRetentionCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(key),
    Retention: { Mode, RetainUntilDate: until },
  })
  try {
    await bucket.call(`PutObjectRetention of ${key}`, signal, (options) =>
      bucket.client.send(command, options),
    )
  } catch (error) {
    if (!isStorageError(error)) throw error
    bucket.log.warn({ key, error: error.message }, 'a file could not be locked right after it was put')
    return held
  }
  return { ...held, retention: { isOnHold: false, ...held.retention, until } }
}
