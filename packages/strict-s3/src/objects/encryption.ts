/**
 * Server-side encryption: what a request asks for, what is remembered of it, and who may read then. Bytes are
 * kept as they came; only what AWS answers is played. Where AWS refuses, it is refused here.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
 */
import { createHash } from 'node:crypto'
import type { StrictProfile } from '../profiles.ts'
import { S3Error } from '../wire/s3-error.ts'

/** `none`: the server ignores what was asked for. A customer's key is known by its MD5 alone (base64). */
export type Encryption =
  | { algorithm: 'none' }
  | { algorithm: 'AES256' }
  | { algorithm: 'aws:kms'; keyId: string; context?: string; hasBucketKey: boolean }
  | { algorithm: 'customer'; keyMd5: string }

type Headers = Map<string, string>
type Asking = { headers: Headers; profile: StrictProfile }

const SSE = 'x-amz-server-side-encryption'
const CUSTOMER_FIELDS = ['algorithm', 'key', 'key-md5'] as const
/** What AWS uses where KMS is asked for and no key is named. */
const DEFAULT_KMS_KEY = 'arn:aws:kms:us-east-1:111122223333:key/aws-s3'

/** What a put, a copy or the begin of an upload asks for; nothing: AES256, as AWS does since 2023. */
export function encryptionFromRequest({ headers, profile }: Asking): Encryption {
  if (profile.ignoresEncryption) return { algorithm: 'none' }
  const keyMd5 = profile.ignoresCustomerKeys ? null : customerKeyMd5(headers)
  const asked = headers.get(SSE)
  const keyId = headers.get(`${SSE}-aws-kms-key-id`)
  const context = headers.get(`${SSE}-context`)
  if (keyMd5 !== null) {
    if (asked !== undefined)
      throw invalid(
        'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
      )
    return { algorithm: 'customer', keyMd5 }
  }
  if (asked !== 'aws:kms' && (keyId !== undefined || context !== undefined))
    throw invalid(`Server Side Encryption with AWS KMS managed key requires HTTP header ${SSE} : aws:kms`)
  if (asked === undefined || asked === 'AES256') return { algorithm: 'AES256' }
  if (asked !== 'aws:kms') throw new S3Error('InvalidEncryptionAlgorithmError')
  if (context !== undefined && !isContext(context))
    throw invalid(
      `The header '${SSE}-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map`,
    )
  return {
    algorithm: 'aws:kms',
    keyId: keyId ?? DEFAULT_KMS_KEY,
    ...(context !== undefined && { context }),
    hasBucketKey: headers.get(`${SSE}-bucket-key-enabled`)?.toLowerCase() === 'true',
  }
}

/** Of an ETag that says nothing of the bytes: with KMS and with customers' keys. */
export function isOpaque(encryption: Encryption | undefined): boolean {
  return encryption?.algorithm === 'aws:kms' || encryption?.algorithm === 'customer'
}

/** What PUT, HEAD and GET say. A version of before there was encryption counts as AES256. */
export function encryptionHeaders(encryption: Encryption = { algorithm: 'AES256' }): Record<string, string> {
  switch (encryption.algorithm) {
    case 'none':
      return {}
    case 'AES256':
      return { [SSE]: 'AES256' }
    case 'aws:kms':
      return {
        [SSE]: 'aws:kms',
        [`${SSE}-aws-kms-key-id`]: encryption.keyId,
        ...(encryption.hasBucketKey && { [`${SSE}-bucket-key-enabled`]: 'true' }),
      }
    case 'customer':
      return { [`${SSE}-customer-algorithm`]: 'AES256', [`${SSE}-customer-key-md5`]: encryption.keyMd5 }
  }
}

/**
 * Who reads an object names its key if a customer's was given, and none otherwise. `prefix`:
 * `x-amz-copy-source-` where the headers are about the source of a copy.
 */
export function assertOpens(
  { headers, profile }: Asking,
  { encryption }: { encryption?: Encryption },
  prefix = 'x-amz-',
): void {
  if (profile.ignoresEncryption || profile.ignoresCustomerKeys) return
  if (prefix === 'x-amz-') assertNoEncryption(headers)
  const given = customerKeyMd5(headers, prefix)
  if (encryption?.algorithm !== 'customer') {
    if (given === null || profile.readsPlainWithKey) return
    throw new S3Error('InvalidRequest', {
      message: 'The encryption parameters are not applicable to this object.',
    })
  }
  if (given === null)
    throw new S3Error('InvalidRequest', {
      message:
        'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
    })
  if (given !== encryption.keyMd5 && !profile.opensWithAnyKey) throw new S3Error('AccessDenied')
}

/**
 * Each part of an upload names the key that the upload was begun with. `mayOmit`: its completion and its list
 * of parts need not.
 */
export function assertKeyOfUpload(
  { headers, profile }: Asking,
  { encryption }: { encryption?: Encryption },
  { mayOmit = false }: { mayOmit?: boolean } = {},
): void {
  if (profile.ignoresEncryption || profile.ignoresCustomerKeys) return
  assertNoEncryption(headers)
  const given = customerKeyMd5(headers)
  const wanted = encryption?.algorithm === 'customer' ? encryption.keyMd5 : null
  if (given === wanted || (given === null && mayOmit)) return
  const message =
    wanted === null
      ? 'The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters.'
      : given === null
        ? 'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.'
        : 'The provided encryption parameters did not match the ones used originally.'
  throw new S3Error('InvalidRequest', { message })
}

/** Only what makes an object says how to encrypt it. */
function assertNoEncryption(headers: Headers): void {
  for (const name of [SSE, `${SSE}-aws-kms-key-id`, `${SSE}-context`])
    if (headers.has(name)) throw invalid(`${name} header is not supported for this operation.`)
}

/** The MD5 of the customer's key in a request; null: it names none. Half a key is refused. */
function customerKeyMd5(headers: Headers, prefix = 'x-amz-'): string | null {
  const [algorithm, key, md5] = CUSTOMER_FIELDS.map((field) =>
    headers.get(`${prefix}server-side-encryption-customer-${field}`),
  )
  if (algorithm === undefined && key === undefined && md5 === undefined) return null
  if (algorithm === undefined)
    throw invalid(
      'Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.',
    )
  if (algorithm !== 'AES256') throw new S3Error('InvalidEncryptionAlgorithmError')
  if (key === undefined)
    throw invalid(
      'Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.',
    )
  const bytes = Buffer.from(key, 'base64')
  if (bytes.length !== 32 || bytes.toString('base64') !== key)
    throw invalid('The secret key was invalid for the specified algorithm.')
  if (md5 === undefined)
    throw invalid(
      'Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key.',
    )
  if (createHash('md5').update(bytes).digest('base64') !== md5)
    throw invalid('The calculated MD5 hash of the key did not match the hash that was provided.')
  return md5
}

function isContext(text: string): boolean {
  try {
    const map: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'))
    return (
      map !== null &&
      typeof map === 'object' &&
      !Array.isArray(map) &&
      Object.values(map).every((value) => typeof value === 'string')
    )
  } catch {
    return false
  }
}

function invalid(message: string): S3Error {
  return new S3Error('InvalidArgument', { message })
}
