import { DeleteObjectCommand, DeleteObjectsCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3'
import type { ObjectKey } from '../backend.ts'
import { isStorageError, StorageError } from '../backend.ts'
import type { S3Bucket } from './requests/bucket.ts'
import { errorStatus } from './requests/errors.ts'

/** The most that one DeleteObjects takes. */
const KEYS_PER_REQUEST = 1000
const PARALLEL_DELETES = 8

type RemovalCandidate = { key: string; versionId?: string }
/** `assertPermitted`: asked before each request, throws where the leave is too old by then. */
type DeleteOptions = { signal?: AbortSignal | undefined; assertPermitted?: () => void }

/** All are tried; then the worst failure is thrown, with how many there were. */
export async function deleteS3(
  bucket: S3Bucket,
  keys: readonly ObjectKey[],
  options: DeleteOptions = {},
): Promise<void> {
  const doomed: RemovalCandidate[] = []
  for (const key of keys) {
    if (bucket.provider.deleteVersions) doomed.push(...(await versionsOf(bucket, key, options.signal)))
    else doomed.push({ key: bucket.fullKey(key) })
  }
  const failures: StorageError[] = []
  if (doomed.length === 1 || !bucket.provider.deleteObjects) {
    failures.push(...(await deleteEach(bucket, doomed, options)))
  } else {
    for (let at = 0; at < doomed.length; at += KEYS_PER_REQUEST) {
      failures.push(...(await deleteBatch(bucket, doomed.slice(at, at + KEYS_PER_REQUEST), options)))
    }
  }
  if (failures.length === 0) return
  const worst = failures.find(({ kind }) => kind !== 'unavailable') ?? failures[0]!
  const { kind, withoutRemedy, remedy, said } = worst
  const message = `deleting ${failures.length} of ${keys.length} keys failed: ${withoutRemedy}`
  throw new StorageError(kind, message, { remedy, said })
}

async function deleteBatch(
  bucket: S3Bucket,
  doomed: RemovalCandidate[],
  options: DeleteOptions,
): Promise<StorageError[]> {
  options.assertPermitted?.()
  const command = new DeleteObjectsCommand({
    Bucket: bucket.settings.bucket,
    Delete: {
      Objects: doomed.map(({ key, versionId }) => ({ Key: key, VersionId: versionId })),
      Quiet: true,
    },
  })
  try {
    const answer = await bucket.call('DeleteObjects', options.signal, (request) =>
      bucket.client.send(command, request),
    )
    // 200 says only that it was tried.
    const errors = (answer.Errors ?? []).filter(
      ({ Code }) => Code !== 'NoSuchKey' && Code !== 'NoSuchVersion',
    )
    return errors.map(
      ({ Code, Key, Message }) =>
        new StorageError(
          Code === 'AccessDenied' ? 'denied' : 'unavailable',
          `DeleteObjects of ${Key} in bucket ${bucket.settings.bucket}: ${Code} ${Message ?? ''}`,
        ),
    )
  } catch (error) {
    if (isStorageError(error) && [400, 404, 405, 501].includes(errorStatus(error.cause) ?? 0)) {
      return deleteEach(bucket, doomed, options)
    }
    throw error
  }
}

async function deleteEach(
  bucket: S3Bucket,
  doomed: RemovalCandidate[],
  { signal, assertPermitted }: DeleteOptions,
): Promise<StorageError[]> {
  const failures: StorageError[] = []
  const waiting = doomed.values()
  async function work(): Promise<void> {
    for (const { key, versionId } of waiting) {
      const command = new DeleteObjectCommand({
        Bucket: bucket.settings.bucket,
        Key: key,
        VersionId: versionId,
      })
      assertPermitted?.()
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
): Promise<RemovalCandidate[]> {
  const full = bucket.fullKey(key)
  const found: RemovalCandidate[] = []
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
