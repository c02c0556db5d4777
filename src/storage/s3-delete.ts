import { DeleteObjectCommand, DeleteObjectsCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3'
import type { ObjectKey } from './backend.ts'
import { isStorageError, StorageError, type StorageErrorKind } from './backend.ts'
import type { S3Bucket } from './s3-bucket.ts'
import { errorStatus } from './s3-errors.ts'

/** The most that one DeleteObjects takes. */
const KEYS_PER_REQUEST = 1000
const PARALLEL_DELETES = 8

type Doomed = { key: string; versionId?: string }
type Failure = { kind: StorageErrorKind; message: string }

/** All are tried; then the worst failure is thrown, with how many there were. */
export async function deleteS3(
  bucket: S3Bucket,
  keys: readonly ObjectKey[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const doomed: Doomed[] = []
  for (const key of keys) {
    if (bucket.provider.deleteVersions) doomed.push(...(await versionsOf(bucket, key, signal)))
    else doomed.push({ key: bucket.fullKey(key) })
  }
  const failures: Failure[] = []
  if (doomed.length === 1 || !bucket.provider.deleteObjects) {
    failures.push(...(await deleteEach(bucket, doomed, signal)))
  } else {
    for (let at = 0; at < doomed.length; at += KEYS_PER_REQUEST) {
      failures.push(...(await deleteBatch(bucket, doomed.slice(at, at + KEYS_PER_REQUEST), signal)))
    }
  }
  if (failures.length === 0) return
  const worst = failures.find(({ kind }) => kind !== 'unavailable') ?? failures[0]!
  throw new StorageError(
    worst.kind,
    `deleting ${failures.length} of ${keys.length} keys failed: ${worst.message}`,
  )
}

async function deleteBatch(
  bucket: S3Bucket,
  doomed: Doomed[],
  signal: AbortSignal | undefined,
): Promise<Failure[]> {
  const command = new DeleteObjectsCommand({
    Bucket: bucket.settings.bucket,
    Delete: {
      Objects: doomed.map(({ key, versionId }) => ({ Key: key, VersionId: versionId })),
      Quiet: true,
    },
  })
  try {
    const answer = await bucket.call('DeleteObjects', signal, (options) =>
      bucket.client.send(command, options),
    )
    // 200 says only that it was tried.
    const errors = (answer.Errors ?? []).filter(
      ({ Code }) => Code !== 'NoSuchKey' && Code !== 'NoSuchVersion',
    )
    return errors.map(({ Code, Key, Message }) => ({
      kind: Code === 'AccessDenied' ? ('denied' as const) : ('unavailable' as const),
      message: `DeleteObjects of ${Key} in bucket ${bucket.settings.bucket}: ${Code} ${Message ?? ''}`,
    }))
  } catch (error) {
    if (isStorageError(error) && [400, 404, 405, 501].includes(errorStatus(error.cause) ?? 0)) {
      return deleteEach(bucket, doomed, signal)
    }
    throw error
  }
}

async function deleteEach(
  bucket: S3Bucket,
  doomed: Doomed[],
  signal: AbortSignal | undefined,
): Promise<Failure[]> {
  const failures: Failure[] = []
  const waiting = doomed.values()
  async function work(): Promise<void> {
    for (const { key, versionId } of waiting) {
      const command = new DeleteObjectCommand({
        Bucket: bucket.settings.bucket,
        Key: key,
        VersionId: versionId,
      })
      try {
        await bucket.call(`DeleteObject of ${key}`, signal, (options) => bucket.client.send(command, options))
      } catch (error) {
        if (!isStorageError(error)) throw error
        if (error.kind !== 'not-found') failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(PARALLEL_DELETES, doomed.length) }, work))
  return failures
}

/** Every version of one key and every mark that hides it. */
async function versionsOf(
  bucket: S3Bucket,
  key: ObjectKey,
  signal: AbortSignal | undefined,
): Promise<Doomed[]> {
  const full = bucket.fullKey(key)
  const found: Doomed[] = []
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
    for (const { Key, VersionId } of [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]) {
      if (Key === full && VersionId !== undefined) found.push({ key: full, versionId: VersionId })
    }
    if (!page.IsTruncated || page.NextKeyMarker === undefined || page.NextKeyMarker > full) return found
    if (page.NextKeyMarker === position.KeyMarker && page.NextVersionIdMarker === position.VersionIdMarker) {
      throw new StorageError('unavailable', `ListObjectVersions of ${key} goes round in circles`)
    }
    position = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
  }
}
