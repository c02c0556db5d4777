import { createHash, type Hash } from 'node:crypto'
import type { Body, Evidence, ObjectKey, PutOptions, PutResult } from '../../backend.ts'
import { isStorageError, StorageError } from '../../backend.ts'
import { type BodySource, openBodySource } from '../../bytes/body-source.ts'
import { checkHeld } from '../../bytes/check-held.ts'
import { createDigester, digestValue } from '../../bytes/digest.ts'
import { expectedSha256 } from '../../bytes/read-body.ts'
import { answerOf, attestedDigests, mayBeMd5, plainEtag } from '../reads/object-info.ts'
import { getS3, headS3 } from '../reads/read.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import { lockHeaders } from '../requests/object-lock.ts'

/**
 * One request. The body is read whole into memory first (MD5 on the way), so that it can be announced with
 * its Content-MD5. The SHA-256 was known before: it is what the request is signed with, so that the service
 * refuses other bytes; where no probe saw that, it is computed here once more.
 */
export async function putOnce(
  bucket: S3Bucket,
  key: ObjectKey,
  body: Body,
  options: PutOptions,
): Promise<PutResult> {
  const { signal, onProgress } = options
  const sha256 = expectedSha256(body)
  const loan = await bucket.pool.take(body.size, signal)
  let isReusable = false
  try {
    const md5 = await readWhole(body, loan.buffer, {
      signal,
      sha256: bucket.features.enforcedDigests.includes('sha256') ? null : sha256,
    })
    const result = await send(bucket, key, loan.buffer, { md5, sha256, options, body })
    isReusable = true
    onProgress?.(body.size)
    return result
  } finally {
    loan.release(isReusable)
  }
}

/**
 * Fills the buffer with exactly the body; its MD5. `corrupt` when the size, or the SHA-256 to check, is
 * another.
 */
async function readWhole(
  body: Body,
  buffer: Buffer,
  { sha256, signal }: { sha256: string | null; signal: AbortSignal | undefined },
): Promise<Hash> {
  const md5 = createHash('md5')
  const check = createDigester(sha256 === null ? [] : ['sha256'])
  const source = await openBodySource(body, signal)
  try {
    const size = await source.fill(buffer, (piece) => {
      md5.update(piece)
      check.update(piece)
    })
    await assertEnd(source, body, size)
  } finally {
    await source.close()
  }
  if (sha256 !== null) assertSha256(digestValue(check.digests(), 'sha256'), sha256)
  return md5
}

/** `corrupt` unless the body has exactly the bytes that it was said to have; asks the source for one more. */
export async function assertEnd(source: BodySource, body: Body, size: number): Promise<void> {
  if (size < body.size)
    throw new StorageError('corrupt', `the body ended after ${size} of ${body.size} bytes`)
  if ((await source.fill(Buffer.allocUnsafe(1), () => {})) > 0) {
    throw new StorageError('corrupt', `the body has more than the ${body.size} bytes it was said to have`)
  }
}

export function assertSha256(actual: string | undefined, expected: string): void {
  if (actual !== expected)
    throw new StorageError('corrupt', `the body has SHA-256 ${actual}, not ${expected}`)
}

async function send(
  bucket: S3Bucket,
  key: ObjectKey,
  bytes: Buffer,
  { md5, sha256, options, body }: { md5: Hash; sha256: string; options: PutOptions; body: Body },
): Promise<PutResult> {
  const { features } = bucket
  const md5Digest = md5.digest()
  const evidence: Evidence = { md5: md5Digest.toString('hex') }
  const headers: Record<string, string> = {
    'content-length': String(bytes.length),
    'content-md5': md5Digest.toString('base64'),
    ...(options.contentType !== undefined && { 'content-type': options.contentType }),
    ...(options.storageClass !== undefined && { 'x-amz-storage-class': options.storageClass }),
    ...(features.conditionalPut && { 'if-none-match': '*' }),
    ...lockHeaders(bucket, key),
    ...(features.attestedDigests.includes('sha256') && {
      'x-amz-checksum-sha256': Buffer.from(sha256, 'hex').toString('base64'),
    }),
  }
  try {
    const found = await bucket.call(`PutObject of ${key}`, options.signal, (given) =>
      bucket.direct('PUT', bucket.fullKey(key), headers, { ...given, payload: { bytes, sha256 } }),
    )
    found.body.resume()
    const answer = answerOf(found.headers)
    const etag = plainEtag(answer.ETag)
    if (etag !== undefined) evidence.etag = etag
    const attested = attestedDigests(answer, features)
    const ours = [...body.digests, { algorithm: 'md5' as const, value: evidence.md5! }]
    const wrong = attested.find(
      (digest) => (digestValue(ours, digest.algorithm) ?? digest.value) !== digest.value,
    )
    if (wrong !== undefined) {
      const message = `the service reports ${wrong.algorithm} ${wrong.value} of ${key}, which is not what was sent`
      throw new StorageError('corrupt', message)
    }
    const isAttested = attested.some((digest) => digestValue(ours, digest.algorithm) === digest.value)
    const isEnforced = features.enforcedDigests.some(
      (algorithm) => algorithm === 'md5' || algorithm === 'sha256',
    )
    return {
      key,
      size: bytes.length,
      modifiedAt: new Date(Date.now() + (bucket.connection.http.clockSkewMs() ?? 0)),
      attested,
      ...(etag !== undefined && { etag }),
      proof: isAttested && mayBeMd5(answer) ? 'attested' : isEnforced ? 'enforced' : 'none',
      evidence,
    }
  } catch (error) {
    // What names the time of the next trial comes of a place that is known to be silent: no look would be
    // answered.
    if (!isStorageError(error, 'unavailable') || error.retryAt !== undefined) throw error
    return resolveUnclearPut(bucket, key, body, { evidence, signal: options.signal, error })
  }
}

/**
 * After a put that ended without a clear answer: what is held decides. The body's own bytes: it had worked.
 * Nothing: the failure stands, and trying again is safe. Other bytes: the key is taken.
 */
export async function resolveUnclearPut(
  bucket: S3Bucket,
  key: ObjectKey,
  body: Body,
  { evidence, signal, error }: { evidence: Evidence; signal: AbortSignal | undefined; error: unknown },
): Promise<PutResult> {
  const backend = {
    head: () => headS3(bucket, key, signal),
    get: () => getS3(bucket, key, { signal }),
  }
  const held = await checkHeld(backend, key, body, { evidence, signal }).catch((asked: unknown) => {
    // It cannot be asked now either: the first failure says more.
    if (isStorageError(asked, 'unavailable')) return { answer: 'absent' } as const
    throw asked
  })
  if (held.answer === 'same') return held.result
  if (held.answer === 'absent') throw error
  throw new StorageError('already-exists', `${key} is taken by other bytes`, { cause: error })
}
