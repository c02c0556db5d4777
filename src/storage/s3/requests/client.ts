import { createHash } from 'node:crypto'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { findS3Provider } from '../providers/providers.ts'
import type { S3Encryption } from './encryption.ts'
import { openS3Http, type S3Http } from './http.ts'
import type { StallRules } from './stall-timeout.ts'

/** `daysOf`: for how many days what is put under a key of ours is locked; null: not at all. */
export type S3ObjectLock = {
  mode: 'GOVERNANCE' | 'COMPLIANCE'
  daysOf(key: string): number | null
}

export type S3Settings = {
  /** Null: the service of AWS in that region. */
  endpoint: string | null
  /** Where browsers and phones reach the same service; presigned URLs name it. Absent: the endpoint. */
  publicEndpoint?: string | null
  bucket: string
  region: string
  /** Both null: the default credential chain of AWS (environment, profile, role). */
  accessKeyId: string | null
  secretAccessKey: string | null
  /** Put before every key as it is; empty, or ends with `/`. */
  prefix: string
  /** Null: what the provider is known to need. */
  forcePathStyle: boolean | null
  /** A name of `providers/providers.ts`, or `auto`: told from the endpoint. */
  provider: string
  maxConnections: number
  requestTimeoutMs: number
  connectTimeoutMs: number
  /** The bucket has Object Lock, and what is put there is locked. Absent: nothing is. */
  objectLock?: S3ObjectLock | null
  /** How what is put there is to be encrypted by the service. Absent: as the bucket does by itself. */
  encryption?: S3Encryption | null
  /** Ends writes that are silent for long; absent (a probe): `requestTimeoutMs` does. */
  silence?: StallRules
  /** Bodies up to this size go in one put; 16 MiB. */
  singlePutBytes?: number
  /**
   * Size of the parts of larger ones, at least 5 MiB; 16 MiB. Made larger where the provider allows too few
   * parts.
   */
  partBytes?: number
  /** Memory of all puts together; 64 MiB. */
  bufferBytes?: number
}

/** The client of one bucket and the connections under it. */
export type S3Connection = { client: S3Client; http: S3Http }

export function connectS3(settings: S3Settings, endpoint: string | null = settings.endpoint): S3Connection {
  const http = openS3Http(settings)
  const { accessKeyId, secretAccessKey } = settings
  const config: S3ClientConfig = {
    region: settings.region,
    forcePathStyle: settings.forcePathStyle ?? findS3Provider(settings.provider, endpoint).forcePathStyle,
    // The SDK's default checksums break Ceph, Swift, R2 and B2, and sign the CRC32 of nothing into presigned
    // URLs.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Quick tries are made in one place, `with-retry`.
    maxAttempts: 1,
    requestHandler: http as NonNullable<S3ClientConfig['requestHandler']>,
    ...(endpoint !== null && { endpoint }),
    ...(accessKeyId !== null &&
      secretAccessKey !== null && { credentials: { accessKeyId, secretAccessKey } }),
  }
  const client = new S3Client(config)
  client.middlewareStack.add(plainHeaders as never, { step: 'build', priority: 'low', name: 'plainHeaders' })
  return { client, http }
}

type Next = (args: { input: object; request: unknown }) => Promise<never>
type HttpParts = { headers: Record<string, string>; query?: Record<string, unknown>; body?: unknown }

/**
 * What every S3 service understands: DeleteObjects and PutObjectRetention with Content-MD5 instead of the
 * CRC32 that the SDK insists on, no wait for 100-continue (a round trip per put; a refused body is 16 MiB at
 * most).
 */
function plainHeaders(next: Next) {
  return (args: { input: object; request: unknown }) => {
    const { headers, query, body } = args.request as HttpParts
    delete headers.Expect
    delete headers.expect
    if (
      query !== undefined &&
      ('delete' in query || 'retention' in query) &&
      (typeof body === 'string' || body instanceof Uint8Array)
    ) {
      for (const name of Object.keys(headers)) {
        if (/^x-amz-(checksum|sdk-checksum)/i.test(name)) delete headers[name]
      }
      headers['content-md5'] = createHash('md5').update(body).digest('base64')
    }
    return next(args)
  }
}

/** What a command can be told about the digest of its body; see `signPayload`. */
type Signable = {
  middlewareStack: { add(middleware: never, options: { step: 'build'; name: string }): void }
}

/**
 * Signs a digest that is known instead of letting the SDK compute it; the service then refuses other bytes.
 * `UNSIGNED-PAYLOAD` leaves the bytes to Content-MD5.
 */
export function signPayload<C>(command: C, sha256: string): C {
  const middleware = (next: Next) => (args: { input: object; request: unknown }) => {
    const { headers } = args.request as HttpParts
    headers['x-amz-content-sha256'] = sha256
    return next(args)
  }
  const { middlewareStack } = command as Signable
  middlewareStack.add(middleware as never, { step: 'build', name: 'signPayload' })
  return command
}
