/** What the errors of S3 services mean here, in one place. */
import { isStorageError, StorageError, type StorageErrorKind } from '../../backend.ts'
import { messageOf } from '../../bytes/read-body.ts'

/** `action` completes "… failed", such as `PutObject of users/…`; `bucket` is named in every message. */
export type S3Call = { action: string; bucket: string; signal?: AbortSignal | undefined }

/** `isOfOneObject`: the place is well, see `StorageError`. */
type Meaning = { kind: StorageErrorKind; remedy?: string; isOfOneObject?: boolean }

const CLOCK = 'the clocks of this machine and of the service differ by more than 15 minutes: set the time'
const REGION = 'the bucket is in another region: correct its region in the configuration'
const PERMISSION = 'give the credentials the permission $ on the bucket'
const KEYS = 'check its accessKeyId and secretAccessKey in the configuration'

/**
 * What a request needs to be allowed, by its first word. Without s3:ListBucket, AWS says 403 of a key that is
 * not there.
 */
const PERMISSIONS: Record<string, string> = {
  HeadBucket: 's3:ListBucket',
  ListObjectsV2: 's3:ListBucket',
  ListObjectVersions: 's3:ListBucketVersions',
  GetBucketVersioning: 's3:GetBucketVersioning',
  HeadObject: 's3:GetObject (and s3:ListBucket)',
  GetObject: 's3:GetObject',
  DeleteObject: 's3:DeleteObject',
  DeleteObjects: 's3:DeleteObject',
  AbortMultipartUpload: 's3:AbortMultipartUpload',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  ListParts: 's3:ListMultipartUploadParts',
  CopyObject: 's3:GetObject and s3:PutObject',
  RestoreObject: 's3:RestoreObject',
  PutObjectRetention: 's3:PutObjectRetention',
  GetObjectRetention: 's3:GetObjectRetention',
  GetObjectLegalHold: 's3:GetObjectLegalHold',
  GetObjectLockConfiguration: 's3:GetBucketObjectLockConfiguration',
}

/** By the service's error code, or the SDK's error name. */
const BY_CODE: Record<string, Meaning> = {
  NoSuchKey: { kind: 'not-found' },
  NotFound: { kind: 'not-found' },
  NoSuchUpload: { kind: 'not-found' },
  NoSuchVersion: { kind: 'not-found' },
  // Never not-found: what a missing bucket held is not known to be lost.
  NoSuchBucket: {
    kind: 'unavailable',
    remedy: 'the bucket does not exist: create it or correct its name in the configuration',
  },
  InvalidBucketName: { kind: 'denied', remedy: 'correct its name in the configuration' },
  PreconditionFailed: { kind: 'already-exists' },
  // Two conditional puts met; the other may still fail.
  ConditionalRequestConflict: { kind: 'unavailable', isOfOneObject: true },
  OperationAborted: { kind: 'unavailable', isOfOneObject: true },
  InvalidRange: { kind: 'corrupt', remedy: 'the object is shorter than was believed' },
  BadDigest: { kind: 'corrupt' },
  InvalidDigest: { kind: 'corrupt' },
  XAmzContentSHA256Mismatch: { kind: 'corrupt' },
  XAmzContentChecksumMismatch: { kind: 'corrupt' },
  EntityTooLarge: { kind: 'too-large', remedy: 'the service does not take objects of this size' },
  QuotaExceeded: { kind: 'too-large', remedy: 'the quota of the bucket or of its owner is used up' },
  InsufficientStorage: { kind: 'too-large', remedy: 'the service has no room left' },
  XMinioStorageFull: { kind: 'too-large', remedy: 'the service has no room left' },
  AccessDenied: { kind: 'denied', remedy: PERMISSION },
  AllAccessDisabled: { kind: 'denied', remedy: 'the bucket or the account is switched off' },
  AccountProblem: { kind: 'denied', remedy: 'ask the provider about the account' },
  InvalidAccessKeyId: { kind: 'denied', remedy: `the access key is not known: ${KEYS}` },
  SignatureDoesNotMatch: { kind: 'denied', remedy: `the signature is refused: ${KEYS}` },
  CredentialsProviderError: {
    kind: 'denied',
    remedy: `no credentials were found: set ${KEYS.slice(6)}, or give a role`,
  },
  RequestTimeTooSkewed: { kind: 'unavailable', remedy: CLOCK },
  ExpiredToken: { kind: 'unavailable', remedy: 'the credentials expired and are being fetched anew' },
  ExpiredTokenException: {
    kind: 'unavailable',
    remedy: 'the credentials expired and are being fetched anew',
  },
  PermanentRedirect: { kind: 'denied', remedy: REGION },
  AuthorizationHeaderMalformed: { kind: 'denied', remedy: REGION },
  IllegalLocationConstraintException: { kind: 'denied', remedy: REGION },
  InvalidObjectState: { kind: 'archived', remedy: 'the object is archived: restore it first' },
  InvalidStorageClass: {
    kind: 'denied',
    remedy: 'the service does not have this storage class: correct storage.classes',
  },
  NotImplemented: { kind: 'denied', remedy: 'the service does not know this request' },
  RequestTimeout: { kind: 'unavailable' },
  SlowDown: { kind: 'unavailable' },
}

