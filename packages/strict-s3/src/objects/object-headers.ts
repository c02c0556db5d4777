/** From request headers to what is kept with an object, and back to response headers. */
import { checksumAlgorithms, checksumHeader } from '../wire/checksums.ts'
import { S3Error } from '../wire/s3-error.ts'
import { encryptionHeaders } from './encryption.ts'
import type { ObjectVersion } from './object-store.ts'

const keptHeaders = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
]
const maxMetadataBytes = 2048
const storageClasses = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
]

export type KeptHeaders = Pick<ObjectVersion, 'headers' | 'metadata' | 'storageClass'>

/** Refuses what is not played rather than ignoring it: ACLs, tags. */
export function keptFromRequest(headers: Map<string, string>): KeptHeaders {
  const acl = headers.get('x-amz-acl')
  if (acl !== undefined && acl !== 'bucket-owner-full-control')
    throw new S3Error('AccessControlListNotSupported')
  for (const name of headers.keys()) {
    if (/^x-amz-(grant-|tagging$|website-redirect)/.test(name)) {
      throw new S3Error('NotImplemented', { details: { Header: name } })
    }
  }
  const kept: Record<string, string> = {}
  for (const name of keptHeaders) {
    const value = headers.get(name)
    if (value !== undefined) kept[name] = value
  }
  if (kept['content-encoding'] !== undefined) {
    const encodings = kept['content-encoding'].split(',').map((encoding) => encoding.trim())
    const real = encodings.filter((encoding) => encoding !== 'aws-chunked' && encoding !== '')
    if (real.length > 0) kept['content-encoding'] = real.join(',')
    else delete kept['content-encoding']
  }
  const metadata: Record<string, string> = {}
  let metadataBytes = 0
  for (const [name, value] of headers) {
    if (!name.startsWith('x-amz-meta-')) continue
    metadata[name.slice('x-amz-meta-'.length)] = value
    metadataBytes += name.length - 'x-amz-meta-'.length + value.length
  }
  if (metadataBytes > maxMetadataBytes) {
    throw new S3Error('MetadataTooLarge', {
      details: { Size: String(metadataBytes), MaxSizeAllowed: String(maxMetadataBytes) },
    })
  }
  const storageClass = headers.get('x-amz-storage-class') ?? 'STANDARD'
  if (!storageClasses.includes(storageClass)) throw new S3Error('InvalidStorageClass')
  return { headers: kept, metadata, storageClass }
}

/** Headers of HEAD and GET, without lengths and ranges. */
export function responseHeaders(version: ObjectVersion): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'binary/octet-stream',
    ...version.headers,
    etag: `"${version.etag}"`,
    'last-modified': new Date(version.createdAt).toUTCString(),
    'accept-ranges': 'bytes',
    ...encryptionHeaders(version.encryption),
  }
  if (version.storageClass !== 'STANDARD') headers['x-amz-storage-class'] = version.storageClass
  for (const [name, value] of Object.entries(version.metadata)) headers[`x-amz-meta-${name}`] = value
  return headers
}

/** `x-amz-checksum-*` as kept; empty where none is. */
export function checksumHeaders(
  version: Pick<ObjectVersion, 'checksums' | 'checksumType'>,
): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const algorithm of checksumAlgorithms) {
    const value = version.checksums[algorithm]
    if (value === undefined) continue
    headers[checksumHeader(algorithm)] = value
    headers['x-amz-checksum-type'] = version.checksumType
  }
  return headers
}
