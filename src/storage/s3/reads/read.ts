import type { Readable } from 'node:stream'
import type { ByteRange, GetOptions, ObjectInfo, ObjectKey } from '../../backend.ts'
import { isStorageError, StorageError } from '../../backend.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import { answerOf, objectInfo, wantsChecksums } from './object-info.ts'

export async function headS3(
  bucket: S3Bucket,
  key: ObjectKey,
  signal: AbortSignal | undefined,
): Promise<ObjectInfo | null> {
  const headers: Record<string, string> = wantsChecksums(bucket.features)
    ? { 'x-amz-checksum-mode': 'ENABLED' }
    : {}
  try {
    const { headers: found, body } = await bucket.call(`HeadObject of ${key}`, signal, (options) =>
      bucket.direct('HEAD', bucket.fullKey(key), headers, options),
    )
    body.resume()
    const { ContentLength, ...answer } = answerOf(found)
    // Taken for 0, it would say of right bytes that they are wrong.
    if (ContentLength === undefined)
      throw new StorageError('unavailable', `the answer to HeadObject of ${key} has no Content-Length`)
    return objectInfo(key, { ...answer, ContentLength }, bucket.features)
  } catch (error) {
    if (!isStorageError(error, 'not-found')) throw error
    await bucket.assertPresent(signal)
    return null
  }
}

/**
 * The stream is the connection's own: nothing stands between it and the reader. Node ends it in an error when
 * fewer bytes come than Content-Length says, so an answer without one is refused.
 */
export async function getS3(
  bucket: S3Bucket,
  key: ObjectKey,
  { range, signal }: GetOptions,
): Promise<ObjectInfo & { stream: Readable }> {
  const headers: Record<string, string> =
    range === undefined ? {} : { range: `bytes=${range.start}-${range.end ?? ''}` }
  const { headers: found, body } = await bucket.call(`GetObject of ${key}`, signal, (options) =>
    bucket.direct('GET', bucket.fullKey(key), headers, options),
  )
  try {
    const answer = answerOf(found)
    const size = wholeSize(key, answer, range)
    return { ...objectInfo(key, { ...answer, ContentLength: size }, bucket.features), stream: body }
  } catch (error) {
    body.destroy()
    throw error
  }
}

/** The size of the whole object; throws where the answer is not to what was asked. */
function wholeSize(
  key: string,
  { ContentLength, ContentRange }: { ContentLength?: number; ContentRange?: string },
  range: ByteRange | undefined,
): number {
  if (ContentLength === undefined)
    throw oddAnswer(key, 'has no Content-Length, so a short one could not be told')
  if (range === undefined) return ContentLength
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange ?? '') ?? []
  if (total === undefined) throw oddAnswer(key, 'is not to the range that was asked for')
  const expectedLast = Math.min(range.end ?? Number.MAX_SAFE_INTEGER, Number(total) - 1)
  if (
    Number(first) !== range.start ||
    Number(last) !== expectedLast ||
    ContentLength !== expectedLast - range.start + 1
  ) {
    throw oddAnswer(key, `is to another range: ${ContentRange}, ${ContentLength} bytes`)
  }
  return Number(total)
}

function oddAnswer(key: string, what: string): StorageError {
  return new StorageError('unavailable', `the answer to GetObject of ${key} ${what}`)
}