/** Where the code says nothing: HEAD has no body, and gateways answer for the service. */
const BY_STATUS: Record<number, Meaning> = {
  301: { kind: 'denied', remedy: REGION },
  307: { kind: 'unavailable' },
  401: { kind: 'denied', remedy: KEYS },
  403: { kind: 'denied', remedy: PERMISSION },
  404: { kind: 'not-found' },
  408: { kind: 'unavailable' },
  409: { kind: 'unavailable', isOfOneObject: true },
  412: { kind: 'already-exists' },
  413: { kind: 'too-large', remedy: 'the service, or a proxy before it, does not take a body of this size' },
  416: { kind: 'corrupt', remedy: 'the object is shorter than was believed' },
  425: { kind: 'unavailable' },
  429: { kind: 'unavailable' },
  501: { kind: 'denied', remedy: 'the service does not know this request' },
  507: { kind: 'too-large', remedy: 'the service has no room left' },
}

/**
 * Any failure of a call as a `StorageError`; an aborted call gives the signal's reason, a mistake of ours
 * itself. No header and no URL goes into the message: they hold signatures.
 */
export function s3Error(error: unknown, { action, bucket, signal }: S3Call): unknown {
  if (signal?.aborted) return signal.reason
  if (isStorageError(error)) return error
  const code = errorCode(error)
  const status = errorStatus(error)
  const meaning = (code !== undefined && BY_CODE[code]) || (status !== undefined && byStatus(status))
  if (!meaning && error instanceof TypeError) return error
  const { kind, remedy, isOfOneObject = false }: Meaning = meaning || { kind: 'unavailable' }
  const text = messageOf(error) === 'UnknownError' ? undefined : messageOf(error)
  const said = [status, code, text].filter((part) => part !== undefined && part !== '').join(' ')
  const permission = PERMISSIONS[action.split(' ')[0] ?? ''] ?? 's3:PutObject'
  return new StorageError(kind, `${action} in bucket ${bucket} failed: ${said}`, {
    cause: error,
    isOfOneObject,
    remedy: remedy?.replace('$', permission),
    said,
  })
}

/** The service's code of an error, such as `NoSuchBucket`. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const named = 'Code' in error && typeof error.Code === 'string' ? error.Code : error.name
  return ['Error', 'Unknown', 'UnknownError'].includes(named) || /^\d+$/.test(named) ? undefined : named
}

/** The HTTP status of an error that came as an answer; undefined where none came. */
export function errorStatus(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('$metadata' in error)) return undefined
  const { httpStatusCode } = error.$metadata as { httpStatusCode?: number }
  return httpStatusCode
}

/**
 * Whether a refusal may mean that another key, or none, opens the object (SSE-C). Services differ in their
 * words: 403 AccessDenied (AWS), 400 InvalidArgument (Ceph), and a HEAD gives no code at all.
 */
export function mayBeOfTheKey(error: unknown): boolean {
  const status = errorStatus(error)
  if (status !== 400 && status !== 403) return false
  const code = errorCode(error)
  return code === undefined || code === 'AccessDenied' || BY_CODE[code] === undefined
}

function byStatus(status: number): Meaning | undefined {
  const known = BY_STATUS[status]
  if (known !== undefined) return known
  if (status >= 500) return { kind: 'unavailable' }
  if (status >= 400) return { kind: 'denied', remedy: 'the service refuses the request' }
  return undefined
}
