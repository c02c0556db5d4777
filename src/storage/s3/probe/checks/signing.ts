/**
 * Presigned URLs of a probe's keys, which are no object keys, and requests that use them as anybody would.
 */
import { StorageError } from '../../../backend.ts'
import type { S3Bucket } from '../../requests/bucket.ts'
import type { SignUrl } from '../../requests/sign-url.ts'
import { md5Of } from './probing.ts'

/** Time enough for a slow line, no more. */
export const EXPIRES_IN_S = 300

export type Signed = { url: string; headers: Record<string, string> }
type PlainAnswer = { status: number; headers: Record<string, string>; bytes: Buffer }

/**
 * Bound to length, type and, unless it is told not to, MD5, as every presigned put of ours is; `signedAt`
 * absent: now.
 */
export async function signProbePut(
  signUrl: SignUrl,
  fullKey: string,
  what: {
    bytes: Buffer
    contentType: string
    signedAt?: Date | undefined
    withoutMd5?: boolean
    onlyIfAbsent?: boolean
    /** As the bucket's settings say, see `encryptionHeaders`. */
    encryption: Record<string, string>
  },
): Promise<Signed> {
  const headers = {
    'content-length': String(what.bytes.length),
    ...(what.withoutMd5 !== true && { 'content-md5': md5Of(what.bytes).toString('base64') }),
    'content-type': what.contentType,
    ...(what.onlyIfAbsent === true && { 'if-none-match': '*' }),
    ...what.encryption,
  }
  const { url } = await signUrl('PUT', fullKey, {
    operation: 'PutObject',
    headers,
    signedAt: what.signedAt,
    expiresInSeconds: EXPIRES_IN_S,
  })
  return { url, headers }
}

export async function signProbeGet(
  signUrl: SignUrl,
  fullKey: string,
  { contentType, fileName }: { contentType: string; fileName: string },
): Promise<string> {
  const { url } = await signUrl('GET', fullKey, {
    operation: 'GetObject',
    query: {
      'response-content-disposition': `attachment; filename="${fileName}"`,
      'response-content-type': contentType,
    },
    expiresInSeconds: EXPIRES_IN_S,
  })
  return url
}

/**
 * A request without credentials of ours. A refusal is an answer; throws `unavailable` where the service
 * fails.
 */
export async function sendPlain(
  { connection }: S3Bucket,
  method: string,
  address: string,
  headers: Record<string, string>,
  body?: Buffer,
): Promise<PlainAnswer> {
  const url = new URL(address)
  const { response } = await connection.http.handle({
    method,
    protocol: url.protocol,
    hostname: url.hostname,
    ...(url.port !== '' && { port: Number(url.port) }),
    path: url.pathname + url.search,
    headers: { ...headers, host: url.host },
    ...(body && { body }),
  })
  const chunks: Buffer[] = []
  for await (const chunk of response.body) chunks.push(chunk as Buffer)
  // A service that is busy has refused nothing.
  const { statusCode } = response
  if (statusCode === 429 || (statusCode >= 500 && statusCode !== 501)) {
    throw new StorageError('unavailable', `a presigned ${method} was answered ${statusCode}`)
  }
  return { status: response.statusCode, headers: response.headers, bytes: Buffer.concat(chunks) }
}
