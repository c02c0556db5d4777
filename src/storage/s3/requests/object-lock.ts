/** What a put says so that it is locked (Object Lock). */
import type { ObjectKey } from '../../backend.ts'
import type { S3Bucket } from './bucket.ts'
import type { S3ObjectLock } from './client.ts'

const DAY_MS = 24 * 3_600_000

/** In the form of the SDK; undefined: the key is not to be locked. */
export function lockOf(
  bucket: S3Bucket,
  key: ObjectKey,
): { ObjectLockMode: S3ObjectLock['mode']; ObjectLockRetainUntilDate: Date } | undefined {
  const { objectLock } = bucket.settings
  const days = objectLock?.daysOf(key) ?? null
  if (objectLock == null || days === null) return undefined
  return { ObjectLockMode: objectLock.mode, ObjectLockRetainUntilDate: inDays(bucket, days) }
}

/** The same as headers. */
export function lockHeaders(bucket: S3Bucket, key: ObjectKey): Record<string, string> {
  const lock = lockOf(bucket, key)
  if (lock === undefined) return {}
  return {
    'x-amz-object-lock-mode': lock.ObjectLockMode,
    'x-amz-object-lock-retain-until-date': lock.ObjectLockRetainUntilDate.toISOString().replace(
      /\.\d+Z$/,
      'Z',
    ),
  }
}

/** By the service's clock, in whole seconds: some services take no others. */
function inDays(bucket: S3Bucket, days: number): Date {
  const now = Date.now() + (bucket.connection.http.clockSkewMs() ?? 0)
  return new Date(Math.ceil(now / 1_000) * 1_000 + days * DAY_MS)
}
