/** From a request line to the S3 operation it names. */
import type { OperationName } from '../operation-names.ts'
import { S3Error } from '../wire/s3-error.ts'

/** What a request is about, before anything of it is believed. */
export type Target = {
  operation: OperationName
  bucketName: string
  key: string
  /** The decoded path as it was sent: what is signed. */
  path: string
  query: [string, string][]
}

const maxKeyBytes = 1024

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new S3Error('InvalidURI')
  }
}

function parseQuery(text: string): [string, string][] {
  return text
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=')
      const name = equals < 0 ? pair : pair.slice(0, equals)
      const value = equals < 0 ? '' : pair.slice(equals + 1)
      return [decode(name.replaceAll('+', ' ')), decode(value.replaceAll('+', ' '))]
    })
}

/** The bucket that a virtual host names (`bucket.localhost`), or null for path style. */
function bucketOfHost(host: string | undefined, ownHosts: string[]): string | null {
  const name = (host ?? '').replace(/:\d+$/, '').toLowerCase()
  for (const own of ownHosts) if (name.endsWith(`.${own}`)) return name.slice(0, -own.length - 1)
  return null
}

function bucketOperation(method: string, query: Map<string, string>): OperationName {
  const configuration: [string, OperationName, OperationName, OperationName][] = [
    ['cors', 'GetBucketCors', 'PutBucketCors', 'DeleteBucketCors'],
    [
      'lifecycle',
      'GetBucketLifecycleConfiguration',
      'PutBucketLifecycleConfiguration',
      'DeleteBucketLifecycle',
    ],
    ['versioning', 'GetBucketVersioning', 'PutBucketVersioning', 'Unsupported'],
    ['object-lock', 'GetObjectLockConfiguration', 'PutObjectLockConfiguration', 'Unsupported'],
    ['location', 'GetBucketLocation', 'Unsupported', 'Unsupported'],
  ]
  for (const [name, get, put, remove] of configuration) {
    if (!query.has(name)) continue
    return method === 'GET' ? get : method === 'PUT' ? put : method === 'DELETE' ? remove : 'Unsupported'
  }
  if (unsupportedSubresources.some((name) => query.has(name))) return 'Unsupported'
  if (method === 'POST') return query.has('delete') ? 'DeleteObjects' : 'Unsupported'
  if (method === 'HEAD') return 'HeadBucket'
  if (method === 'PUT') return 'CreateBucket'
  if (method === 'DELETE') return 'DeleteBucket'
  if (method !== 'GET') return 'Unsupported'
  if (query.has('uploads')) return 'ListMultipartUploads'
  if (query.has('versions')) return 'ListObjectVersions'
  return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects'
}

/** Known to S3, not played here: 501, or the "there is none" that a fresh bucket answers. */
export const unsupportedSubresources = [
  'accelerate',
  'acl',
  'analytics',
  'attributes',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'logging',
  'metrics',
  'notification',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'replication',
  'requestPayment',
  'restore',
  'select',
  'tagging',
  'torrent',
  'website',
]

const lockSubresources: [string, OperationName, OperationName][] = [
  ['retention', 'GetObjectRetention', 'PutObjectRetention'],
  ['legal-hold', 'GetObjectLegalHold', 'PutObjectLegalHold'],
]

function objectOperation(method: string, query: Map<string, string>, isCopy: boolean): OperationName {
  if (method === 'POST' && query.has('restore')) return 'RestoreObject'
  for (const [name, get, put] of lockSubresources) {
    if (!query.has(name)) continue
    return method === 'GET' ? get : method === 'PUT' ? put : 'Unsupported'
  }
  if (unsupportedSubresources.some((name) => query.has(name))) return 'Unsupported'
  if (query.has('uploadId')) {
    if (method === 'PUT') return isCopy ? 'UploadPartCopy' : 'UploadPart'
    if (method === 'GET') return 'ListParts'
    if (method === 'POST') return 'CompleteMultipartUpload'
    if (method === 'DELETE') return 'AbortMultipartUpload'
    return 'Unsupported'
  }
  if (method === 'POST') return query.has('uploads') ? 'CreateMultipartUpload' : 'Unsupported'
  if (method === 'PUT') return isCopy ? 'CopyObject' : 'PutObject'
  if (method === 'GET') return 'GetObject'
  if (method === 'HEAD') return 'HeadObject'
  return method === 'DELETE' ? 'DeleteObject' : 'Unsupported'
}

/**
 * `url` is the request target as it came: URL parsers would resolve `..` and empty segments, which are fine
 * in keys. Throws `InvalidURI` and `KeyTooLongError`.
 */
export function routeRequest(
  request: { method: string; url: string; host: string | undefined; isCopy: boolean },
  ownHosts: string[],
): Target {
  const url = request.url.replace(/^https?:\/\/[^/?]*/, '')
  const mark = url.indexOf('?')
  const rawPath = mark < 0 ? url : url.slice(0, mark)
  const pairs = parseQuery(mark < 0 ? '' : url.slice(mark + 1))
  const path = decode(rawPath) || '/'
  if (!path.startsWith('/')) throw new S3Error('InvalidURI')
  const hosted = bucketOfHost(request.host, ownHosts)
  const slash = path.indexOf('/', 1)
  const bucketName = hosted ?? path.slice(1, slash < 0 ? undefined : slash)
  const key = hosted !== null ? path.slice(1) : slash < 0 ? '' : path.slice(slash + 1)
  if (Buffer.byteLength(key) > maxKeyBytes) {
    throw new S3Error('KeyTooLongError', {
      details: { Size: String(Buffer.byteLength(key)), MaxSizeAllowed: String(maxKeyBytes) },
    })
  }
  const query = new Map(pairs)
  const operation = (): OperationName => {
    if (request.method === 'OPTIONS') return 'Preflight'
    if (bucketName === '') return request.method === 'GET' ? 'ListBuckets' : 'Unsupported'
    return key === ''
      ? bucketOperation(request.method, query)
      : objectOperation(request.method, query, request.isCopy)
  }
  return { operation: operation(), bucketName, key, path, query: pairs }
}
