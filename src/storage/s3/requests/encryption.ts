/**
 * Server-side encryption as a bucket's settings ask for it, and the headers that say so. Which request gets
 * which of them is decided in `key-ring.ts` alone.
 */
import { createHash } from 'node:crypto'

/**
 * `previousKeys`: of objects that were put earlier (SSE-C); they are read with them, and nothing is put with
 * them. Keys are 32 bytes.
 */
export type S3Encryption = { previousKeys: readonly Buffer[] } & (
  | { type: 'sse-s3' }
  | {
      type: 'sse-kms'
      /** Id, ARN or alias; null: the key that the account has for S3. */
      keyId: string | null
      /** One key of the bucket for many objects: fewer requests to the key service. */
      bucketKey: boolean
      /** What the key service notes and compares (encryption context). */
      context: Readonly<Record<string, string>> | null
    }
  | { type: 'sse-c'; key: Buffer }
)

/**
 * A key that the client sends with each request, as S3 wants it. `fingerprint` tells keys apart, and is no
 * secret.
 */
export type CustomerKey = { fingerprint: string; base64: string; md5: string }

export const CUSTOMER_KEY_BYTES = 32
const SSE = 'x-amz-server-side-encryption'
const CUSTOMER_FIELDS = 'server-side-encryption-customer'
/** 64 bits tell all keys of an installation apart, and say nothing of 256 random ones. */
const FINGERPRINT_CHARACTERS = 16

export function customerKeyOf(key: Buffer): CustomerKey {
  return {
    fingerprint: createHash('sha256')
      .update('glassine sse-c\0')
      .update(key)
      .digest('hex')
      .slice(0, FINGERPRINT_CHARACTERS),
    base64: key.toString('base64'),
    md5: createHash('md5').update(key).digest('base64'),
  }
}

/** Headers that name the key; none for null. `source`: they are about the source of a copy. */
export function customerKeyHeaders(
  key: CustomerKey | null,
  { ofSource = false }: { ofSource?: boolean } = {},
): Record<string, string> {
  if (key === null) return {}
  const prefix = `x-amz-${ofSource ? 'copy-source-' : ''}${CUSTOMER_FIELDS}`
  return {
    [`${prefix}-algorithm`]: 'AES256',
    [`${prefix}-key`]: key.base64,
    [`${prefix}-key-md5`]: key.md5,
  }
}

/**
 * Of what makes an object: a put, a copy, the begin of an upload in parts. Without customers' keys: URLs that
 * others use are signed with these.
 */
export function encryptionHeaders(encryption: S3Encryption | null | undefined): Record<string, string> {
  if (encryption?.type === 'sse-s3') return { [SSE]: 'AES256' }
  if (encryption?.type !== 'sse-kms') return {}
  const { keyId, bucketKey, context } = encryption
  return {
    [SSE]: 'aws:kms',
    ...(keyId !== null && { [`${SSE}-aws-kms-key-id`]: keyId }),
    ...(bucketKey && { [`${SSE}-bucket-key-enabled`]: 'true' }),
    ...(context !== null && { [`${SSE}-context`]: Buffer.from(JSON.stringify(context)).toString('base64') }),
  }
}

/**
 * Names what is asked for, without secrets: a probe holds for this text, and another one needs another probe.
 * Null: nothing is asked for.
 */
export function describeEncryption(encryption: S3Encryption | null | undefined): string | null {
  if (encryption == null) return null
  switch (encryption.type) {
    case 'sse-s3':
      return 'sse-s3'
    case 'sse-kms': {
      const { keyId, bucketKey, context } = encryption
      const noted = context === null ? '' : ` context ${JSON.stringify(context)}`
      return `sse-kms ${keyId ?? 'default key'}${bucketKey ? ' bucket key' : ''}${noted}`
    }
    case 'sse-c':
      return `sse-c ${customerKeyOf(encryption.key).fingerprint}`
  }
}
