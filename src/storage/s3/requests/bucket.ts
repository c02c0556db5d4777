import type { S3Client } from '@aws-sdk/client-s3'
import { HeadBucketCommand } from '@aws-sdk/client-s3'
import type { Log } from '../../../log.ts'
import type { Features } from '../../backend.ts'
import { isStorageError, StorageError } from '../../backend.ts'
import { type BufferPool, openBufferPool } from '../../bytes/buffer-pool.ts'
import type { S3Provider } from '../providers/provider.ts'
import { findS3Provider } from '../providers/providers.ts'
import { connectS3, type S3Connection, type S3Settings } from './client.ts'
import { type DirectRequest, openDirectRequests } from './direct.ts'
import { s3Error } from './errors.ts'
import { type KeyAddress, openKeyAddresses } from './key-address.ts'
import { encryptDirect, encryptRequests, openKeyRing } from './key-ring.ts'
import { openSignUrl, type SignUrl } from './sign-url.ts'
import { openSignature } from './signature.ts'

const MIB = 1024 * 1024
const DEFAULT_SINGLE_PUT_BYTES = 16 * MIB
const DEFAULT_PART_BYTES = 16 * MIB
const DEFAULT_BUFFER_BYTES = 64 * MIB
/** For so long an answer proves that the bucket is there. */
const BUCKET_SEEN_MS = 10_000

/** One bucket: what every operation on it needs. */
export type S3Bucket = {
  readonly settings: S3Settings
  readonly provider: S3Provider
  readonly connection: S3Connection
  readonly client: S3Client
  /** GET, HEAD and PUT of objects, encrypted as the settings ask for. */
  readonly direct: DirectRequest
  /** The same with no header but those that are given: for the probe. */
  readonly bareDirect: DirectRequest
  /** See `KeyRing`. */
  readonly headersOfNew: () => Promise<Record<string, string>>
  /** For the address that we use ourselves. */
  readonly signUrl: SignUrl
  /** For the one where browsers and phones reach the service. */
  readonly signPublicUrl: SignUrl
  readonly publicAddressOf: (fullKey: string) => Promise<KeyAddress>
  readonly pool: BufferPool
  readonly log: Log
  readonly singlePutBytes: number
  readonly partBytes: number
  features: Features
  /** Key at the service of a key of ours. */
  fullKey(key: string): string
  /** Runs one request; what it throws is a `StorageError` that names the action, or the signal's reason. */
  call<T>(
    action: string,
    signal: AbortSignal | undefined,
    run: (options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T>
  /**
   * Throws `unavailable` where the bucket is gone: a 404 to a HEAD, which has no body, may mean just that.
   */
  assertPresent(signal: AbortSignal | undefined): Promise<void>
}

/** Until a probe has found more out: assume nothing of the service. */
function cautiousFeatures(provider: S3Provider, partBytes: number): Features {
  return {
    conditionalPut: null,
    conditionalComplete: null,
    enforcedDigests: [],
    attestedDigests: [],
    multipartEtagIsMd5OfParts: null,
    maxPutBytes: provider.maxPutBytes,
    multipart: { partBytes, maxParts: provider.maxParts },
  }
}

/** `notesKeys`: as for whoever puts objects that stay, see `key-notes.ts`. */
export function openS3Bucket(
  settings: S3Settings,
  log: Log,
  { notesKeys = true }: { notesKeys?: boolean } = {},
): S3Bucket {
  const provider = findS3Provider(settings.provider, settings.endpoint)
  const connection = connectS3(settings)
  const partBytes = settings.partBytes ?? DEFAULT_PART_BYTES
  const { publicEndpoint = null } = settings
  const signature = openSignature(settings.region)
  const addressOf = openKeyAddresses(connection.client, settings.bucket)
  const isPublicElsewhere = publicEndpoint !== null && publicEndpoint !== settings.endpoint
  const publicAddressOf = isPublicElsewhere
    ? // Asked for addresses only: it sends nothing.
      openKeyAddresses(connectS3(settings, publicEndpoint).client, settings.bucket)
    : addressOf
  const bareDirect = openDirectRequests(connection, { addressOf, signature })
  const ring = openKeyRing(connection, settings, { direct: bareDirect, notesKeys })
  encryptRequests(connection, ring)
  let seenAt = Number.NEGATIVE_INFINITY

  const bucket: S3Bucket = {
    settings,
    provider,
    connection,
    client: connection.client,
    direct: encryptDirect(bareDirect, ring),
    bareDirect,
    headersOfNew: ring.headersOfNew,
    signUrl: openSignUrl(connection, { addressOf, signature }),
    signPublicUrl: openSignUrl(connection, { addressOf: publicAddressOf, signature }),
    publicAddressOf,
    pool: openBufferPool(settings.bufferBytes ?? DEFAULT_BUFFER_BYTES),
    log,
    singlePutBytes: Math.min(settings.singlePutBytes ?? DEFAULT_SINGLE_PUT_BYTES, provider.maxPutBytes),
    partBytes,
    features: cautiousFeatures(provider, partBytes),
    fullKey: (key) => settings.prefix + key,

    async call(action, signal, run) {
      signal?.throwIfAborted()
      try {
        const result = await run(signal === undefined ? {} : { abortSignal: signal })
        seenAt = performance.now()
        return result
      } catch (error) {
        throw s3Error(error, { action, bucket: settings.bucket, signal })
      }
    },

    async assertPresent(signal) {
      if (performance.now() - seenAt < BUCKET_SEEN_MS) return
      const command = new HeadBucketCommand({ Bucket: settings.bucket })
      try {
        await bucket.call('HeadBucket', signal, (options) => bucket.client.send(command, options))
      } catch (error) {
        // Credentials for objects alone may not look at the bucket; it answered for itself, so it is there.
        if (isStorageError(error, 'denied')) return
        if (!isStorageError(error, 'not-found')) throw error
        const message = `bucket ${settings.bucket} does not exist: create it or correct its name in the configuration`
        throw new StorageError('unavailable', message, { cause: error })
      }
    },
  }
  return bucket
}

/** The largest body that goes in one request. */
export function wholePutBytes({ singlePutBytes, features }: S3Bucket): number {
  return Math.min(singlePutBytes, features.maxPutBytes)
}
