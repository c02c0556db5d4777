/**
 * Object Lock: what is put gets a time before which nobody may remove it, and that time is prolonged while
 * it is wanted. A bucket with Object Lock has versions, so a deletion without a version only hides: such a
 * deletion is never ours, and what it hides is brought back.
 */
import {
  DeleteObjectCommand,
  GetObjectLegalHoldCommand,
  GetObjectRetentionCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import { isStorageError, type Locks, type ObjectKey, type Retention, StorageError } from '../backend.ts'
import { assertObjectKey } from '../object-key.ts'
import { listHiddenS3 } from './reads/list-hidden.ts'
import { headS3 } from './reads/read.ts'
import type { S3Bucket } from './requests/bucket.ts'
import type { S3ObjectLock } from './requests/client.ts'
import { errorCode } from './requests/errors.ts'
import { versionsOf } from './versions.ts'

export function locksS3(bucket: S3Bucket): Locks | undefined {
  const { objectLock } = bucket.settings
  if (objectLock == null) return undefined
  const at = (key: ObjectKey) => ({ Bucket: bucket.settings.bucket, Key: bucket.fullKey(key) })

  return {
    daysOf: (key) => objectLock.daysOf(key),

    async look(key, { signal } = {}) {
      assertObjectKey(key)
      const seen = await headS3(bucket, key, signal)
      if (seen?.retention) return seen.retention
      // Also where nothing is set: what is locked next must be the version that was looked at.
      if (seen?.versionId !== undefined) return { ...NOTHING, versionId: seen.versionId }
      const [newest] = (await versionsOf(bucket, key, signal)).filter(({ isMarker }) => !isMarker)
      return newest === undefined ? null : retentionOfVersion(bucket, key, newest.versionId, signal)
    },

    async extend(key, until, { versionId, signal } = {}) {
      assertObjectKey(key)
      const put = (Mode: S3ObjectLock['mode']) => {
        const Retention = { Mode, RetainUntilDate: until }
        const command = new PutObjectRetentionCommand({ ...at(key), VersionId: versionId, Retention })
        return bucket.call(`PutObjectRetention of ${key}`, signal, (options) =>
          bucket.client.send(command, options),
        )
      }
      try {
        await put(objectLock.mode)
      } catch (error) {
        // What an earlier configuration locked keeps its mode: compliance always, and governance at Ceph.
        if (!isStorageError(error, 'denied')) throw error
        const mode = await modeOf(bucket, key, versionId, signal)
        if (mode === undefined || mode === objectLock.mode) throw error
        await put(mode)
      }
    },

    async bringBack(key, { signal } = {}) {
      assertObjectKey(key)
      const versions = await versionsOf(bucket, key, signal)
      if (versions.every(({ isMarker }) => isMarker)) return false
      for (const { versionId } of versions.filter(({ isMarker }) => isMarker)) {
        const command = new DeleteObjectCommand({ ...at(key), VersionId: versionId })
        await bucket.call(`DeleteObject of a delete marker of ${key}`, signal, (options) =>
          bucket.client.send(command, options),
        )
      }
      return true
    },

    listHidden: (prefix, { signal } = {}) => listHiddenS3(bucket, prefix, signal),
  }
}

const NOTHING: Retention = { until: null, isOnHold: false }

/** Asked by its version: what a delete marker hides has no other name. */
export async function retentionOfVersion(
  bucket: S3Bucket,
  key: ObjectKey,
  versionId: string,
  signal: AbortSignal | undefined,
): Promise<Retention> {
  const at = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(key), VersionId: versionId }
  const retention = await orNone(() =>
    bucket.call(`GetObjectRetention of ${key}`, signal, (options) =>
      bucket.client.send(new GetObjectRetentionCommand(at), options),
    ),
  )
  const hold = await orNone(() =>
    bucket.call(`GetObjectLegalHold of ${key}`, signal, (options) =>
      bucket.client.send(new GetObjectLegalHoldCommand(at), options),
    ),
  )
  return {
    until: retention?.Retention?.RetainUntilDate ?? null,
    isOnHold: hold?.LegalHold?.Status === 'ON',
    versionId,
  }
}

async function modeOf(
  bucket: S3Bucket,
  key: ObjectKey,
  versionId: string | undefined,
  signal: AbortSignal | undefined,
): Promise<S3ObjectLock['mode'] | undefined> {
  const at = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(key), VersionId: versionId }
  const found = await orNone(() =>
    bucket.call(`GetObjectRetention of ${key}`, signal, (options) =>
      bucket.client.send(new GetObjectRetentionCommand(at), options),
    ),
  )
  return found?.Retention?.Mode
}

/** A version without a lock is answered with 404; a legal hold may not be ours to see. */
async function orNone<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask()
  } catch (error) {
    if (!isStorageError(error)) throw error
    const code = errorCode(error.cause)
    if (code === 'NoSuchObjectLockConfiguration' || code === 'ObjectLockConfigurationNotFoundError')
      return null
    if (error.kind === 'denied' && error.message.startsWith('GetObjectLegalHold')) return null
    throw error
  }
}

/**
 * Throws `hidden` where a bucket with Object Lock holds bytes under a key that it calls absent. One listing
 * for each absent key: without it, a stranger's delete marker would look like a loss.
 */
export async function assertNotHidden(
  bucket: S3Bucket,
  key: ObjectKey,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (bucket.settings.objectLock == null) return
  const versions = await versionsOf(bucket, key, signal)
  const [newest] = versions
  if (newest === undefined || versions.every(({ isMarker }) => isMarker)) return
  const what = newest.isMarker ? 'a delete marker hides it, and is none of ours' : 'it has just come'
  throw new StorageError('hidden', `bucket ${bucket.settings.bucket} holds ${key}: ${what}`)
}
