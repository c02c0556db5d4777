import { assertReadable, restoreHeader } from '../../objects/archive.ts'
import { checkReadConditions } from '../../objects/conditions.ts'
import { assertOpens } from '../../objects/encryption.ts'
import { checksumHeaders, responseHeaders } from '../../objects/object-headers.ts'
import { lockHeaders } from '../../objects/object-lock.ts'
import type { ObjectStore, ObjectVersion } from '../../objects/object-store.ts'
import { pickVersion, versionHeaders, versioningOf } from '../../objects/versions.ts'
import type { BucketCall, Reply } from '../../requests/call.ts'
import { parseRange, type Slice } from '../../wire/range.ts'
import { S3Error } from '../../wire/s3-error.ts'

/** The bytes of a version, across its blobs. */
export async function* readVersion(
  store: ObjectStore,
  version: ObjectVersion,
  slice: Slice,
): AsyncIterable<Buffer> {
  let offset = 0
  for (const blob of version.blobs) {
    const start = Math.max(slice.start - offset, 0)
    const end = Math.min(slice.end - offset, blob.size - 1)
    if (start <= end) yield* store.readBlob(blob, { start, end })
    offset += blob.size
    if (offset > slice.end) return
  }
}

/** With `partNumber`: where that part lies. */
function sliceOfPart(version: ObjectVersion, partNumber: string): Slice {
  const number = Number(partNumber)
  const blobs = version.blobs
  if (!Number.isInteger(number) || number < 1 || number > blobs.length) {
    throw new S3Error('InvalidRange', { message: 'The requested partnumber is not satisfiable' })
  }
  const start = blobs.slice(0, number - 1).reduce((sum, blob) => sum + blob.size, 0)
  return { start, end: start + blobs[number - 1]!.size - 1 }
}

/** `response-content-type` and its kin; they come signed, since nothing here is anonymous. */
function overrides(query: Map<string, string>): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name of [
    'content-type',
    'content-language',
    'expires',
    'cache-control',
    'content-disposition',
    'content-encoding',
  ]) {
    const value = query.get(`response-${name}`)
    if (value !== undefined) headers[name] = value
  }
  return headers
}

/** GetObject and HeadObject. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
export async function getObject(call: BucketCall): Promise<Reply> {
  const { store, query, headers, profile } = call
  const record = await store.readRecord(call.bucketName, call.key)
  const version = pickVersion(record?.versions ?? [], query.get('versionId'))
  assertOpens(call, version)
  checkReadConditions(headers, version)
  if (call.method !== 'HEAD') assertReadable(call, version)
  const partNumber = query.get('partNumber')
  const slice =
    partNumber !== undefined
      ? sliceOfPart(version, partNumber)
      : ifRangeHolds(headers, version) && !profile.ignoreRanges
        ? parseRange(headers.get('range'), version.size)
        : null
  const { start, end } = slice ?? { start: 0, end: version.size - 1 }
  const wantsChecksum =
    headers.get('x-amz-checksum-mode') === 'ENABLED' && slice === null && !profile.ignoreChecksums
  return {
    status: slice ? 206 : 200,
    headers: {
      ...responseHeaders(version),
      ...restoreHeader(call, version),
      ...lockHeaders(call, version),
      ...(slice ? { 'content-range': `bytes ${start}-${end}/${version.size}` } : {}),
      ...(wantsChecksum ? checksumHeaders(version) : {}),
      ...(partNumber !== undefined && version.upload
        ? { 'x-amz-mp-parts-count': String(version.blobs.length) }
        : {}),
      ...versionHeaders(version, versioningOf(call.bucket, profile)),
      ...overrides(query),
    },
    body: { length: end - start + 1, open: () => readVersion(store, version, { start, end }) },
  }
}

function ifRangeHolds(headers: Map<string, string>, version: ObjectVersion): boolean {
  const validator = headers.get('if-range')
  if (validator === undefined) return true
  return validator === `"${version.etag}"` || validator === new Date(version.createdAt).toUTCString()
}
