import { createHash } from 'node:crypto'
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import type { HeldCounter } from '../backend.ts'
import { isStorageError, StorageError } from '../backend.ts'
import { COUNTER_NAME } from '../object-key.ts'
import type { S3Bucket } from './requests/bucket.ts'

/** A counter has some 200 bytes; what is much longer is not ours, and is not read into memory. */
const MAX_COUNTER_BYTES = 4_096

/**
 * Null: none is held. Its version is the ETag as the service writes it, quotes included: that is what
 * If-Match compares.
 */
export async function readS3Counter(
  bucket: S3Bucket,
  signal: AbortSignal | undefined,
): Promise<HeldCounter | null> {
  const at = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(COUNTER_NAME) }
  try {
    return await bucket.call('GetObject of the counter', signal, async (options) => {
      const answer = await bucket.client.send(
        new GetObjectCommand({ ...at, Range: `bytes=0-${MAX_COUNTER_BYTES - 1}` }),
        options,
      )
      const text = (await answer.Body?.transformToString()) ?? ''
      const ageMs =
        answer.LastModified === undefined
          ? null
          : Date.now() + (bucket.connection.http.clockSkewMs() ?? 0) - answer.LastModified.getTime()
      return { text, version: answer.ETag ?? '', ageMs }
    })
  } catch (error) {
    if (!isStorageError(error, 'not-found')) throw error
    await bucket.assertPresent(signal)
    return null
  }
}

/**
 * Where the service compares (If-Match, If-None-Match), one request; else the counter is read first. Tried
 * once: a caller without an answer compares again.
 */
export async function writeS3Counter(
  bucket: S3Bucket,
  text: string,
  expected: string | null,
): Promise<string> {
  const { features } = bucket
  const compares = expected === null ? features.conditionalPut === true : features.conditionalReplace === true
  if (!compares) {
    const held = await readS3Counter(bucket, undefined)
    if ((held?.version ?? null) !== expected) throw taken()
  }
  const command = new PutObjectCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(COUNTER_NAME),
    Body: text,
    ContentType: 'application/json',
    ContentMD5: createHash('md5').update(text).digest('base64'),
    ...(compares && (expected === null ? { IfNoneMatch: '*' } : { IfMatch: expected })),
  })
  try {
    const answer = await bucket.call('PutObject of the counter', undefined, (options) =>
      bucket.client.send(command, options),
    )
    return answer.ETag ?? ''
  } catch (error) {
    // If-Match answers 404 where nothing is held at all.
    if (isStorageError(error, 'not-found')) throw taken(error)
    throw error
  }
}

function taken(cause?: unknown): StorageError {
  return new StorageError('already-exists', 'another counter is held than the expected one', { cause })
}
