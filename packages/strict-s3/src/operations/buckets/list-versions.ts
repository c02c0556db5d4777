import { keyEncoder, listPage, pageSize } from '../../objects/list.ts'
import type { ListPosition, ObjectVersion } from '../../objects/object-store.ts'
import { type BucketCall, type Reply, xmlReply } from '../../requests/call.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml, type XmlElements } from '../../wire/xml.ts'
import { listedTime, owner } from './list-objects.ts'

type Listed = { key: string; version: ObjectVersion; isLatest: boolean }

/**
 * Every version and delete marker. Pages end between keys, never inside one, so that `NextVersionIdMarker` is
 * not needed; a `version-id-marker` is therefore refused rather than misread.
 */
export async function listObjectVersions(call: BucketCall): Promise<Reply> {
  const { query } = call
  const encode = keyEncoder(query)
  const maxKeys = pageSize(call.query, 'max-keys', call.profile)
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const marker = query.get('key-marker') ?? ''
  if (query.get('version-id-marker')) {
    throw new S3Error('NotImplemented', { details: { Parameter: 'version-id-marker' } })
  }
  const from: ListPosition = marker === '' ? null : { afterKey: marker }
  const page = await listPage(
    call.store,
    call.bucketName,
    { prefix, delimiter, from, maxKeys },
    (record): Listed[] =>
      record.versions.map((version, at) => ({ key: record.key, version, isLatest: at === 0 })),
  )
  const next = page.next && ('afterKey' in page.next ? page.next.afterKey : page.next.afterPrefix)
  const common = ({ key, version, isLatest }: Listed): XmlElements => ({
    Key: encode(key),
    VersionId: version.versionId,
    IsLatest: isLatest,
    LastModified: listedTime(version.createdAt),
  })
  return xmlReply(
    writeXml('ListVersionsResult', {
      Name: call.bucketName,
      Prefix: encode(prefix),
      KeyMarker: encode(marker),
      NextKeyMarker: page.isTruncated && next ? encode(next) : undefined,
      MaxKeys: maxKeys,
      Delimiter: delimiter === '' ? undefined : encode(delimiter),
      EncodingType: query.get('encoding-type'),
      IsTruncated: page.isTruncated,
      Version: page.entries
        .filter(({ version }) => !version.deleteMarker)
        .map((listed) => ({
          ...common(listed),
          ETag: `"${listed.version.etag}"`,
          Size: listed.version.size,
          StorageClass: listed.version.storageClass,
          Owner: owner,
        })),
      DeleteMarker: page.entries
        .filter(({ version }) => version.deleteMarker)
        .map((listed) => ({ ...common(listed), Owner: owner })),
      CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: encode(prefix) })),
    }),
  )
}
