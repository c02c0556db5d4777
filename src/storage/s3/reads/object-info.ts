import type { Digest, DigestAlgorithm, Features, ObjectInfo, ObjectKey, Retention } from '../../backend.ts'

/** What the answers to HEAD, GET and PUT have in common, as far as it speaks for the bytes. */
export type S3Answer = {
  ETag?: string
  ServerSideEncryption?: string
  SSECustomerAlgorithm?: string
  ChecksumSHA256?: string
  ChecksumCRC64NVME?: string
  ChecksumCRC32?: string
  ChecksumType?: string
}

/** ETags are opaque; one form for all of them: no quotes, lower case (Alibaba writes upper). */
export function plainEtag(etag: string | undefined): string | undefined {
  const plain = etag?.replace(/^(W\/)?"|"$/g, '').toLowerCase()
  return plain === '' ? undefined : plain
}

/** Whether an ETag of this object can be an MD5 at all: with KMS or customer keys it never is. */
export function mayBeMd5({ ServerSideEncryption, SSECustomerAlgorithm }: S3Answer): boolean {
  return !ServerSideEncryption?.startsWith('aws:kms') && SSECustomerAlgorithm === undefined
}

/**
 * The digests of the whole object in an answer, of the algorithms that the probe saw the service compute
 * itself.
 */
export function attestedDigests(answer: S3Answer, features: Features): Digest[] {
  const found: Digest[] = []
  const etag = plainEtag(answer.ETag)
  if (
    features.attestedDigests.includes('md5') &&
    mayBeMd5(answer) &&
    etag !== undefined &&
    /^[0-9a-f]{32}$/.test(etag)
  ) {
    found.push({ algorithm: 'md5', value: etag })
  }
  if (answer.ChecksumType === 'COMPOSITE') return found
  const checksums: [DigestAlgorithm, string | undefined][] = [
    ['sha256', answer.ChecksumSHA256],
    ['crc64nvme', answer.ChecksumCRC64NVME],
    ['crc32', answer.ChecksumCRC32],
  ]
  for (const [algorithm, value] of checksums) {
    // A composite one ends in the number of its parts, for those services that name no type.
    if (value === undefined || value.includes('-') || !features.attestedDigests.includes(algorithm)) continue
    found.push({ algorithm, value: Buffer.from(value, 'base64').toString('hex') })
  }
  return found
}

/** True where a HEAD should ask for checksums: only services that keep them, since some refuse the header. */
export function wantsChecksums(features: Features): boolean {
  return features.attestedDigests.some((algorithm) => algorithm !== 'md5')
}

export function objectInfo(
  key: ObjectKey,
  answer: S3Answer &
    LockAnswer & { ContentLength: number; LastModified?: Date; StorageClass?: string; Restore?: string },
  features: Features,
): ObjectInfo {
  const etag = plainEtag(answer.ETag)
  const retention = retentionIn(answer)
  return {
    key,
    size: answer.ContentLength,
    modifiedAt: answer.LastModified ?? new Date(),
    attested: attestedDigests(answer, features),
    ...(etag !== undefined && { etag }),
    ...(answer.StorageClass !== undefined && { storageClass: answer.StorageClass }),
    ...(answer.Restore !== undefined && { restore: restoreOf(answer.Restore) }),
    ...(retention && { retention }),
    ...(answer.VersionId !== undefined && { versionId: answer.VersionId }),
  }
}

type LockAnswer = { VersionId?: string; RetainUntil?: string; LegalHold?: string }

/** Undefined where the answer says nothing of a lock: there is none, or we may not know. */
function retentionIn({ VersionId, RetainUntil, LegalHold }: LockAnswer): Retention | undefined {
  if (RetainUntil === undefined && LegalHold !== 'ON') return undefined
  const until = Date.parse(RetainUntil ?? '')
  return {
    until: Number.isNaN(until) ? null : new Date(until),
    isOnHold: LegalHold === 'ON',
    ...(VersionId !== undefined && { versionId: VersionId }),
  }
}

/** `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`. */
function restoreOf(header: string): { isOngoing: boolean; availableUntil?: Date } {
  const until = Date.parse(/expiry-date="([^"]+)"/.exec(header)?.[1] ?? '')
  return {
    isOngoing: header.includes('ongoing-request="true"'),
    ...(!Number.isNaN(until) && { availableUntil: new Date(until) }),
  }
}

/** The headers that say something about an object, under the names that the SDK gives them. */
export function answerOf(headers: Record<string, string>) {
  const length = headers['content-length']
  const modified = headers['last-modified']
  return {
    ContentLength: length === undefined ? undefined : Number(length),
    ContentRange: headers['content-range'],
    LastModified: modified === undefined ? undefined : new Date(modified),
    ETag: headers.etag,
    StorageClass: headers['x-amz-storage-class'],
    Restore: headers['x-amz-restore'],
    ServerSideEncryption: headers['x-amz-server-side-encryption'],
    SSECustomerAlgorithm: headers['x-amz-server-side-encryption-customer-algorithm'],
    ChecksumSHA256: headers['x-amz-checksum-sha256'],
    ChecksumCRC64NVME: headers['x-amz-checksum-crc64nvme'],
    ChecksumCRC32: headers['x-amz-checksum-crc32'],
    ChecksumType: headers['x-amz-checksum-type'],
    VersionId: headers['x-amz-version-id'],
    RetainUntil: headers['x-amz-object-lock-retain-until-date'],
    LegalHold: headers['x-amz-object-lock-legal-hold'],
  }
}
