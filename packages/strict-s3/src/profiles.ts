/**
 * How stores differ, as data. A test gives `profile: { ...profiles.r2, denied: ['DeleteObject'] }`; the
 * running server's `profile` may be changed at any time and counts from the next request on.
 */
export type StrictProfile = {
  /** Accept any region in the credential scope (Ceph, R2's `auto`). */
  anyRegion: boolean
  /** ETags of single puts are random rather than the MD5 (SSE-KMS, Fastly). */
  opaqueEtags: boolean
  /** ETags of multipart objects: `md5(md5s of parts)-count`, or random (R2, B2). */
  multipartEtags: 'md5-of-parts' | 'random'
  /** CompleteMultipartUpload answers with an empty ETag (Ceph 16). */
  emptyCompleteEtag: boolean
  /** All parts but the last must be of one size (R2). */
  equalParts: boolean
  minPartBytes: number
  maxParts: number
  /** Largest object of a single put. */
  maxPutBytes: number
  /** `If-None-Match: *` and `If-Match` on PutObject are read over: it overwrites (Garage, Oracle). */
  ignoreConditionalPut: boolean
  /** The same on CompleteMultipartUpload (Ceph 16). */
  ignoreConditionalComplete: boolean
  /** Conditional puts are answered with 501 (Swift, some B2). */
  refuseConditionalPut: boolean
  /**
   * Streamed puts with a trailing checksum are answered with this status (411 Ceph 16, 501 Swift and early
   * R2).
   */
  refuseTrailers: false | 411 | 501
  /** `x-amz-checksum-*` is neither checked nor kept (Ceph 16, Swift). */
  ignoreChecksums: boolean
  /** A CRC64NVME is computed where the client declared no checksum, and reported (AWS since 2024-12). */
  computesCrc64nvme: boolean
  /** The most that one page of a listing holds. */
  maxPageKeys: number
  /** Listings come in no order within a page (R2, some gateways). */
  unsortedLists: boolean
  /** DeleteObjects is answered with 501 (GCS in its S3 dress). */
  noDeleteObjects: boolean
  /** Every bucket is versioned and cannot be otherwise: DELETE without versionId hides (B2). */
  hiddenVersions: boolean
  /** CopyObject answers 500 (Hetzner: "depends on internal factors and may fail"). */
  copyFails: boolean
  /** A presigned URL with an Authorization header besides: the header is read over (MinIO, Swift). */
  acceptDoubleAuthentication: boolean
  /** Presigned URLs are good for ever. */
  ignoreExpiry: boolean
  /** Neither Content-MD5 nor `x-amz-content-sha256` is compared with the bytes. */
  ignoreDigests: boolean
  /** Of a put whose connection is lost, what had come is kept. */
  keepCutPuts: boolean
  /** AbortMultipartUpload says yes and keeps the parts. */
  keepAbortedParts: boolean
  /** A GET with Range gives the whole object. */
  ignoreRanges: boolean
  /**
   * Copies hold one byte that the source does not; their ETag is of what they hold, unless ETags are opaque.
   */
  copyDamages: boolean
  /** A copy is acknowledged and keeps the class of its source. */
  copyKeepsClass: boolean
  /** There are no archives: RestoreObject is answered with 501 (Hetzner, Garage). */
  noRestores: boolean
  /** RestoreObject is acknowledged whatever the object's class is. */
  restoresAnything: boolean
  /**
   * How far the clock of archives is ahead of the server's, in milliseconds: restores end and expire sooner.
   */
  archiveClockAheadMs: number
  /** Headers of server-side encryption are read over, and answers name none. */
  ignoresEncryption: boolean
  /** Those of customers' keys (SSE-C) alone are read over (Swift). */
  ignoresCustomerKeys: boolean
  /** An object without a customer's key is read with one as well (Ceph). */
  readsPlainWithKey: boolean
  /** Whatever key is given, an object that was put with a customer's is read. */
  opensWithAnyKey: boolean
  /** Operations (`DeleteObject`) or IAM actions (`s3:ListBucket`) that are answered with AccessDenied. */
  denied: string[]
  /** Buckets that live in another region: 301 PermanentRedirect. */
  bucketRegions: Record<string, string>
  /**
   * Puts of 512 bytes and more are acknowledged with the right ETag, and one byte of what is kept is another.
   */
  bucketSilentlyDamages: boolean
}

const mebibyte = 1024 * 1024

/** What AWS does, without the checksum that nobody asked for (it would cost CPU on every put). */
export const strictDefaults: StrictProfile = {
  anyRegion: false,
  opaqueEtags: false,
  multipartEtags: 'md5-of-parts',
  emptyCompleteEtag: false,
  equalParts: false,
  minPartBytes: 5 * mebibyte,
  maxParts: 10_000,
  maxPutBytes: 5 * 1024 * mebibyte,
  ignoreConditionalPut: false,
  ignoreConditionalComplete: false,
  refuseConditionalPut: false,
  refuseTrailers: false,
  ignoreChecksums: false,
  computesCrc64nvme: false,
  maxPageKeys: 1000,
  unsortedLists: false,
  noDeleteObjects: false,
  hiddenVersions: false,
  copyFails: false,
  acceptDoubleAuthentication: false,
  ignoreExpiry: false,
  ignoreDigests: false,
  keepCutPuts: false,
  keepAbortedParts: false,
  ignoreRanges: false,
  copyDamages: false,
  copyKeepsClass: false,
  noRestores: false,
  restoresAnything: false,
  archiveClockAheadMs: 0,
  ignoresEncryption: false,
  ignoresCustomerKeys: false,
  readsPlainWithKey: false,
  opensWithAnyKey: false,
  denied: [],
  bucketRegions: {},
  bucketSilentlyDamages: false,
}

/** Ready profiles. Seen or documented behaviour only; what a live provider does, its probe says. */
export const profiles = {
  aws: { computesCrc64nvme: true },
  /** SSE-KMS by default: an ETag says nothing. */
  awsKms: { computesCrc64nvme: true, opaqueEtags: true, multipartEtags: 'random' },
  r2: { anyRegion: true, equalParts: true, multipartEtags: 'random', unsortedLists: true },
  b2: { hiddenVersions: true, multipartEtags: 'random', refuseConditionalPut: true, ignoreChecksums: true },
  garage: { ignoreConditionalPut: true, ignoreConditionalComplete: true, noRestores: true },
  ceph16: {
    anyRegion: true,
    ignoreChecksums: true,
    refuseTrailers: 411,
    emptyCompleteEtag: true,
    ignoreConditionalComplete: true,
    readsPlainWithKey: true,
  },
  swift: {
    anyRegion: true,
    ignoreChecksums: true,
    refuseTrailers: 501,
    refuseConditionalPut: true,
    acceptDoubleAuthentication: true,
    ignoresEncryption: true,
  },
  minio: { acceptDoubleAuthentication: true },
  hetzner: { ignoreChecksums: true, copyFails: true, noRestores: true },
  scaleway: { maxParts: 1000 },
  gcs: {
    anyRegion: true,
    noDeleteObjects: true,
    refuseTrailers: 501,
    ignoreChecksums: true,
    copyFails: true,
    ignoreConditionalPut: true,
    ignoreConditionalComplete: true,
  },
  storj: { copyFails: true },
} as const satisfies Record<string, Partial<StrictProfile>>
