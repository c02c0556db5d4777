/** Presigned URLs of a probe's keys, which are no object keys, and requests that use them as anybody would. */
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { StorageError } from './backend.ts'
import type { S3Bucket } from './s3-bucket.ts'
import { md5Of } from './s3-probing.ts'

/** Time enough for a slow line, no more. */
export const EXPIRES_IN_S = 300

export type Signed = { url: string; headers: Record<string, string> }
type PlainAnswer = { status: number; headers: Record<string, string>; bytes: Buffer }

/** Bound to length, type and, unless it is told not to, MD5, as every presigned put of ours is; `signedAt` absent: now. */
export async function signProbePut(
  { settings, fullKey }: S3Bucket,
  client: S3Client,
  what: {
    key: string
    bytes: Buffer
    contentType: string
    signedAt?: Date | undefined
    withoutMd5?: boolean
  },
): Promise<Signed> {
  const contentMd5 = what.withoutMd5 === true ? undefined : md5Of(what.bytes).toString('base64')
  const headers: Record<string, string> = {
    'content-length': String(what.bytes.length),
    ...(contentMd5 !== undefined && { 'content-md5': contentMd5 }),
    'content-type': what.contentType,
  }
  const command = new PutObjectCommand({
    Bucket: settings.bucket,
    Key: fullKey(what.key),
    ContentLength: what.bytes.length,
    ...(contentMd5 !== undefined && { ContentMD5: contentMd5 }),
    ContentType: what.contentType,
  })
  const url = await getSignedUrl(client, command, {
    expiresIn: EXPIRES_IN_S,
    signableHeaders: new Set(['host', ...Object.keys(headers)]),
    ...(what.signedAt && { signingDate: what.signedAt }),
  })
  return { url, headers }
}

export function signProbeGet(
  { settings, fullKey }: S3Bucket,
  client: S3Client,
  { key, contentType, fileName }: { key: string; contentType: string; fileName: string },
): Promise<string> {
  const command = new GetObjectCommand({
    Bucket: settings.bucket,
    Key: fullKey(key),
    ResponseContentType: contentType,
    ResponseContentDisposition: `attachment; filename="${fileName}"`,
  })
  return getSignedUrl(client, command, { expiresIn: EXPIRES_IN_S })
}

/** A request without credentials of ours. A refusal is an answer; throws `unavailable` where the service fails. */
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
