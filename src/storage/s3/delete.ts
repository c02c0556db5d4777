import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3'
import type { ObjectKey } from '../backend.ts'
import { isStorageError, StorageError } from '../backend.ts'
import { retentionOfVersion } from './locks.ts'
import type { S3Bucket } from './requests/bucket.ts'
import { errorStatus } from './requests/errors.ts'
import { versionsOf } from './versions.ts'

/** The most that one DeleteObjects takes. */
const KEYS_PER_REQUEST = 1000
const PARALLEL_DELETES = 8
/** A lock that has ended for so short a time by our clock may stand by that of the service. */
const CLOCKS_DIFFER_MS = 15 * 60_000

type RemovalCandidate = { key: string; versionId?: string }
/** `assertPermitted`: asked before each request, throws where the leave is too old by then. */
type DeleteOptions = {
  signal?: AbortSignal | undefined
  /** The only version of the only key, as far as it is known; not needed where versions are asked for. */
  versionId?: string | undefined
  /** Only that version goes, also where versions are asked for. */
  isOnlyVersion?: boolean | undefined
  assertPermitted?: () => void
}

/** All are tried; then the worst failure is thrown, with how many there were. */
export async function deleteS3(
  bucket: S3Bucket,
  keys: readonly ObjectKey[],
  options: DeleteOptions = {},
): Promise<void> {
  const doomed: RemovalCandidate[] = []
  for (const key of keys) {
    const isNamed = options.isOnlyVersion === true && options.versionId !== undefined
    if (deletesVersions(bucket) && !isNamed) {
      for (const { versionId } of await versionsOf(bucket, key, options.signal))
        doomed.push({ key: bucket.fullKey(key), versionId })
    } else {
      const { versionId } = options
      doomed.push({ key: bucket.fullKey(key), ...(versionId !== undefined && { versionId }) })
    }
  }
  const failures: StorageError[] = []
  // One by one where some may be locked, so that each says why.
  if (doomed.length === 1 || !bucket.provider.deleteObjects || bucket.settings.objectLock != null) {
    failures.push(...(await deleteEach(bucket, doomed, options)))
  } else {
    for (let at = 0; at < doomed.length; at += KEYS_PER_REQUEST) {
      failures.push(...(await deleteBatch(bucket, doomed.slice(at, at + KEYS_PER_REQUEST), options)))
    }
  }
  if (failures.length === 0) return
  const worst = failures.find(({ kind }) => kind !== 'unavailable') ?? failures[0]!
  if (worst.kind === 'retained') throw worst
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
        if (error.kind !== 'not-found')
          failures.push(await asRetained(bucket, { key, versionId }, error, signal))
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(PARALLEL_DELETES, doomed.length) }, work))
  return failures
}

/** Whether a key goes with all its versions, since a deletion of the key alone would only hide it. */
function deletesVersions({ provider, settings }: S3Bucket): boolean {
  return provider.deleteVersions || settings.objectLock != null
}

/** The refusal of a version that is locked: until when, as far as we may know. */
async function asRetained(
  bucket: S3Bucket,
  { key, versionId }: RemovalCandidate,
  refusal: StorageError,
  signal: AbortSignal | undefined,
): Promise<StorageError> {
  if (refusal.kind !== 'denied' || versionId === undefined) return refusal
  const short = key.slice(bucket.settings.prefix.length) as ObjectKey
  const retention = await retentionOfVersion(bucket, short, versionId, signal).catch((error: unknown) => {
    if (!isStorageError(error)) throw error
    return null
  })
  if (retention === null) return refusal
  const { until, isOnHold } = retention
  if (!isOnHold && (until === null || until.getTime() <= Date.now() - CLOCKS_DIFFER_MS)) return refusal
  const why = isOnHold ? 'it is on legal hold' : `it is locked until ${until?.toISOString()}`
  return new StorageError(
    'retained',
    `${short} can't be removed from bucket ${bucket.settings.bucket}: ${why}`,
    {
      cause: refusal,
      retention,
    },
  )
}
