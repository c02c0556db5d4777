import { createHash, randomBytes } from 'node:crypto'
import { assertReadable } from '../../objects/archive.ts'
import { checkReadConditions, checkWriteConditions } from '../../objects/conditions.ts'
import { assertOpens, encryptionFromRequest, encryptionHeaders, isOpaque } from '../../objects/encryption.ts'
import { keptFromRequest } from '../../objects/object-headers.ts'
import { lockFromRequest } from '../../objects/object-lock.ts'
import type { BlobRef, ObjectVersion } from '../../objects/object-store.ts'
import {
  newVersionId,
  pickVersion,
  versionHeaders,
  versioningOf,
  withNewVersion,
} from '../../objects/versions.ts'
import { type BucketCall, type Call, type Reply, xmlReply } from '../../requests/call.ts'
import { checksumElement } from '../../wire/checksums.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml } from '../../wire/xml.ts'
import { readVersion } from './get-object.ts'

export type CopySource = { bucketName: string; key: string; version: ObjectVersion }

/**
 * Finds what `x-amz-copy-source` names (`bucket/key?versionId=…`, percent-encoded) and checks its conditions.
 */
export async function findCopySource(call: Call): Promise<CopySource> {
  const header = (call.headers.get('x-amz-copy-source') ?? '').replace(/^\//, '')
  const [encoded = '', versionId] = header.split('?versionId=')
  let path: string
  try {
    path = decodeURIComponent(encoded)
  } catch {
    throw new S3Error('InvalidArgument', { details: { ArgumentName: 'x-amz-copy-source' } })
  }
  const slash = path.indexOf('/')
  if (slash <= 0 || slash === path.length - 1) {
    throw new S3Error('InvalidArgument', {
      message: 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
      details: { ArgumentName: 'x-amz-copy-source', ArgumentValue: header },
    })
  }
  const bucketName = path.slice(0, slash)
  const key = path.slice(slash + 1)
  if (!(await call.store.readBucket(bucketName))) throw new S3Error('NoSuchBucket')
  const version = pickVersion((await call.store.readRecord(bucketName, key))?.versions ?? [], versionId)
  assertOpens(call, version, 'x-amz-copy-source-')
  checkReadConditions(call.headers, version, 'x-amz-copy-source-')
  assertReadable(call, version)
  return { bucketName, key, version }
}

const maxCopyBytes = 5 * 1024 ** 3

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html */
export async function copyObject(call: BucketCall): Promise<Reply> {
  if (call.profile.copyFails) throw new S3Error('InternalError')
  const { store, headers } = call
  const source = await findCopySource(call)
  if (source.version.size > maxCopyBytes) {
    throw new S3Error('InvalidRequest', {
      message: `The specified copy source is larger than the maximum allowable size for a copy source: ${maxCopyBytes}`,
    })
  }
  const replaces = headers.get('x-amz-metadata-directive') === 'REPLACE'
  const asked = keptFromRequest(headers)
  const locked = lockFromRequest(call)
  const encryption = encryptionFromRequest(call)
  const asksForEncryption = [...headers.keys()].some((name) =>
    name.startsWith('x-amz-server-side-encryption'),
  )
  const isSelf = source.bucketName === call.bucketName && source.key === call.key
  if (isSelf && !replaces && !headers.has('x-amz-storage-class') && !asksForEncryption) {
    throw new S3Error('InvalidRequest', {
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    })
  }
  const versioning = versioningOf(call.bucket, call.profile)
  const blobs: BlobRef[] = []
  try {
    for (const blob of source.version.blobs) blobs.push(await store.copyBlob(blob))
    if (call.profile.copyDamages && source.version.size > 0) await store.damageBlob(blobs[0]!, { flipAt: 0 })
    const copy: ObjectVersion = {
      ...source.version,
      versionId: newVersionId(versioning),
      createdAt: call.now.toISOString(),
      blobs,
      headers: replaces ? asked.headers : source.version.headers,
      metadata: replaces ? asked.metadata : source.version.metadata,
      storageClass: call.profile.copyKeepsClass ? source.version.storageClass : asked.storageClass,
    }
    delete copy.upload
    delete copy.restore
    // The lock of the source stays with it.
    delete copy.retention
    delete copy.legalHold
    Object.assign(copy, locked, { encryption })
    copy.etag = await etagOfCopy(call, source.version, copy)
    if (copy.checksumType === 'COMPOSITE' || call.profile.copyDamages) copy.checksums = {}
    await store.updateRecord(call.bucketName, call.key, (versions) => {
      checkWriteConditions(headers, versions[0], call.profile, 'put')
      return withNewVersion(versions, copy)
    })
    const checksums = Object.entries(copy.checksums).map(([algorithm, value]) => [
      checksumElement(algorithm as keyof typeof copy.checksums),
      value,
    ])
    return xmlReply(
      writeXml('CopyObjectResult', {
        LastModified: copy.createdAt,
        ETag: `"${copy.etag}"`,
        ...Object.fromEntries(checksums),
      }),
      {
        ...versionHeaders(copy, versioning),
        ...encryptionHeaders(encryption),
        ...(source.version.versionId !== 'null'
          ? { 'x-amz-copy-source-version-id': source.version.versionId }
          : {}),
      },
    )
  } catch (error) {
    for (const blob of blobs) await store.discardBlob(call.bucketName, call.key, blob)
    throw error
  }
}

/**
 * A copy is one object in one piece, so its ETag is the MD5 of the whole, also where its source came in
 * parts.
 */
async function etagOfCopy(call: BucketCall, source: ObjectVersion, copy: ObjectVersion): Promise<string> {
  if (call.profile.opaqueEtags || isOpaque(copy.encryption)) return randomBytes(16).toString('hex')
  const namesBytes = source.upload === undefined && !isOpaque(source.encryption)
  if (namesBytes && !call.profile.copyDamages) return source.etag
  const md5 = createHash('md5')
  for await (const chunk of readVersion(call.store, copy, { start: 0, end: copy.size - 1 })) md5.update(chunk)
  return md5.digest('hex')
}
