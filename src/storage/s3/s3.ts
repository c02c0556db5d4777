/** Objects in one bucket of an S3 service, below one prefix. */
import { createHash } from 'node:crypto'
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import type { Log } from '../../log.ts'
import type { Body, ObjectKey, PutOptions, PutResult, StorageBackend } from '../backend.ts'
import { isStorageError, StorageError } from '../backend.ts'
import { expectedSha256 } from '../bytes/read-body.ts'
import { assertObjectKey, MARKER_NAME } from '../object-key.ts'
import { assertPermitted } from '../removal-permit.ts'
import { archiveS3 } from './archive.ts'
import { readS3Counter, writeS3Counter } from './counter.ts'
import { deleteS3 } from './delete.ts'
import { assertNotHidden, locksS3 } from './locks.ts'
import { listS3, listsS3Marker } from './reads/list.ts'
import { getS3, headS3 } from './reads/read.ts'
import { openS3Bucket, wholePutBytes } from './requests/bucket.ts'
import type { S3Settings } from './requests/client.ts'
import { presignS3 } from './requests/presign.ts'
import { copiesS3 } from './writes/copy.ts'
import { openKeyQueue } from './writes/key-queue.ts'
import { multipartS3 } from './writes/multipart.ts'
import { putOnce } from './writes/put.ts'
import { putInParts } from './writes/put-parts.ts'
import { streamingPutS3 } from './writes/streaming-put.ts'

export type S3Backend = StorageBackend & {
  /** `Date` of the last answer less our clock; null before the first. */
  clockSkewMs(): number | null
  openConnections(): number
}

/** Nothing is sent before the first call; without a probe's features it assumes nothing of the service. */
export function openS3Backend(settings: S3Settings, log: Log): S3Backend {
  const bucket = openS3Bucket(settings, log)
  const { client, connection } = bucket
  const locks = locksS3(bucket)
  const presign = presignS3(bucket)
  const oneAfterAnother = openKeyQueue()
  const marker = { Bucket: settings.bucket, Key: bucket.fullKey(MARKER_NAME) }

  async function put(key: ObjectKey, body: Body, options: PutOptions = {}): Promise<PutResult> {
    assertObjectKey(key)
    expectedSha256(body)
    const { features } = bucket
    const isSingle = body.size <= wholePutBytes(bucket)
    const send = isSingle ? putOnce : putInParts
    // A large body is never sent in vain; a small one only where the service itself refuses a second put.
    if (isSingle && features.conditionalPut) return send(bucket, key, body, options)
    return oneAfterAnother(key, async () => {
      if ((await headS3(bucket, key, options.signal)) !== null) {
        throw new StorageError('already-exists', `bucket ${settings.bucket} already holds ${key}`)
      }
      return send(bucket, key, body, options)
    })
  }

  return {
    get features() {
      return bucket.features
    },
    useFeatures(found) {
      bucket.features = found
    },
    async head(key, { signal } = {}) {
      assertObjectKey(key)
      const held = await headS3(bucket, key, signal)
      if (held === null) await assertNotHidden(bucket, key, signal)
      return held
    },
    async get(key, options = {}) {
      assertObjectKey(key)
      try {
        return await getS3(bucket, key, options)
      } catch (error) {
        if (isStorageError(error, 'not-found')) await assertNotHidden(bucket, key, options.signal)
        throw error
      }
    },
    put,
    async delete(permit, { signal, versionId, isOnlyVersion } = {}) {
      assertPermitted(permit)
      const { keys } = permit
      for (const key of keys) assertObjectKey(key)
      signal?.throwIfAborted()
      await deleteS3(bucket, keys, {
        ...{ signal, versionId, isOnlyVersion },
        assertPermitted: () => assertPermitted(permit),
      })
    },
    list: (prefix, options = {}) => listS3(bucket, prefix, options),

    async readMarker({ signal } = {}) {
      try {
        return await bucket.call('GetObject of the marker', signal, async (options) => {
          const answer = await client.send(new GetObjectCommand(marker), options)
          return (await answer.Body?.transformToString())?.trim() ?? null
        })
      } catch (error) {
        if (isStorageError(error, 'not-found')) return null
        throw error
      }
    },
    listsMarker: ({ signal } = {}) => listsS3Marker(bucket, signal),
    async writeMarker(id) {
      const text = `${id}\n`
      // A bucket that locks by default takes no put without a digest.
      const ContentMD5 = createHash('md5').update(text).digest('base64')
      const command = new PutObjectCommand({ ...marker, Body: text, ContentMD5, ContentType: 'text/plain' })
      await bucket.call('PutObject of the marker', undefined, (options) => client.send(command, options))
    },

    readCounter: ({ signal } = {}) => readS3Counter(bucket, signal),
    writeCounter: (text, expected) => writeS3Counter(bucket, text, expected),

    ...(presign && { presign }),
    multipart: multipartS3(bucket),
    streamingPut: streamingPutS3(bucket),
    copies: copiesS3(bucket),
    archive: archiveS3(bucket),
    ...(locks && { locks }),
    clockSkewMs: connection.http.clockSkewMs,
    openConnections: connection.http.openConnections,
    async close() {
      client.destroy()
    },
  }
}
