import { keyEncoder, listPage, pageSize, readToken, unsorted, writeToken } from '../../objects/list.ts'
import type { KeyRecord, ListPosition, ObjectVersion } from '../../objects/object-store.ts'
import { type BucketCall, type Reply, xmlReply } from '../../requests/call.ts'
import { checksumAlgorithms } from '../../wire/checksums.ts'
import { writeXml, type XmlElements } from '../../wire/xml.ts'

type Listed = { key: string; version: ObjectVersion }

const newestOf = (record: KeyRecord): Listed[] => {
  const version = record.versions[0]
  return version && !version.deleteMarker ? [{ key: record.key, version }] : []
}

/** Listings show whole seconds, as the Last-Modified of HEAD does. */
export const listedTime = (iso: string): string => `${iso.slice(0, 19)}.000Z`

export const owner: XmlElements = { ID: 'glassine', DisplayName: 'glassine' }

function contents(listed: Listed[], encode: (text: string) => string, showOwner: boolean): XmlElements[] {
  return listed.map(({ key, version }) => {
    const algorithms = checksumAlgorithms.filter((algorithm) => version.checksums[algorithm] !== undefined)
    return {
      Key: encode(key),
      LastModified: listedTime(version.createdAt),
      ETag: `"${version.etag}"`,
      ChecksumAlgorithm: algorithms,
      ChecksumType: algorithms.length > 0 ? version.checksumType : undefined,
      Size: version.size,
      StorageClass: version.storageClass,
      Owner: showOwner ? owner : undefined,
    }
  })
}

/** What is left of a page by a fault. */
function asFaulty<Page extends { entries: Listed[]; isTruncated: boolean }>(
  { shortListing }: BucketCall,
  page: Page,
): Page {
  if (!shortListing) return page
  const entries = page.entries.slice(0, shortListing.keep)
  return { ...page, entries: shortListing.isReversed ? entries.reverse() : entries, isTruncated: false }
}

/** ListObjectsV2. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
export async function listObjectsV2(call: BucketCall): Promise<Reply> {
  const { query, profile } = call
  const encode = keyEncoder(query)
  const maxKeys = pageSize(call.query, 'max-keys', call.profile)
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const token = query.get('continuation-token')
  const startAfter = query.get('start-after')
  const from: ListPosition =
    token !== undefined ? readToken(token) : startAfter ? { afterKey: startAfter } : null
  const page = asFaulty(
    call,
    await listPage(call.store, call.bucketName, { prefix, delimiter, from, maxKeys }, newestOf),
  )
  const entries = profile.unsortedLists ? unsorted(page.entries) : page.entries
  return xmlReply(
    writeXml('ListBucketResult', {
      Name: call.bucketName,
      Prefix: encode(prefix),
      StartAfter: startAfter === undefined ? undefined : encode(startAfter),
      ContinuationToken: token,
      NextContinuationToken: page.isTruncated ? writeToken(page.next) : undefined,
      KeyCount: page.entries.length + page.commonPrefixes.length,
      MaxKeys: maxKeys,
      Delimiter: delimiter === '' ? undefined : encode(delimiter),
      EncodingType: query.get('encoding-type'),
      IsTruncated: page.isTruncated,
      Contents: contents(entries, encode, query.get('fetch-owner') === 'true'),
      CommonPrefixes: page.commonPrefixes.map((common) => ({ Prefix: encode(common) })),
    }),
  )
}

/** ListObjects, version 1. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html */
export async function listObjects(call: BucketCall): Promise<Reply> {
  const { query, profile } = call
  const encode = keyEncoder(query)
  const maxKeys = pageSize(call.query, 'max-keys', call.profile)
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const marker = query.get('marker') ?? ''
  const from: ListPosition = marker === '' ? null : { afterKey: marker }
  const page = asFaulty(
    call,
    await listPage(call.store, call.bucketName, { prefix, delimiter, from, maxKeys }, newestOf),
  )
  const entries = profile.unsortedLists ? unsorted(page.entries) : page.entries
  const next = page.next && ('afterKey' in page.next ? page.next.afterKey : page.next.afterPrefix)
  return xmlReply(
    writeXml('ListBucketResult', {
      Name: call.bucketName,
      Prefix: encode(prefix),
      Marker: encode(marker),
      // As in AWS: only with a delimiter; without one the client goes on from the last key.
      NextMarker: page.isTruncated && next && delimiter !== '' ? encode(next) : undefined,
      MaxKeys: maxKeys,
      Delimiter: delimiter === '' ? undefined : encode(delimiter),
      EncodingType: query.get('encoding-type'),
      IsTruncated: page.isTruncated,
      Contents: contents(entries, encode, true),
      CommonPrefixes: page.commonPrefixes.map((common) => ({ Prefix: encode(common) })),
    }),
  )
}
